// Two versions: the choosers, what is being computed, images one by one, an alias.
import { call, get, post, Problem, showProblem, withButton } from "../lib/api.js";
import { confirm } from "../lib/dialog.js";
import { one, toast } from "../lib/dom.js";
import { live } from "../lib/live.js";
import { refresh, throttled } from "../lib/refresh.js";
import { startAliases } from "../models/aliases.js";
import { startViewer } from "./viewer.js";

const FREEZE_WAIT = 30; // seconds

const form = one("[data-choose]");
const swap = one("[data-swap]");
if (swap) {
  swap.hidden = false;
  swap.addEventListener("click", () => {
    const { a, b } = form.elements;
    [a.value, b.value] = [b.value, a.value];
    form.requestSubmit();
  });
}

follow();
startViewer();
document.addEventListener("click", async (event) => {
  const freeze = event.target.closest("[data-freeze]");
  if (freeze) await freezeTestSet(freeze);
  const retry = event.target.closest("[data-retry]");
  if (retry && (await withButton(retry, () => post(`/operations/${retry.dataset.retry}/retry`)))) location.reload();
});
startAliases(["comparison", "compare-actions"]);

// Evaluations that are being made: the page follows them, and is read again at each step.
function follow() {
  const box = one("#comparison");
  const topics = box?.dataset.topics.split(",").filter(Boolean) ?? [];
  if (!topics.length) return;
  const update = throttled(() => refresh("comparison"), 1);
  const stream = live(topics, { last: box.dataset.position });
  stream.on("*", update);
  stream.onState((state) => state === "ended" && location.reload());
}

async function freezeTestSet(button) {
  const { freeze: job, name, project } = button.dataset;
  const text = `Its test split becomes the test set of ${project}. What is uploaded from now on leaves those images out, and what was trained on them says so.`;
  if (!(await confirm(`Freeze the test split of ${name}?`, text, { action: "Freeze it" }))) return;
  button.setAttribute("aria-busy", "true");
  try {
    const path = `/projects/${encodeURIComponent(project)}/test-set?wait=${FREEZE_WAIT}`;
    const { operation_id: operation } = await call("PUT", path, { json: { job_id: job } });
    if (!operation) return location.reload();
    toast("Its images are being listed: this page follows.");
    live([operation]).onState((state) => state === "ended" && frozen(operation, button));
  } catch (error) {
    button.removeAttribute("aria-busy");
    showProblem(error);
  }
}

async function frozen(operation, button) {
  const { problem } = await get(`/operations/${operation}`);
  if (!problem) return location.reload();
  button.removeAttribute("aria-busy");
  showProblem(new Problem(problem, 0));
}
