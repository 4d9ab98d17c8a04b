// The dialog's second tab: a dataset that the service fetches, from a hub, a URL, a bucket or a folder.
import { newKey, post, withButton } from "../lib/api.js";
import { all, one } from "../lib/dom.js";

const FIELDS = ["huggingface", "url", "s3", "folder"]; // of the request; the form has one for all of them
const HUB_FIELDS = ["subset", "revision"];

// What the API calls the place: `{url: "..."}`. `hub`: the address of the hub, whose pages may be pasted.
export function placeOf(text, hub) {
  const place = text.trim();
  const page = `${hub}/datasets/`;
  if (hub && place.startsWith(page)) return { huggingface: place.slice(page.length).replace(/[?#].*$/, "").split("/").slice(0, 2).join("/") };
  if (/^https?:\/\//i.test(place)) return { url: place };
  if (/^s3:\/\//i.test(place)) return { s3: place };
  if (/^file:\/\//i.test(place)) return { folder: decodeURIComponent(place.replace(/^file:\/\/(localhost)?/i, "")) };
  return place.startsWith("/") ? { folder: place } : { huggingface: place };
}

// The tabs of the dialog; `changed()` after each change. Returns {current, show(name)}; a dialog without any has `file`.
export function startTabs(dialog, changed) {
  const list = one("[data-upload-tabs]", dialog);
  const names = ["file", "place"];
  const state = { current: "file", show: () => {} };
  if (!list) return state;
  const tabs = all("[role=tab]", list);
  state.show = (name, focus = false) => {
    state.current = name;
    for (const [index, tab] of tabs.entries()) {
      const isCurrent = names[index] === name;
      tab.setAttribute("aria-selected", String(isCurrent));
      tab.tabIndex = isCurrent ? 0 : -1;
      one(`#upload-panel-${names[index]}`, dialog).hidden = !isCurrent;
      if (isCurrent && focus) tab.focus();
    }
    if (dialog.open) one("[data-upload-problem]", dialog).replaceChildren();
    changed();
  };
  for (const [index, tab] of tabs.entries()) {
    tab.addEventListener("click", () => state.show(names[index]));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) state.show(names[(index + step + names.length) % names.length], true);
    });
  }
  const field = one("#upload-place", dialog);
  field.addEventListener("input", () => followPlace(dialog, field));
  return state;
}

// The fields that are only for a hub or a URL.
function followPlace(dialog, field) {
  const panel = one("#upload-panel-place", dialog);
  const place = field.value.trim() ? placeOf(field.value, panel.dataset.hub) : {};
  one("[data-of-hub]", panel).hidden = !/.\/./.test(place.huggingface ?? "");
  one("[data-of-url]", panel).hidden = !("url" in place);
}

// `common`: the options and the project. The key is the same while the request is, so that it is done once.
let last = { text: "", key: "" };

export async function importFrom(dialog, form, common) {
  const panel = one("#upload-panel-place", dialog);
  const body = { ...placeOf(form.elements.place.value, panel.dataset.hub), ...common };
  if (body.huggingface) {
    body.splits = form.elements.splits.value.split(",");
    for (const name of HUB_FIELDS) if (form.elements[name].value.trim()) body[name] = form.elements[name].value.trim();
  }
  if (body.url && form.elements.sha256.value.trim()) body.sha256 = form.elements.sha256.value.trim().toLowerCase();
  const text = JSON.stringify(body);
  if (text !== last.text) last = { text, key: newKey() };
  const place = one("[data-place-problem]", panel);
  const job = await withButton(one("[data-upload-start]", dialog), () => send(body), { place, form });
  if (job) location.assign(`/ui/datasets/${job.job_id}`);
}

// A fault of the place is one of its field.
async function send(body) {
  try {
    return await post("/import-dataset", body, { key: last.key });
  } catch (error) {
    for (const each of error.body?.errors ?? []) if (FIELDS.includes(each.field)) each.field = "place";
    throw error;
  }
}
