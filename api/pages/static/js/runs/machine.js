// Processor, memory and GPU of a training, as sampled while it goes.
import { lines } from "../lib/chart.js";
import { all, bytes, one } from "../lib/dom.js";

const MOST = 240;
const NAMES = ["cpu_percent", "memory_bytes", "gpu_percent", "gpu_memory_bytes"];

// Answers a function that takes a sample of an event.
export function startMachine() {
  const box = one("#machine");
  const samples = JSON.parse(box.dataset.samples || "[]");
  const charts = new Map();

  async function draw() {
    one("#run-machine").hidden = samples.length === 0;
    for (const part of all(".machine-part", box)) {
      const at = Number(part.dataset.at);
      const newest = samples.at(-1)?.[at];
      const known = samples.some((sample) => sample[at] !== null && sample[at] !== undefined);
      part.hidden = !known;
      if (!known) continue;
      if (newest !== null && newest !== undefined) one("[data-now]", part).textContent = words(part, newest);
      const data = [samples.map((sample) => sample[0]), samples.map((sample) => sample[at] ?? null)];
      if (charts.has(part)) (await charts.get(part))?.setData(data);
      else charts.set(part, chart(part, data));
    }
  }

  draw();
  return (sample) => {
    samples.push([Date.now() / 1000, ...NAMES.map((name) => sample[name] ?? null)]);
    if (samples.length > MOST) samples.shift();
    draw();
  };
}

const words = (part, value) => (part.dataset.unit === "bytes" ? bytes(value) : `${value.toFixed(0)} %`);

function chart(part, data) {
  const name = one(".muted", part).textContent;
  return lines(one("[data-plot]", part), {
    label: `${name} over time; now ${one("[data-now]", part).textContent}`,
    height: 84,
    xTime: true,
    xAxis: false,
    yRange: [0, null],
    yFormat: (value) => words(part, value),
    sync: "machine",
    series: [{ label: name, color: "--info", width: 1.5 }],
    data,
  });
}
