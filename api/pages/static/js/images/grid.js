// The grid: filters and pages without a reload, boxes on and off, classes in the legend, images selected by mouse and keys.
import { withButton } from "../lib/api.js";
import { confirm } from "../lib/dialog.js";
import { all, announce, one, toast } from "../lib/dom.js";
import { keys } from "../lib/keys.js";
import { saveDrafts } from "./drafts.js";

const STORE = "darkroom-hidden-classes";
const picked = new Set();
let lastPicked = null;

// Numbers of the classes that are not drawn, as this tab has them.
export function hiddenClasses({ image } = {}) {
  const job = image ? JSON.parse(image).job : one("#images").dataset.job;
  try {
    return new Set(JSON.parse(sessionStorage.getItem(`${STORE}-${job}`) ?? "[]"));
  } catch {
    return new Set();
  }
}

// `show(address, link)` opens an image in full. Returns a function that binds the keys, again after an image had them.
export function startGrid({ show }) {
  draw();
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.button) return;
    const link = event.target.closest(".tile-link");
    if (link) {
      event.preventDefault();
      if (event.shiftKey || picked.size) return pick(link.closest(".tile"), event.shiftKey);
      return show(link.href, link);
    }
    const address = event.target.closest("[data-swap], .density a, .clear, .empty a.button")?.href;
    if (address && window.htmx) {
      event.preventDefault();
      return swap(address, { top: Boolean(event.target.closest("[data-swap]")) });
    }
    const legend = event.target.closest("[data-legend]");
    if (legend) toggleClass(Number(legend.dataset.legend));
    if (event.target.closest("#images [data-boxes]")) toggleBoxes();
    if (event.target.closest("[data-clear]")) clear();
    const accept = event.target.closest("#selection [data-accept]");
    if (accept) saveAll(accept, { accept: true });
    const out = event.target.closest("[data-take-out]");
    if (out) takeOut(out);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-pick]")) return pick(event.target.closest(".tile"), false);
    const form = event.target.closest("[data-filters]");
    if (form) filter(form);
  });
  document.addEventListener("click", (event) => {
    // A range, from the box that was ticked last.
    if (event.shiftKey && event.target.matches("[data-pick]")) {
      event.preventDefault();
      setTimeout(() => pick(event.target.closest(".tile"), true));
    }
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-filters]")) return;
    event.preventDefault();
    filter(event.target);
  });
  bind();
  return bind;
}

function bind() {
  const step = (count) => () => move(count);
  keys({
    ArrowRight: [step(1), "Next image of the grid"],
    ArrowLeft: [step(-1), "Previous image of the grid"],
    ArrowDown: [() => moveRow(1), "Image below"],
    ArrowUp: [() => moveRow(-1), "Image above"],
    x: [() => current() && pick(current(), false), "Select the image, or not"],
    a: [selectAll, "Select all of the page"],
    Escape: [clear, "Select none"],
    b: [toggleBoxes, "Boxes on or off"],
  });
}

// A part of the page is read anew; the address follows, so that reload and Back keep the place.
async function swap(address, { top = false } = {}) {
  const url = new URL(address, location.href);
  await window.htmx.ajax("GET", url.pathname + url.search, { target: "#images", select: "#images", swap: "outerHTML" });
  history.pushState({}, "", url);
  clear();
  draw();
  if (top) one("#images").scrollIntoView({ block: "start" });
  announce(one("#matches")?.textContent.trim() ?? "");
}

function filter(form) {
  const chosen = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) chosen.append(name, value);
  const address = chosen.size ? `${form.action}?${chosen}` : form.action;
  if (window.htmx) swap(address);
  else location.assign(address);
}

function draw() {
  const hidden = hiddenClasses();
  for (const path of all(".tile-boxes [data-class]")) path.style.display = hidden.has(Number(path.dataset.class)) ? "none" : "";
  for (const chip of all("[data-legend]")) chip.setAttribute("aria-pressed", String(!hidden.has(Number(chip.dataset.legend))));
}

function toggleClass(number) {
  const hidden = hiddenClasses();
  if (!hidden.delete(number)) hidden.add(number);
  try {
    sessionStorage.setItem(`${STORE}-${one("#images").dataset.job}`, JSON.stringify([...hidden]));
  } catch {
    // Storage may be switched off: then nothing is hidden.
  }
  draw();
}

function toggleBoxes() {
  const off = one("#images").classList.toggle("no-boxes");
  one("#images [data-boxes]")?.setAttribute("aria-pressed", String(!off));
}

const current = () => document.activeElement?.closest(".tile");

function move(count) {
  const tiles = all(".tile");
  const at = tiles.indexOf(current());
  const next = tiles[at < 0 ? 0 : Math.min(Math.max(at + count, 0), tiles.length - 1)];
  one(".tile-link", next ?? document)?.focus();
}

function moveRow(direction) {
  const tile = current();
  if (!tile) return move(0);
  const from = tile.getBoundingClientRect();
  const middle = from.left + from.width / 2;
  const rows = all(".tile").map((each) => [each, each.getBoundingClientRect()]);
  const beyond = rows.filter(([, bounds]) => (direction > 0 ? bounds.top >= from.bottom : bounds.bottom <= from.top));
  const away = ([, bounds]) => Math.abs(bounds.top - from.top) * 1000 + Math.abs((bounds.left + bounds.right) / 2 - middle);
  const [nearest] = beyond.sort((one, other) => away(one) - away(other));
  if (nearest) one(".tile-link", nearest[0]).focus();
}

function pick(tile, range) {
  const tiles = all(".tile");
  if (range && lastPicked && tiles.includes(lastPicked)) {
    const [from, to] = [tiles.indexOf(lastPicked), tiles.indexOf(tile)].sort((a, b) => a - b);
    tiles.slice(from, to + 1).forEach((each) => set(each, true));
  } else set(tile, !picked.has(tile.dataset.path));
  lastPicked = tile;
  refresh();
}

function set(tile, on) {
  const { path } = tile.dataset;
  if (on) picked.add(path);
  else picked.delete(path);
  tile.classList.toggle("picked", on);
  one("[data-pick]", tile).checked = on;
}

function selectAll() {
  all(".tile").forEach((tile) => set(tile, true));
  refresh();
}

function clear() {
  picked.clear();
  all(".tile.picked").forEach((tile) => set(tile, false));
  refresh();
}

function refresh() {
  const bar = one("#selection");
  bar.hidden = !picked.size;
  one("#tiles")?.classList.toggle("picking", picked.size > 0);
  one("[data-selected]", bar).textContent = picked.size.toLocaleString("en");
}

async function takeOut(button) {
  const count = picked.size;
  const text = "They stay in this dataset. The next revision, which is made of the drafts, lacks them.";
  if (await confirm(`Take ${count} image${count === 1 ? "" : "s"} out?`, text, { action: "Make drafts" })) saveAll(button, { remove: true });
}

async function saveAll(button, change) {
  const job = one("#images").dataset.job;
  const paths = [...picked];
  const drafts = await withButton(button, () => saveDrafts(job, paths.map((image) => ({ image, ...change }))));
  if (drafts === undefined) return;
  toast(`${paths.length} saved as drafts.`);
  clear();
  if (window.htmx) await window.htmx.ajax("GET", location.pathname + location.search, { target: "#main", select: "#main", swap: "outerHTML" });
  else location.reload();
  draw();
}
