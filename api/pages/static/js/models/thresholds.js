// The slider: the figures beside it, the mark in the chart, and the boxes of the images, all at one threshold.
import { lines } from "../lib/chart.js";
import { all, one } from "../lib/dom.js";

const panel = one("#threshold");
const curve = JSON.parse(panel.dataset.curve);
const chosen = Number(panel.dataset.chosen);
const ofClass = panel.dataset.class;
const slider = one("#slider");
const output = one("#slider-value");
let threshold = chosen;
let frame = 0;

const chart = await lines(one("#threshold-chart"), {
  label: "Precision, recall and F1 over the threshold; the same figures are in the table below",
  xLabel: "threshold",
  yRange: [0, 1],
  series: [
    { label: "Precision", color: "--curve-precision", dash: [7, 3] },
    { label: "Recall", color: "--curve-recall", dash: [2, 3] },
    { label: "F1", color: "--curve-f1", width: 2.5 },
    { label: "threshold", color: "--text", width: 1.5 },
    { label: "of the version", color: "--muted", width: 1, dash: [4, 4] },
  ],
  data: data(),
});

// A vertical line is two points at nearly one x: it follows the curve's points in their order.
function data() {
  const marks = [chosen, chosen + 1e-6, threshold, threshold + 1e-6];
  const x = [...new Set([...curve.x, ...marks])].sort((a, b) => a - b);
  const at = new Map(curve.x.map((value, index) => [value, index]));
  const values = (name) => x.map((value) => (at.has(value) ? curve[name][at.get(value)] : undefined));
  const line = (place) => x.map((value) => (value === place ? 0 : value === place + 1e-6 ? 1 : undefined));
  return [x, values("precision"), values("recall"), values("f1"), line(threshold), line(chosen)];
}

function apply() {
  output.textContent = threshold.toFixed(2);
  slider.setAttribute("aria-valuetext", threshold.toFixed(2));
  const place = nearest(threshold);
  for (const name of ["precision", "recall", "f1"]) {
    const value = curve[name][place];
    one(`[data-at="${name}"]`).textContent = value === null ? "–" : value.toFixed(3);
  }
  chart?.setData(data());
  for (const image of all("#answers .answer")) draw(image);
}

const nearest = (value) => {
  let best = 0;
  for (const [index, each] of curve.x.entries()) if (Math.abs(each - value) < Math.abs(curve.x[best] - value)) best = index;
  return best;
};

const counts = (box) => ofClass === "" || box.dataset.class === ofClass;

// A box is right where it matches a label; a label is missed where no box above the threshold does.
function draw(image) {
  if (image.dataset.score !== undefined) return drawLabel(image);
  const boxes = all("g.box", image);
  const met = new Set();
  const found = { right: 0, false: 0, missed: 0 };
  for (const box of boxes) {
    if (box.dataset.score === undefined) continue;
    const visible = counts(box) && Number(box.dataset.score) > threshold;
    show(box, visible);
    if (!visible) continue;
    const isRight = box.dataset.partner !== "-1";
    if (isRight) met.add(box.dataset.partner);
    found[isRight ? "right" : "false"]++;
  }
  for (const box of boxes) {
    if (box.dataset.score !== undefined) continue;
    show(box, counts(box));
    if (!counts(box)) continue;
    const isMet = met.has(box.dataset.partner);
    box.classList.toggle("met", isMet);
    box.classList.toggle("missed", !isMet);
    if (!isMet) found.missed++;
  }
  for (const [name, count] of Object.entries(found)) one(`[data-${name}-count]`, image).textContent = count;
}

function drawLabel(image) {
  const unsure = Number(image.dataset.score) <= threshold;
  image.classList.toggle("is-unsure", unsure);
  one("[data-unsure]", image).hidden = !unsure;
}

function show(box, visible) {
  if (visible) box.removeAttribute("visibility");
  else box.setAttribute("visibility", "hidden");
}

function move(value) {
  threshold = value;
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(apply);
}

slider.addEventListener("input", () => move(Number(slider.value)));
one("#slider-reset").addEventListener("click", () => {
  slider.value = chosen.toFixed(2);
  move(chosen);
});
document.addEventListener("htmx:afterSwap", () => apply());
apply();
