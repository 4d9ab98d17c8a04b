// A run as it goes: epochs, samples, log and state come by the stream of the page.
import { startActions } from "./lib/actions.js";
import { announce, duration, one } from "./lib/dom.js";
import { live } from "./lib/live.js";
import { refresh, throttled } from "./lib/refresh.js";
import { drawCurves, Figures } from "./runs/curves.js";
import { startLog } from "./runs/log.js";
import { startMachine } from "./runs/machine.js";

const PARTS = ["run-status", "run-actions", "run-outcome", "run-facts", "run-steps"];
const STATES = { waiting: "Reconnecting …", paused: "Paused while the tab is hidden", open: "Live", ended: "" };
const ENDED = ["succeeded", "failed", "cancelled"];

const page = one("#run");
let figures = null;
let redraw = () => {};

startActions();
await startCurves();
const addSample = startMachine();
const updateLog = startLog(page.dataset.run);
if (page.dataset.over === undefined) {
  setInterval(tick, 1000);
  follow();
}

async function startCurves() {
  if (!Figures.exist()) return;
  figures = new Figures();
  redraw = await drawCurves(figures);
}

function follow() {
  const stream = live([page.dataset.run], { last: page.dataset.position });
  const readLog = throttled(updateLog, 2);
  const readParts = throttled(() => refresh(...PARTS), 1);
  stream.onState((state) => (one("#stream-state").textContent = STATES[state] ?? ""));
  stream.on("*", (data, { type }) => {
    if (data.system) addSample(data.system);
    if (type === "progress" && data.progress?.epoch !== undefined) addEpoch(data.progress);
    else if (type !== "system" && type !== "end") readParts();
    if (data.state) changeState(data.state);
    readLog();
  });
}

// The page's own parts are read again where a metric is new, as all are in the first epoch.
async function addEpoch({ epoch, epochs, metrics = {}, seconds_left: left }) {
  if (!figures?.add(epoch, metrics ?? {})) {
    await refresh(...PARTS, "run-curves");
    await startCurves();
    return;
  }
  redraw();
  write("#epoch-now", epoch.toLocaleString("en"));
  write("#time-left", !left ? "–" : duration(left));
  const bar = one("#run-progress");
  if (bar && epochs) bar.value = epoch / epochs;
  const name = one("#main-best")?.dataset.name;
  const best = name && figures.best(name);
  if (best) {
    write("#main-now", metrics[name]?.toFixed(3) ?? "–");
    write("#main-best", best.value.toFixed(3));
    write("#main-best-epoch", best.epoch);
  }
}

function changeState(state) {
  if (page.dataset.state === state) return;
  page.dataset.state = state;
  announce(`The run is ${state}.`);
  const follows = one("#log-follow");
  if (follows && ENDED.includes(state)) follows.hidden = true;
}

function tick() {
  const since = one("[data-since]");
  if (since) since.textContent = duration((Date.now() - Date.parse(since.dataset.since)) / 1000);
}

function write(selector, text) {
  const place = one(selector);
  if (place) place.textContent = text;
}
