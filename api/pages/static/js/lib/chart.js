// Lines over a common x axis, by uPlot, in the colours of the theme. Canvas text is unreadable to a screen reader: give
// `label`, and keep the figures in a table of the page.
//
//   const chart = await lines(element, { label, xLabel: "epoch", series: [{ label: "loss", color: "--class-4" }], data });
//   chart.setData([[1, 2, 3], [0.9, 0.7, 0.6]]);   // as often as wanted
//
// `series[].dash`: e.g. [4, 3], so that colour is not the only difference. `yRange`: [low, high], null for "as the data".
// `onCursor(index)`: the point under the pointer, or null. `sync`: charts of the same name share the pointer.
// `xWhole`: no ticks between whole numbers. `yFormat(value)`: the text of a tick. Dragging over the chart zooms, a
// double click shows all again.
// Without the vendor files, `lines` resolves to null.
import { cssColor } from "./theme.js";
import { make } from "./dom.js";

const FONT = "12px ui-sans-serif, system-ui, sans-serif";
// Pixels beside an axis for the longest of its labels, at about 7 each character.
const roomFor = (_plot, labels) => Math.max(52, 14 + 7 * Math.max(0, ...(labels ?? []).map((label) => String(label).length)));
const HEIGHT = 220;
const WHOLE = Array.from({ length: 7 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();
const tick = (value) => value?.toLocaleString("en", { maximumSignificantDigits: 6 }) ?? "";
let library;

export async function lines(element, options) {
  const uPlot = await load();
  if (!uPlot) {
    element.replaceChildren(make("p", { class: "chart-empty" }, "Charts need uPlot; the footer says how to fetch it."));
    return null;
  }
  return new Lines(uPlot, element, options);
}

class Lines {
  #uPlot;
  #element;
  #options;
  #plot = null;
  #data;
  #frame = 0;
  #observer;
  #hidden = new Set();

  constructor(uPlot, element, options) {
    this.#uPlot = uPlot;
    this.#element = element;
    this.#options = options;
    this.#data = options.data ?? [[], ...options.series.map(() => [])];
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", options.label);
    this.#draw();
    this.#observer = new ResizeObserver(() => this.#resize());
    this.#observer.observe(element);
    document.addEventListener("darkroom:theme", this.#redraw);
  }

  setData(data) {
    this.#data = data;
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#update());
  }

  showSeries(index, visible) {
    if (visible) this.#hidden.delete(index);
    else this.#hidden.add(index);
    this.#plot.setSeries(index + 1, { show: visible });
  }

  // A part that somebody has zoomed into stays.
  #update() {
    const x = this.#plot.data[0];
    const { min, max } = this.#plot.scales.x;
    const zoomed = x.length > 1 && (min > x[0] || max < x[x.length - 1]);
    this.#plot.setData(this.#data, !zoomed);
    if (zoomed) this.#plot.redraw();
  }

  destroy() {
    this.#observer.disconnect();
    document.removeEventListener("darkroom:theme", this.#redraw);
    this.#plot.destroy();
  }

  #redraw = () => {
    this.#plot.destroy();
    this.#draw();
  };

  #resize() {
    const width = this.#element.clientWidth;
    if (width && Math.abs(width - this.#plot.width) > 1) this.#plot.setSize({ width, height: this.#height });
  }

  // Where all is 0, uPlot would draw 0 to 100.
  #range = (_plot, low, high) => {
    if (low === null) return [null, null];
    return low === 0 && high === 0 ? [0, 1] : this.#uPlot.rangeNum(low, high, 0.1, true);
  };

  get #height() {
    return this.#options.height ?? HEIGHT;
  }

  #draw() {
    const { series, xLabel, yRange, xTime = false, xWhole = false, onCursor, legend = false, sync, yFormat = tick, xAxis = true } = this.#options;
    const axis = {
      stroke: cssColor("--muted"),
      font: FONT,
      labelFont: FONT,
      grid: { stroke: cssColor("--line"), width: 1 },
      ticks: { stroke: cssColor("--line"), width: 1, size: 4 },
    };
    const settings = {
      width: this.#element.clientWidth || 480,
      height: this.#height,
      legend: { show: legend },
      cursor: { points: { size: 7 }, drag: { x: true, y: false }, ...(sync ? { sync: { key: sync } } : {}) },
      scales: { x: { time: xTime }, y: { range: yRange ? (_plot, low, high) => [yRange[0] ?? low, yRange[1] ?? high] : this.#range } },
      axes: [
        { ...axis, label: xLabel, labelSize: xLabel ? 18 : 0, size: 28, space: 56, show: xAxis, ...(xWhole ? { incrs: WHOLE } : {}) },
        { ...axis, size: roomFor, values: (_plot, ticks) => ticks.map(yFormat) },
      ],
      series: [
        { label: xLabel ?? "x" },
        ...series.map((each, index) => ({
          label: each.label,
          show: !this.#hidden.has(index),
          stroke: cssColor(each.color ?? "--accent"),
          width: each.width ?? 1.75,
          dash: each.dash,
          spanGaps: true,
          points: { show: this.#data[0].length < 3 },
        })),
      ],
      hooks: onCursor ? { setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)] } : {},
    };
    this.#plot = new this.#uPlot(settings, this.#data, this.#element);
  }
}

// Relative to this module, so that it comes from the same release.
async function load() {
  library ??= (async () => {
    try {
      addStyle(new URL("../../vendor/uplot.css", import.meta.url));
      return (await import(new URL("../../vendor/uplot.js", import.meta.url))).default;
    } catch {
      return null; // the vendor files are not there
    }
  })();
  return library;
}

function addStyle(href) {
  document.head.append(make("link", { rel: "stylesheet", href }));
}
