// A project: what moves, settings, freeing room, uploads that join it.
import { startActions } from "./lib/actions.js";
import { patch, post, put, withButton } from "./lib/api.js";
import { confirm } from "./lib/dialog.js";
import { one, toast } from "./lib/dom.js";
import { live } from "./lib/live.js";
import { loadParts } from "./lib/parts.js";
import { refresh, throttled } from "./lib/refresh.js";
import { startUploads } from "./uploads/uploads.js";

startActions();
startUploads();
loadParts();

const page = one("#project");
const name = page.dataset.project;
const update = throttled(() => refresh("moving", "content"), 1.5);
live(["home"], { last: page.dataset.position }).on("changed", (data) => {
  if (data.all || data.projects?.includes(name)) update();
});

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.matches("[data-settings]")) {
    event.preventDefault();
    await save(form);
  } else if (form.matches("[data-purge]")) {
    event.preventDefault();
    await purge(form);
  } else if (form.matches("[data-freeze]")) {
    event.preventDefault();
    const chosen = form.elements.job_id;
    const text = "Its test images are never trained on from then on: new datasets leave them out, near-duplicates too. All versions are compared on them, and the dataset cannot be deleted until the freeze ends.";
    if (!(await confirm(`Freeze the test split of ${chosen.selectedOptions[0].text}?`, text, { action: "Freeze it" }))) return;
    const body = { job_id: chosen.value };
    if (await withButton(one("button", form), () => put(form.dataset.freeze, body))) update();
  }
});

// Only what was changed: a name that stays is no rename.
async function save(form) {
  const { title, description, project } = form.elements;
  const body = { title: title.value.trim(), description: description.value };
  if (project.value.trim() !== name) body.project = project.value.trim();
  const days = [...form.querySelectorAll("[name^='retention.']")].filter((control) => control.value !== "");
  const retention = Object.fromEntries(days.map((control) => [control.name.slice("retention.".length), Number(control.value)]));
  body.settings = { retention: days.length ? retention : null };
  const button = one("[type=submit]", form);
  const place = one("[data-settings-problem]", form);
  const saved = await withButton(button, () => patch(form.dataset.settings, body), { place, form });
  if (!saved) return;
  if (saved.project === name) location.reload();
  else location.assign(`/ui/projects/${encodeURIComponent(saved.project)}`);
}

async function purge(form) {
  const kinds = new FormData(form).getAll("kinds");
  if (!kinds.length) return;
  const agreed = await confirm("Free this room?", `It deletes: ${kinds.join(", ").replaceAll("_", " ")}. What an alias points at, and what work needs, stays.`, { action: "Delete them", danger: true });
  if (!agreed) return;
  const done = await withButton(one("[type=submit]", form), () => post(form.dataset.purge, { kinds, dry_run: false }));
  if (done) toast("An operation deletes it; what moves is above.");
}
