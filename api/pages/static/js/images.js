// The images of a dataset: the grid, and each image in full over it.
import { startActions } from "./lib/actions.js";
import { one, toast } from "./lib/dom.js";
import { hiddenClasses, startGrid } from "./images/grid.js";
import { startViewer } from "./images/viewer.js";

startActions();

let viewer = null;
let overGrid = false; // whether closing shows the grid again, without reading it
let lastFocus = null;
let isStale = false; // whether a draft was saved since the grid was drawn
let turn = 0; // of what is to be drawn: an answer that comes late does not take the place of something newer

const bindGridKeys = one("#images") ? startGrid({ show: open }) : null;
if (one("#viewer")) start(one("#viewer"));

async function open(address, from) {
  lastFocus = from;
  const mine = ++turn;
  const section = await read(address);
  if (section === undefined || mine !== turn) return;
  if (!section) return location.assign(address);
  history.replaceState({ ...history.state, grid: true, htmx: undefined }, "");
  history.pushState({ viewer: true }, "", address);
  overGrid = true;
  place(section);
}

function place(section) {
  if (viewer) {
    viewer.end();
    one("#viewer").replaceWith(section);
  } else one("#main").append(section);
  start(section);
}

function start(section) {
  document.title = document.title.replace(/^.*? of /, () => `${one("h2", section).textContent.split("/").pop()} of `);
  viewer = startViewer(section, {
    hidden: hiddenClasses(section.dataset),
    close: () => (overGrid ? history.back() : location.assign(section.dataset.close)),
    show: (address) => replace(address),
    reload: () => {
      isStale = true;
      replace(location.href);
    },
  });
}

// So that Back closes the image, however many were looked at.
async function replace(address) {
  const mine = ++turn;
  const section = await read(address);
  if (section === undefined || mine !== turn) return;
  if (!section) return location.replace(address);
  history.replaceState({ viewer: true }, "", address);
  place(section);
}

// Null where the page is a problem: the browser then goes there itself. Undefined where no answer came: the service is
// away, or somebody is leaving this page, whose way must not be changed.
async function read(address) {
  let text;
  try {
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    if (!answer.ok) return null;
    text = await answer.text();
  } catch {
    toast("The service did not answer. Try again.");
    return undefined;
  }
  await styles();
  return one("#viewer", new DOMParser().parseFromString(text, "text/html"));
}

// Those of the full view are fetched with the first one.
function styles() {
  if (one('link[href$="css/viewer.css"]')) return null;
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = one('link[href$="css/images.css"]').getAttribute("href").replace("images.css", "viewer.css");
  return new Promise((resolve) => {
    link.onload = link.onerror = resolve;
    document.head.append(link);
  });
}

addEventListener("popstate", async () => {
  const isImage = new URLSearchParams(location.search).has("image");
  if (isImage || !viewer || !overGrid) return location.reload();
  const address = location.href;
  if (!(await viewer.leave())) return history.forward();
  if (address !== location.href) return;
  turn += 1;
  viewer.end();
  viewer = null;
  overGrid = false;
  one("#viewer").remove();
  bindGridKeys();
  if (isStale) return location.reload();
  lastFocus?.focus({ preventScroll: true });
});
