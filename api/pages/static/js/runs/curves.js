// The curves of a run, from the table of its figures, which is there for those who do not see a chart.
import { lines } from "../lib/chart.js";
import { all, make, one } from "../lib/dom.js";

const COLORS = ["--accent", "--info", "--success", "--danger", "--muted", "--text"];
const DASHES = [undefined, [6, 4], [2, 3], [9, 3, 2, 3]];
const HEIGHTS = { metrics: 250 };

// `names` of the metrics, and per epoch the figures in their order. `add` answers false for metrics that it does not know.
export class Figures {
  #table = one("#figures");
  names = all("th[data-name]", this.#table).map((cell) => cell.dataset.name);
  #epochs = [];
  #values = [];

  constructor() {
    for (const row of this.#table.tBodies[0].rows) {
      const [epoch, ...values] = [...row.cells].map((cell) => number(cell.textContent));
      this.#epochs.push(epoch);
      this.#values.push(values);
    }
  }

  static exist() {
    return one("#figures") !== null;
  }

  add(epoch, metrics) {
    if (Object.keys(metrics).some((name) => !this.names.includes(name))) return false;
    const values = this.names.map((name) => metrics[name] ?? null);
    const known = this.#epochs.indexOf(epoch);
    const row = make(
      "tr",
      {},
      make("th", { scope: "row" }, String(epoch)),
      ...values.map((value) => make("td", {}, value === null ? "–" : text(value))),
    );
    if (known >= 0) {
      this.#values[known] = values;
      this.#table.tBodies[0].rows[known].replaceWith(row);
      return true;
    }
    let at = this.#epochs.length; // an attempt that goes on from a checkpoint repeats epochs
    while (at > 0 && this.#epochs[at - 1] > epoch) at -= 1;
    this.#epochs.splice(at, 0, epoch);
    this.#values.splice(at, 0, values);
    this.#table.tBodies[0].insertBefore(row, this.#table.tBodies[0].rows[at] ?? null);
    one("#figures-count").textContent = this.#epochs.length.toLocaleString("en");
    return true;
  }

  // A copy: a chart compares what it drew with what is there now.
  of(names) {
    const places = names.map((name) => this.names.indexOf(name));
    return [[...this.#epochs], ...places.map((place) => this.#values.map((values) => values[place]))];
  }

  // The highest value, and its epoch.
  best(name) {
    const place = this.names.indexOf(name);
    let found = null;
    for (const [index, values] of this.#values.entries()) {
      const value = values[place];
      if (value !== null && (found === null || value > found.value)) found = { value, epoch: this.#epochs[index] };
    }
    return found;
  }
}

// Resolves to a function that draws what `figures` has by then.
export async function drawCurves(figures) {
  const charts = await Promise.all(all("[data-chart]").map((card) => new Curves(card, figures).ready));
  return () => charts.forEach((chart) => chart.update());
}

class Curves {
  #buttons;
  #names;
  #figures;
  #chart = null;
  #at = null; // the point under the pointer

  constructor(card, figures) {
    this.#figures = figures;
    this.#buttons = all("[data-series]", card);
    this.#names = this.#buttons.map((button) => button.dataset.series);
    this.#buttons.forEach((button, index) => button.addEventListener("click", () => this.#toggle(button, index)));
    this.ready = this.#draw(card);
  }

  async #draw(card) {
    const data = this.#figures.of(this.#names);
    this.#chart = await lines(one("[data-plot]", card), {
      label: `${one("h2", card).textContent} by epoch: ${this.#names.join(", ")}. The table below has the figures.`,
      height: HEIGHTS[card.dataset.chart] ?? 190,
      xLabel: "epoch",
      xWhole: true,
      sync: "epochs",
      series: this.#buttons.map(({ dataset }) => ({
        label: dataset.series,
        color: COLORS[dataset.color % COLORS.length],
        dash: DASHES[dataset.dash % DASHES.length],
        width: 2,
      })),
      data,
      onCursor: (index) => {
        this.#at = index;
        this.#write();
      },
    });
    this.#write();
    return this;
  }

  update() {
    this.#chart?.setData(this.#figures.of(this.#names));
    this.#write();
  }

  #toggle(button, index) {
    const visible = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", visible);
    this.#chart?.showSeries(index, visible);
  }

  // The figures at the pointer, or the newest ones.
  #write() {
    const [epochs, ...series] = this.#figures.of(this.#names);
    const at = this.#at ?? epochs.length - 1;
    this.#buttons.forEach((button, index) => {
      const value = series[index][at];
      one(".legend-value", button).textContent = value === null || value === undefined ? "–" : text(value);
      button.title = epochs.length ? `Epoch ${epochs[at]}. Press to hide or draw the line.` : "";
    });
  }
}

// As `%.4g` of the server.
export function text(value) {
  const short = value.toPrecision(4);
  return short.includes("e") ? value.toExponential(3).replace(/\.?0+e/, "e") : short.includes(".") ? short.replace(/\.?0+$/, "") : short;
}

function number(content) {
  const value = parseFloat(content);
  return Number.isNaN(value) ? null : value;
}
