// One image, what both versions answer for it: under a curtain, or side by side.
import { all, make, makeSvg, one } from "../lib/dom.js";
import { open } from "../lib/dialog.js";
import { keys } from "../lib/keys.js";

const LABEL_PX = 12;
const SIDES = ["first", "second"];

let at = 0;

export function startViewer() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-open]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const pairs = all("[data-pair]");
    at = pairs.indexOf(link.closest("[data-pair]"));
    draw();
    open(one("#viewer"));
    fit();
    if (!one("[data-curtain-field]").hidden) one("[data-curtain]").focus(); // its arrow keys move the curtain
  });
  document.addEventListener("change", (event) => event.target.closest("[data-modes], [data-truth]") && draw());
  document.addEventListener("input", (event) => event.target.matches("[data-curtain]") && cut(event.target.value));
  document.addEventListener("click", (event) => {
    const step = event.target.closest("[data-step]");
    if (step) move(Number(step.dataset.step));
  });
  addEventListener("resize", fit);
  keys({
    j: [() => isOpen() && move(1), "Next image"],
    k: [() => isOpen() && move(-1), "Previous image"],
    g: [() => isOpen() && one("[data-truth]").click(), "Ground truth"],
    s: [() => isOpen() && other(), "Curtain or side by side"],
  });
}

const isOpen = () => one("#viewer")?.open;

function move(by) {
  const count = all("[data-pair]").length;
  at = Math.min(count - 1, Math.max(0, at + by));
  draw();
}

function other() {
  one("#viewer input[name=mode]:not(:checked)").click();
}

function draw() {
  const pairs = all("[data-pair]");
  const item = pairs[at];
  if (!item) return;
  const pair = JSON.parse(item.dataset.pair);
  const list = item.closest("[data-job]").dataset;
  const size = { width: Number(item.dataset.width), height: Number(item.dataset.height) };
  const source = `/dataset/images/${list.job}/${item.dataset.sha}?size=2048`;
  const isClassifier = pair.label !== null;
  const beside = isClassifier || one("#viewer input[name=mode]:checked").value === "beside";
  const truth = one("[data-truth]").checked ? pair.truth : [];
  one("[data-viewer-name]").textContent = pair.path;
  one("[data-viewer-place]").textContent = `${at + 1} of ${pairs.length}`;
  for (const button of all("#viewer [data-step]")) button.disabled = !pairs[at + Number(button.dataset.step)];
  one("[data-modes]").hidden = one("[data-truth]").parentElement.hidden = isClassifier;
  one("[data-curtain-field]").hidden = beside;
  const stages = one("[data-stages]");
  stages.classList.toggle("beside", beside);
  const names = { first: list.first, second: list.second };
  stages.replaceChildren(...(beside ? SIDES.map((side) => stage(source, size, pair, [side], truth, names)) : [stage(source, size, pair, SIDES, truth, names)]));
  cut(one("[data-curtain]").value);
  fit();
}

function stage(source, size, pair, sides, truth, names) {
  const box = make("div", { class: `viewer-stage${sides.length > 1 ? " curtain" : ""}` });
  box.style.setProperty("--ratio", String(size.width / size.height));
  box.append(make("img", { src: source, alt: `${pair.path}: ${sides.map((side) => `${names[side]} ${pair[side].caption}`).join("; ")}` }));
  for (const side of sides) {
    const layer = makeSvg("svg", { viewBox: `0 0 ${size.width} ${size.height}`, class: `side-${side}`, "aria-hidden": "true" });
    for (const each of truth) layer.append(...rectangle(each, "truth", ""));
    for (const each of pair[side].boxes) layer.append(...rectangle(each, each.outcome, words(each)));
    box.append(layer);
  }
  for (const [index, side] of sides.entries()) {
    box.append(make("span", { class: `tag ${index ? "right" : "left"}` }, make("b", {}, names[side]), ` ${pair[side].caption}`));
  }
  if (sides.length > 1) {
    box.append(make("span", { class: "curtain-line" }));
    drag(box);
  }
  return box;
}

const words = (box) => (box.outcome === "missed" ? `missed ${box.class}` : `${box.class} ${box.score.toFixed(2)}${box.outcome === "false" ? " false" : ""}`);

function rectangle({ x, y, width, height }, kind, text) {
  const place = { x, y, width, height };
  const parts = [makeSvg("rect", { ...place, class: "answer under" }), makeSvg("rect", { ...place, class: `answer ${kind}` })];
  if (text) parts.push(makeSvg("text", { x, y, "data-y": y }, text));
  return parts;
}

// Names keep their size on the screen.
function fit() {
  for (const layer of all("#viewer .viewer-stage svg")) {
    const scale = layer.viewBox.baseVal.width / (layer.clientWidth || 1);
    for (const text of all("text", layer)) {
      const y = Number(text.dataset.y);
      text.setAttribute("font-size", LABEL_PX * scale);
      text.setAttribute("stroke-width", 3 * scale);
      text.setAttribute("y", y > 18 * scale ? y - 5 * scale : y + 14 * scale);
    }
  }
}

function cut(value) {
  for (const each of all("#viewer .viewer-stage")) each.style.setProperty("--cut", `${value}%`);
}

function drag(box) {
  const set = (event) => {
    const { left, width } = box.getBoundingClientRect();
    const value = Math.round(Math.min(100, Math.max(0, (100 * (event.clientX - left)) / width)));
    one("[data-curtain]").value = value;
    cut(value);
  };
  box.addEventListener("pointerdown", (event) => {
    box.setPointerCapture(event.pointerId);
    set(event);
  });
  box.addEventListener("pointermove", (event) => box.hasPointerCapture(event.pointerId) && set(event));
}
