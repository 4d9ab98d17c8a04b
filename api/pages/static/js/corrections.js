// Drafts of a dataset: discarded one by one, or applied as the next revision.
import { startActions } from "./lib/actions.js";
import { newKey, post, withButton } from "./lib/api.js";
import { one } from "./lib/dom.js";

startActions();

const form = one("[data-apply]");
const key = newKey(); // of this page: pressed twice, it is applied once
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = form.elements.namedItem("name").value.trim();
  const button = one("button.primary", form);
  const job = await withButton(button, () => post(form.dataset.path, name ? { name } : {}, { key }), { place: one("[data-problem]", form) });
  if (job) location.assign(`/ui/datasets/${job.job_id}`);
});
