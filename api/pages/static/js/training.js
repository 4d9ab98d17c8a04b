// The form of a training: what differs from the defaults, how long it may take; it is sent to the JSON API.
// Without script the form itself is sent, and the server answers with the same page.
import { call, clearProblem, newKey, showProblem } from "./lib/api.js";
import { all, duration, make, one } from "./lib/dom.js";

const LEAK = "trains-on-test-set";
const form = one("#train-form");
const button = one("#train-button");
const controls = all("[data-kind]", form);
const nameOf = (control) => control.name.slice("params.".length);
const lines = (text) => text.split("\n").map((line) => line.trim());
const clean = (text) => lines(text).join("\n").trim();
let key = newKey(); // the same for a repeated click: one run

form.addEventListener("submit", send);
form.addEventListener("input", update);
form.addEventListener("input", forgive);
for (const link of all("[data-start]")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const input = form.elements.namedItem("params.model");
    input.value = link.dataset.start;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
one("#baseline-button")?.form.addEventListener("submit", () => (one("#baseline-button").disabled = true));
addEventListener("pageshow", () => one("#baseline-button")?.removeAttribute("disabled")); // after Back
update();
(one("[aria-invalid]", form) ?? one("#leak"))?.scrollIntoView({ block: "center" });
one("[aria-invalid]", form)?.focus();

async function send(event) {
  event.preventDefault();
  if (button.disabled) return;
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  clearProblem(undefined, form);
  const body = { trainer: form.elements.namedItem("trainer").value, params: params() };
  if (one("#allow-leak")?.checked) body.allow_leak = true;
  try {
    const run = await call("POST", `/train-async/${form.dataset.job}`, { json: body, key });
    location.assign(`/ui/runs/${run.run_id}`);
  } catch (error) {
    key = newKey();
    button.disabled = false;
    button.removeAttribute("aria-busy");
    if (error.slug === LEAK) return form.submit(); // the server draws what leaks, and the choice
    showProblem(error, { form });
    const wrong = all("[aria-invalid]", form);
    for (const control of wrong) control.closest("details")?.setAttribute("open", "");
    // Beside its field each says what is wrong: the card would say it again.
    if (wrong.length && wrong.length === error.body.errors?.length) one("#notices").replaceChildren(summary(wrong.length));
    wrong[0]?.focus();
  }
}

function summary(count) {
  const words = count === 1 ? "One value is not valid." : `${count} values are not valid.`;
  return make("p", { class: "notice warning", role: "alert" }, `${words} What is wrong is written below each.`);
}

// What was wrong may be right by now: the service says so when it is sent again.
function forgive({ target }) {
  target.removeAttribute("aria-invalid");
  target.closest(".param")?.classList.remove("invalid");
  const message = one(`[data-error-of="${CSS.escape(target.id)}"]`, form);
  if (message) message.hidden = true;
}

// As `params_from` of the server: those that differ from the defaults. What is no number is sent as text and refused by name.
function params() {
  const found = {};
  for (const control of controls) {
    if (isChanged(control)) found[nameOf(control)] = valueOf(control);
  }
  return found;
}

function isChanged(control) {
  if (control.type === "checkbox") return control.checked !== Boolean(control.dataset.default);
  return clean(control.value) !== clean(control.dataset.default);
}

function valueOf(control) {
  if (control.type === "checkbox") return control.checked;
  const text = clean(control.value);
  if (!text && control.dataset.nullable !== undefined) return null;
  switch (control.dataset.kind) {
    case "integer":
      return /^[+-]?\d{1,15}$/.test(text) ? Number(text) : text;
    case "number":
      return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
    case "lines":
      return lines(text).filter(Boolean);
    case "prompts":
      return prompts(text);
    default:
      return text;
  }
}

function prompts(text) {
  const found = {};
  for (const line of lines(text).filter(Boolean)) {
    const at = line.indexOf(":");
    const name = (at < 0 ? line : line.slice(0, at)).trim();
    (found[name] ??= []).push(at < 0 ? "" : line.slice(at + 1).trim());
  }
  return found;
}

function update() {
  const chosen = params();
  for (const control of controls) control.closest(".param").classList.toggle("changed", nameOf(control) in chosen);
  for (const group of all(".fold-group", form)) {
    const count = all(".param.changed", group).length;
    one("[data-count]", group).textContent = count;
    one(".group-changed", group).hidden = count === 0;
  }
  const count = Object.keys(chosen).length;
  one("#changed").textContent = count ? `${count} of the defaults: ${Object.keys(chosen).join(", ")}` : "nothing";
  const body = { trainer: form.elements.namedItem("trainer").value, ...(count ? { params: chosen } : {}) };
  const command = `curl -X POST ${location.origin}/train-async/${form.dataset.job} \\\n  -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`;
  one("#as-curl code").textContent = command;
  meaning();
  estimate();
}

function meaning() {
  const name = form.elements.namedItem("params.model")?.value.trim();
  const place = one("#start-meaning");
  const known = all("[data-start]").find((link) => link.dataset.start === name);
  for (const link of all("[data-start]")) link.toggleAttribute("aria-current", link === known);
  const never = form.elements.namedItem("params.pretrained")?.value === "never";
  const text = known?.dataset.standing !== "version" && never ? "It trains from scratch: pretrained weights are not wanted." : known?.dataset.meaning;
  one("span", place).textContent = text ?? "The worker looks for it in the weights folder, then on the hub; or it is the name of a version.";
  place.className = `start-meaning ${known?.dataset.standing ?? ""}`;
}

// From an earlier run of the same model; another image size counts by its area.
function estimate() {
  const words = one("#estimate [data-words]");
  if (!words) return;
  const earlier = JSON.parse(one("#estimate").dataset.earlier);
  const value = (name) => form.elements.namedItem(`params.${name}`)?.value.trim();
  const model = value("model");
  const size = Number(value("imgsz") || value("image_size")) || null;
  const epochs = Number(value("epochs"));
  const [same] = earlier.filter((each) => each[0] === model);
  if (!same || !epochs || !Number.isFinite(epochs)) return (words.textContent = `${duration(earlier[0][2])} an epoch`);
  const scaled = size && same[1] ? same[2] * (size / same[1]) ** 2 : same[2];
  words.textContent = `about ${duration(scaled * epochs)} for ${epochs} epoch${epochs === 1 ? "" : "s"}`;
}
