// A model file becomes a version.
import { call, showProblem, withButton } from "../lib/api.js";
import { all, one } from "../lib/dom.js";
import { follow } from "./follow.js";

for (const form of all("form[data-import-model]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const place = one("[data-place]", form);
    withButton(one("button.primary", form), async () => {
      one("progress", form).hidden = false;
      try {
        const operation = await call("POST", form.dataset.importModel, { body: new FormData(form), key: true });
        const ended = await follow(operation.operation_id, place, "Import of the model");
        if (ended.state === "succeeded") location.reload();
        else if (ended.problem) showProblem(ended.problem, { place });
      } finally {
        one("progress", form).hidden = true;
      }
    }, { place, form });
  });
}
