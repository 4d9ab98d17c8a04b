// Every page of a version, and the list of them: aliases, evaluations asked for, controls that submit their form.
import { post, put, remove, showProblem, withButton } from "../lib/api.js";
import { confirm } from "../lib/dialog.js";
import { all, one } from "../lib/dom.js";
import { follow } from "./follow.js";

one(".tabs [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" }); // on a phone it may be beside the window

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

for (const form of all("form[data-set-alias]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { project, version } = form.dataset;
    const alias = form.elements.alias.value.trim();
    withButton(one("button.primary", form), async () => {
      await put(`/projects/${project}/aliases/${encodeURIComponent(alias)}`, { version });
      location.reload();
    }, { place: one("[data-place]", form), form });
  });
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { rollback, removeAlias, project } = button.dataset;
  if (rollback) {
    const { from, to } = button.dataset;
    const text = `${rollback} points at ${from}. Afterwards it points at ${to}, which answers predictions by ${project}@${rollback} some seconds later. ${from} stays.`;
    if (!(await confirm(`Roll ${rollback} back to ${to}?`, text, { action: `Roll back to ${to}` }))) return;
    await withButton(button, async () => {
      await post(`/projects/${project}/aliases/${rollback}/rollback`);
      location.reload();
    });
  } else if (removeAlias) {
    const text = "Predictions by its name are refused afterwards. The version stays; a later alias of this name begins a new history for rollbacks.";
    if (!(await confirm(`Remove ${removeAlias}?`, text, { action: "Remove the alias", danger: true }))) return;
    await withButton(button, async () => {
      await remove(`/projects/${project}/aliases/${removeAlias}`);
      location.reload();
    });
  } else if ("evaluate" in button.dataset) {
    await withButton(button, () => evaluate(button));
  } else if ("evaluateAgain" in button.dataset) {
    await withButton(button, async () => {
      await remove(`/evaluations/${button.dataset.evaluateAgain}`);
      await evaluate(button);
    });
  }
});

// The page is read again once there is something to look at.
async function evaluate(button) {
  const { version, job, split } = button.dataset;
  const operation = await post("/evaluations", { version, job_id: job, split });
  const place = one("[data-evaluating]");
  place.hidden = false;
  const ended = await follow(operation.operation_id, place, `Evaluation of ${version}`);
  if (ended.state === "succeeded") location.reload();
  else if (ended.problem) showProblem(ended.problem, { place });
}
