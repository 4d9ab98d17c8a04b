// Buttons that call the JSON API:
//   <button data-call="DELETE" data-path="/jobs/..." data-body='{"a": 1}'
//           data-confirm="Delete it?" data-text="What that means." data-action="Delete" data-danger   (it asks first)
//           data-then="reload">                    or "job": to the dataset that the answer names; "run": to the run;
//                                                  "stay": nothing; or an address
import { call, withButton } from "./api.js";
import { confirm } from "./dialog.js";

export function startActions() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-call]");
    if (!button) return;
    event.preventDefault();
    const { confirm: question, text = "", action = "Continue", danger } = button.dataset;
    if (question && !(await confirm(question, text, { action, danger: danger !== undefined }))) return;
    const place = button.closest("dialog")?.querySelector("[data-problem-place]") ?? undefined; // not behind the dialog
    const answer = await withButton(button, () => run(button.dataset), { place });
    if (answer !== undefined) follow(button.dataset.then, answer);
  });
}

async function run({ call: method, path, body }) {
  const options = { key: method === "POST" };
  if (body) options.json = JSON.parse(body);
  return (await call(method, path, options)) ?? {};
}

function follow(then, answer) {
  if (then === "stay") return;
  if (!then || then === "reload") return location.reload();
  const named = { job: `/ui/datasets/${answer.job_id}`, run: `/ui/runs/${answer.run_id}` };
  location.assign(named[then] ?? then);
}
