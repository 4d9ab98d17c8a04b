// One image in full: zoom, boxes, the next one, and the editor of its labels.
import { withButton } from "../lib/api.js";
import { BoxLayer } from "../lib/boxes.js";
import { reveal } from "../lib/clipboard.js";
import { announce, one, toast } from "../lib/dom.js";
import { keys } from "../lib/keys.js";
import { discardDraft, saveDraft } from "./drafts.js";
import { startEditor } from "./editor.js";
import { Stage } from "./stage.js";

// `section`: the `#viewer` of a page. `host`: {close(), show(address), reload(), hidden: Set of class numbers}. Returns
// {close()}, which resolves to false where somebody keeps editing.
export function startViewer(section, host) {
  const data = JSON.parse(section.dataset.image);
  const classes = JSON.parse(section.dataset.classes);
  const draft = section.dataset.draft ? JSON.parse(section.dataset.draft) : null;
  const view = { section, data, classes, draft, host, job: data.job };
  const restore = alone(section);
  const photo = one("[data-photo]", section);
  view.layer = new BoxLayer(one("[data-boxes-layer]", section));
  view.stage = new Stage(one("[data-stage]", section), one("[data-canvas]", section), data, (scale) => {
    view.layer.setScale(scale);
    one(".zoom-share", section).textContent = `${Math.round(100 * scale)} %`;
    if (scale * data.width > 2048 && photo.dataset.whole === undefined) sharpen(photo, section.dataset.original);
  });
  view.svg = one("[data-boxes-layer]", section);
  view.boxes = boxesOf(data, classes, draft);
  view.redraw = () => {
    view.layer.draw(view.boxes);
    view.layer.hide(host.hidden);
  };
  view.redraw();
  photo.classList.toggle("taken-out", Boolean(draft?.remove));
  view.editor = startEditor(view);

  const go = async (link) => {
    if (link?.hasAttribute("href") && (await view.editor.leave())) host.show(link.href);
  };
  const leave = async () => (await view.editor.leave()) && host.close();
  const actions = {
    "[data-viewer-close]": leave,
    "[data-previous]": () => go(one("[data-previous]", section)),
    "[data-next]": () => go(one("[data-next]", section)),
    "[data-show]": (button) => go(button),
    "[data-boxes]": () => toggleBoxes(section),
    "[data-edit]": () => view.editor.toggle(),
    "[data-discard-draft]": (button) => discard(view, button),
    "[data-label]": (button) => save(view, button, { label: button.dataset.label }),
    "[data-accept]": (button) => save(view, button, { accept: true }),
    '[data-zoom="in"]': () => view.stage.zoom(1.5),
    '[data-zoom="out"]': () => view.stage.zoom(1 / 1.5),
    '[data-zoom="fit"]': () => view.stage.fit(),
  };
  section.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    for (const [selector, action] of Object.entries(actions)) {
      const target = event.target.closest(selector);
      if (!target) continue;
      event.preventDefault();
      action(target);
      return;
    }
  });
  const unbind = keys({
    ArrowRight: [(event) => view.editor.arrow(event) || go(one("[data-next]", section)), "Next image"],
    ArrowLeft: [(event) => view.editor.arrow(event) || go(one("[data-previous]", section)), "Previous image"],
    Escape: [() => view.editor.escape() || leave(), "Close"],
    b: [() => toggleBoxes(section), "Boxes on or off"],
    e: [() => view.editor.toggle(), "Edit"],
    "+": [() => view.stage.zoom(1.5), "Larger"],
    "-": [() => view.stage.zoom(1 / 1.5), "Smaller"],
    0: [() => view.stage.fit(), "Fit the window"],
    ...view.editor.keys,
  });
  loadNear(section);
  prefetch(section);
  reveal(section);
  section.focus({ preventScroll: true });
  announce(section.getAttribute("aria-label"));
  if (location.hash === "#edit") view.editor.toggle(); // a link to correct this image
  return {
    leave: () => view.editor.leave(),
    end() {
      unbind();
      view.editor.end();
      view.stage.close();
      restore();
    },
  };
}

// As the draft has them, or else as the dataset does.
export function boxesOf(data, classes, draft) {
  if (draft?.boxes) {
    const milli = (value) => Math.round(1000 * value);
    return draft.boxes.map((box) => ({
      c: classes.indexOf(box.class),
      name: box.class,
      x1: milli(box.x1),
      y1: milli(box.y1),
      x2: milli(box.x2),
      y2: milli(box.y2),
      difficult: false,
    }));
  }
  return data.boxes.map(([c, x1, y1, x2, y2, difficult]) => ({ c, name: classes[c], x1, y1, x2, y2, difficult: Boolean(difficult) }));
}

// A change that needs no editor. Resolves to whether it was saved.
export async function save(view, button, change, { newClasses = false } = {}) {
  const correction = { image: view.data.path, ...change };
  const place = one("#viewer-problem", view.section);
  const saved = await withButton(button, () => saveDraft(view.job, correction, { seenAt: view.section.dataset.draftAt, newClasses }), { place });
  if (!saved) return false;
  toast("Saved as a draft.");
  view.editor.forget();
  view.host.reload();
  return true;
}

async function discard(view, button) {
  const place = one("#viewer-problem", view.section);
  const done = await withButton(button, async () => {
    await discardDraft(view.job, view.section.dataset.draftId);
    return true;
  }, { place });
  if (!done) return;
  toast("The draft is discarded.");
  view.editor.forget();
  view.host.reload();
}

function toggleBoxes(section) {
  const hidden = section.classList.toggle("no-boxes");
  const button = one("[data-boxes]", section);
  button?.setAttribute("aria-pressed", String(!hidden));
  announce(hidden ? "Boxes are hidden." : "Boxes are drawn.");
}

// A large image is first a smaller one.
function sharpen(photo, original) {
  photo.dataset.whole = "";
  if (photo.src.endsWith(original)) return;
  const whole = new Image();
  whole.addEventListener("load", () => (photo.src = original));
  whole.src = original;
}

// Nothing else of the page takes the focus or is read to anybody.
function alone(section) {
  const changed = [];
  for (let element = section; element !== document.body; element = element.parentElement) {
    for (const other of element.parentElement.children) {
      if (other === element || other.inert || other.matches("dialog, script, .toasts, #announcer")) continue;
      other.inert = true;
      changed.push(other);
    }
  }
  return () => changed.forEach((element) => (element.inert = false));
}

async function loadNear(section) {
  const place = one("[data-near]", section);
  const answer = await fetch(place.dataset.near, { headers: { accept: "text/html" } }).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  place.replaceChildren(...page.body.childNodes);
}

// The thumbnails of the page are there; the next image is fetched before somebody wants it.
async function prefetch(section) {
  const next = one("[data-next][href]", section);
  if (!next) return;
  const answer = await fetch(next.href, { headers: { accept: "text/html" } }).catch(() => null);
  if (!answer?.ok || !section.isConnected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const photo = one("[data-photo]", page);
  if (photo) new Image().src = photo.getAttribute("src");
}
