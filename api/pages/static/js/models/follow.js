// Follows one operation until it ends, with a progress bar in `place`. Resolves to {state, problem}: a Problem or null.
// `words`: of its stages, where they are others than their names.
import { get, Problem } from "../lib/api.js";
import { make, one } from "../lib/dom.js";
import { live } from "../lib/live.js";

export async function follow(id, place, label, words = {}) {
  if (!one("progress", place)) {
    const bar = make("progress", { max: 1, "aria-label": label });
    place.replaceChildren(make("div", { class: "progress" }, bar, make("span", { class: "progress-note" }, "waits for a worker")));
  }
  const bar = one("progress", place);
  const note = one(".progress-note", place);
  const stream = live([id]);
  let stage = "";
  await new Promise((resolve) => {
    stream.on("*", (data, event) => {
      if (data?.stage && data.stage !== stage) {
        stage = data.stage;
        bar.removeAttribute("value");
        note.textContent = words[stage] ?? stage;
      }
      const progress = data?.progress;
      if (progress?.total) {
        bar.value = progress.done / progress.total;
        note.textContent = `${words[stage] ?? stage} ${progress.done} of ${progress.total}`.trim();
      }
      if (event.type === "end") resolve();
    });
  });
  stream.close();
  const operation = await get(`/operations/${id}`);
  place.replaceChildren();
  return { state: operation.state, problem: operation.problem ? new Problem(operation.problem, 0) : null };
}
