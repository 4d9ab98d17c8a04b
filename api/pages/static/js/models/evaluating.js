// Evaluations that the page waits for: of a version that was just published, or of its button.
import { post, remove, showProblem, withButton } from "../lib/api.js";
import { all, announce, one } from "../lib/dom.js";
import { refresh } from "../lib/refresh.js";
import { follow } from "./follow.js";

const WORDS = {
  loading: "Loading the model",
  comparing: "Looking for images of its training",
  predicting: "Evaluating now,",
  measuring: "Measuring",
  writing: "Writing the report",
  storing: "Storing it",
  publishing: "Storing it",
};

export function startEvaluating() {
  for (const section of all("[data-evaluating][data-operation]")) wait(section);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { evaluateAgain } = button.dataset;
    if ("evaluate" in button.dataset) withButton(button, () => evaluate(button));
    else if (evaluateAgain) withButton(button, () => remove(`/evaluations/${evaluateAgain}`).then(() => evaluate(button)));
  });
}

async function wait(section) {
  const { operation, label, parts } = section.dataset;
  const { state } = await follow(operation, one("[data-place]", section), label, WORDS);
  if (state === "succeeded") announce(`${label} is done.`);
  if (!parts) return readAgain();
  await refresh(...parts.split(" "));
  if (state === "succeeded") section.remove();
  else readAgain(); // why it is not there
}

// The page is read again once there is something to look at.
async function evaluate(button) {
  const { version, job, split } = button.dataset;
  const operation = await post("/evaluations", { version, job_id: job, split });
  const place = one("[data-evaluating]");
  place.hidden = false;
  const ended = await follow(operation.operation_id, place, `Evaluation of ${version}`, WORDS);
  if (ended.state === "succeeded") readAgain();
  else if (ended.problem) showProblem(ended.problem, { place });
}

// Not under somebody's hands: an open dialog is answered first.
function readAgain() {
  const open = one("dialog[open]");
  if (open) open.addEventListener("close", () => location.reload(), { once: true });
  else location.reload();
}
