// Follows one operation until it ends, with a progress bar in `place`. Resolves to {state, problem}: a Problem or null.
import { get, Problem } from "../lib/api.js";
import { make } from "../lib/dom.js";
import { live } from "../lib/live.js";

export async function follow(id, place, label) {
  const bar = make("progress", { max: 1, "aria-label": label });
  const note = make("span", { class: "progress-note" }, "waits for a worker");
  place.replaceChildren(make("div", { class: "progress" }, bar, note));
  const stream = live([id]);
  await new Promise((resolve) => {
    stream.on("*", (data, event) => {
      if (data?.stage) note.textContent = data.stage;
      const progress = data?.progress;
      if (progress?.total) {
        bar.value = progress.done / progress.total;
        note.textContent = `${data.stage ?? ""} ${progress.done} of ${progress.total}`.trim();
      }
      if (event.type === "end") resolve();
    });
  });
  stream.close();
  const operation = await get(`/operations/${id}`);
  place.replaceChildren();
  return { state: operation.state, problem: operation.problem ? new Problem(operation.problem, 0) : null };
}
