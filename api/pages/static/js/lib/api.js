// The JSON API on this origin, with the session's cookie. A failure is a Problem; `showProblem` draws it with its remedy.
import { make } from "./dom.js";

export class Problem extends Error {
  // `body`: RFC 9457 problem; `status` of HTTP, 0 where no answer came; `retryAfter` in seconds, null where none is said.
  constructor(body, status, retryAfter = null) {
    super(body.detail || body.title);
    this.body = body;
    this.status = status;
    this.retryAfter = retryAfter;
  }

  get slug() {
    return this.body.slug ?? "";
  }
}

const UNREACHABLE = {
  title: "The service does not answer",
  detail: "The request did not reach it. Check that it runs and that this computer is connected; then try again.",
};

// `body` of any kind that fetch takes, or `json`: an object. `key: true` or a string adds an Idempotency-Key, so that a
// repeated POST is done once. Resolves to the JSON of the answer (null without a body), or with `raw` to the Response.
// Rejects with a Problem, or AbortError.
export async function call(method, path, { json, body, headers = {}, key, signal, raw = false } = {}) {
  const all = { accept: "application/json", ...headers };
  if (json !== undefined) {
    all["content-type"] = "application/json";
    body = JSON.stringify(json);
  }
  if (key) all["idempotency-key"] = key === true ? newKey() : key;
  let response;
  try {
    response = await fetch(path, { method, body, headers: all, signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(UNREACHABLE, 0);
  }
  if (!response.ok) throw await problemOf(response);
  if (raw) return response;
  if (response.status === 204) return null;
  return response.headers.get("content-type")?.includes("json") ? response.json() : null;
}

export const get = (path, options) => call("GET", path, options);
export const post = (path, json, options) => call("POST", path, { json, key: true, ...options });
export const put = (path, json, options) => call("PUT", path, { json, ...options });
export const patch = (path, json, options) => call("PATCH", path, { json, ...options });
export const remove = (path, options) => call("DELETE", path, options);

// `crypto.randomUUID` exists on https and loopback only.
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function problemOf(response) {
  if (response.status === 401) signIn();
  try {
    const seconds = Number.parseFloat(response.headers.get("retry-after"));
    return new Problem(await response.json(), response.status, Number.isFinite(seconds) ? seconds : null);
  } catch {
    const detail = `It answered ${response.status} ${response.statusText}.`;
    return new Problem({ title: "The answer of the service was not understood", detail }, response.status);
  }
}

function signIn() {
  const here = location.pathname + location.search;
  if (!here.startsWith("/ui/login")) location.assign(`/ui/login?next=${encodeURIComponent(here)}`);
}

// Draws `error` into `place` (by default the page's notices) and brings it into view. Fields at fault are marked in
// `form`, where a control has the name of the field. Other errors than Problems are thrown on.
export function showProblem(error, { place = document.querySelector("#notices"), form = null } = {}) {
  if (error.name === "AbortError") return;
  if (!(error instanceof Problem)) throw error;
  const { title, detail, errors = [], request_id: requestId } = error.body;
  const unplaced = form ? errors.filter((each) => !mark(form, each)) : errors;
  const card = make(
    "div",
    { class: "problem", role: "alert", tabindex: "-1" },
    make("h2", { class: "problem-title" }, title ?? "The request failed"),
    detail ? make("p", { class: "problem-detail" }, make("bdi", {}, detail)) : null,
    unplaced.length
      ? make(
          "ul",
          { class: "problem-errors" },
          ...unplaced.map((each) => make("li", {}, make("code", {}, each.field), " ", each.message)),
        )
      : null,
    requestId ? make("p", { class: "muted small" }, "Request ", make("code", {}, requestId)) : null,
  );
  place.replaceChildren(card);
  card.scrollIntoView({ block: "nearest" });
  card.focus();
  if (error.slug) addRemedy(card, error.slug);
  return card;
}

export function clearProblem(place = document.querySelector("#notices"), form = null) {
  place.replaceChildren();
  for (const control of form?.querySelectorAll("[aria-invalid]") ?? []) {
    control.removeAttribute("aria-invalid");
    const message = form.querySelector(`[data-error-of="${CSS.escape(control.id)}"]`);
    if (message) message.hidden = true;
  }
}

function mark(form, { field, message }) {
  const control = form.elements.namedItem(field);
  if (!(control instanceof Element)) return false;
  control.setAttribute("aria-invalid", "true");
  const place = form.querySelector(`[data-error-of="${CSS.escape(control.id)}"]`);
  if (!place) return false;
  place.textContent = message;
  place.hidden = false;
  return true;
}

// The remedy is on the problem's page, which the service has rendered and escaped.
async function addRemedy(card, slug) {
  const response = await fetch(`/ui/problems/${encodeURIComponent(slug)}`, { headers: { accept: "text/html" } });
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const text = page.querySelector("[data-remedy]");
  if (!text) return;
  const details = make("details", { class: "remedy", open: true }, make("summary", {}, "What to do"));
  details.append(document.adoptNode(text));
  card.append(details);
}

// Runs `action` with `button` busy; its problem is drawn. Resolves to what `action` did, or undefined.
export async function withButton(button, action, options = {}) {
  button.setAttribute("aria-busy", "true");
  button.disabled = true;
  clearProblem(options.place, options.form);
  try {
    return await action();
  } catch (error) {
    showProblem(error, options);
  } finally {
    button.removeAttribute("aria-busy");
    button.disabled = false;
  }
}
