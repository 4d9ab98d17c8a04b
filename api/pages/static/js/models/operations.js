// Exports, bundles and evaluations of a version: asked for, followed, cancelled, tried again.
import { call, post, withButton } from "../lib/api.js";
import { all, one, toast } from "../lib/dom.js";
import { live } from "../lib/live.js";
import { refresh, throttled } from "../lib/refresh.js";

const PARTS = ["exports", "bundle", "evaluations"];
let stream = null;
let followed = "";

// The topics of the page change with what waits: then there is another stream.
function followWaiting() {
  const topics = one("[data-topics]")?.dataset.topics ?? "";
  if (topics === followed) return;
  stream?.close();
  stream = null;
  followed = topics;
  if (!topics) return;
  stream = live(topics.split(","));
  const update = throttled(async () => {
    await refresh(...PARTS);
    followWaiting();
  }, 1);
  stream.on("*", update);
}

const reload = async () => {
  await refresh(...PARTS);
  followWaiting();
};

for (const form of all("form[data-export]")) {
  const formats = new Map(
    form.dataset.formats.split(";").filter(Boolean).map((each) => {
      const [name, precisions, inside] = each.split(":");
      return [name, { precisions: precisions.split(","), inside: inside === "1" }];
    }),
  );
  const { format, precision, nms, max_drop: drop } = form.elements;
  const fit = () => {
    const entry = formats.get(format.value);
    for (const option of precision.options) option.disabled = !entry.precisions.includes(option.value);
    if (precision.selectedOptions[0].disabled) precision.value = entry.precisions[0];
    if (nms) {
      nms.options[1].disabled = !entry.inside;
      if (!entry.inside) nms.value = "outside";
    }
    one("#drop-field", form).hidden = precision.value !== "int8";
  };
  form.addEventListener("change", fit);
  fit();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = { format: format.value, precision: precision.value };
    if (nms) body.nms = nms.value;
    if (precision.value === "int8" && drop.value !== "") body.max_drop = Number(drop.value);
    ask(form, form.dataset.export, body, "That export is there already.");
  });
}

for (const form of all("form[data-evaluation]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = { version: form.dataset.version, job_id: form.elements.job_id.value, split: form.elements.split.value };
    ask(form, "/evaluations", body, "It was evaluated on these images already.");
  });
}

function ask(form, path, body, made) {
  const place = one("[data-place]", form);
  return withButton(one("button.primary", form), async () => {
    const operation = await post(path, body);
    if (operation.state === "succeeded") toast(made);
    await reload();
  }, { place, form });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { bundle, cancel, retry } = button.dataset;
  if (bundle) withButton(button, async () => { await call("GET", bundle, { raw: true }); await reload(); });
  if (cancel) withButton(button, async () => { await post(`/operations/${cancel}/cancel`); await reload(); });
  if (retry) withButton(button, async () => { await post(`/operations/${retry}/retry`); await reload(); });
});

followWaiting();
