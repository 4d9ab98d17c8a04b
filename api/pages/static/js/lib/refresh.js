// Reads this page again and changes the elements with `ids` to what they are by then, in place: what is the same stays,
// with its focus, scroll position and open details. Elements with `data-key` are moved rather than made anew.
import { reveal } from "./clipboard.js";

let running = null;

// Resolves to whether the page was read. Calls during a refresh share the one after it.
export async function refresh(...ids) {
  while (running) await running;
  running = read(ids);
  try {
    return await running;
  } finally {
    running = null;
  }
}

async function read(ids) {
  let response;
  try {
    response = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
  } catch {
    return false; // the stream's state says that the service is away
  }
  if (!response.ok) return false;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const id of ids) {
    const old = document.getElementById(id);
    const fresh = page.getElementById(id);
    if (old && fresh) {
      morph(old, fresh);
      reveal(document.getElementById(id));
    }
  }
  return true;
}

// A function that calls `action` soon after each call, but not more often than every `seconds`.
export function throttled(action, seconds) {
  let timer = 0;
  let last = 0;
  return () => {
    if (timer) return;
    const wait = Math.max(150, last + 1000 * seconds - performance.now());
    timer = setTimeout(async () => {
      await action();
      last = performance.now();
      timer = 0;
    }, wait);
  };
}

export function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || keyOf(old) !== keyOf(fresh)) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  if (old.hasAttribute("data-kept")) return; // a script fills it
  if (fresh.hasAttribute("data-part")) return; // it was loaded into the page, or is about to be
  attributes(old, fresh);
  if (old.matches("select, textarea")) return;
  children(old, fresh);
}

const keyOf = (node) => node.dataset?.key ?? node.id ?? "";

function attributes(old, fresh) {
  for (const { name, value } of fresh.attributes) {
    if (kept(old, name)) continue;
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !kept(old, name)) old.removeAttribute(name);
  }
}

// What the person or a script has changed since.
function kept(element, name) {
  if (name === "open") return element.matches("details, dialog");
  if (name === "value") return element.matches("input");
  return name === "style" || name === "aria-busy" || name === "disabled";
}

function children(old, fresh) {
  const keyed = new Map();
  for (const child of old.children) if (keyOf(child)) keyed.set(keyOf(child), child);
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const same = keyed.get(keyOf(child));
    if (same && same !== place) old.insertBefore(same, place);
    else if (!place || (!same && keyOf(place))) {
      old.insertBefore(child, place);
      continue;
    }
    const here = same ?? place;
    const next = here.nextSibling;
    morph(here, child);
    place = next;
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}
