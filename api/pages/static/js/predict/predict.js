// Try it: images of a queue, or the camera, are sent to one model or two; what they answer is drawn.
import { announce, one, toast } from "../lib/dom.js";
import { showProblem } from "../lib/api.js";
import { reveal } from "../lib/clipboard.js";
import { keys } from "../lib/keys.js";
import { Camera } from "./camera.js";
import { startIntake } from "./intake.js";
import { ms, Pane } from "./pane.js";
import { Picker } from "./picker.js";
import { noticeLoading, predict, query, save, texts } from "./requests.js";
import { Settings } from "./settings.js";
import { Strip } from "./strip.js";

const page = one("#try");
const panes = { a: new Pane(one('[data-pane="a"]')), b: new Pane(one('[data-pane="b"]')) };
const pickers = { a: new Picker(one('[data-picker="a"]'), changed), b: new Picker(one('[data-picker="b"]'), changed) };
const settings = new Settings(page, { asked: changed, filtered: () => sides().forEach((key) => panes[key].filter(settings.least)) });
const strip = new Strip(one("[data-strip]"), select);
const camera = new Camera();
const second = one("[data-second]");
let work = null; // of the images: an AbortController while one is asked for
let resumes = false;

const sides = () => (second.hidden ? ["a"] : ["a", "b"]).filter((key) => pickers[key].value);
const asked = (key, more) => query(pickers[key].value, settings.options(pickers[key].kind), more);

startIntake(page, (files) => {
  if (!files.length) return;
  if (camera.isOn) camera.stop();
  const [first] = files.map(({ name, blob }) => strip.add(name, blob));
  select(first);
});
one("[data-camera]").addEventListener("click", () => (camera.isOn ? camera.stop() : startCamera()));
one("[data-beside]").addEventListener("click", toggleSecond);
one(".try-head").addEventListener("submit", (event) => event.preventDefault());
for (const [key, pane] of Object.entries(panes)) {
  pane.part("drawn").addEventListener("click", (event) => download(event.currentTarget, key, "annotated"));
  pane.part("receipt").addEventListener("click", (event) => download(event.currentTarget, key, "receipt"));
}
keys({ j: [() => strip.step(1), "Next image"], k: [() => strip.step(-1), "Image before"], w: [() => one("[data-camera]").click(), "Webcam on or off"] });
document.addEventListener("visibilitychange", () => {
  if (document.hidden && camera.isOn) {
    resumes = true;
    camera.stop();
  } else if (!document.hidden && resumes) {
    resumes = false;
    startCamera();
  }
});
addEventListener("pagehide", () => camera.stop());
models();

function select(item) {
  if (!item) return;
  strip.select(item);
  if (!sides().length) toast("Choose a project and a version: then it is asked.");
  for (const key of sides()) {
    panes[key].clear();
    panes[key].showImage(item.url, item.name);
  }
  show(item);
  pump();
}

// What is there of the answers for `item`.
function show(item) {
  if (strip.selected !== item || camera.isOn) return;
  for (const key of sides()) {
    const found = item.answers.get(String(asked(key)));
    if (found?.error) panes[key].problem(found.error);
    else if (found) panes[key].show(found.answer, found.seconds, settings.least);
    else panes[key].note("Asking the model …");
  }
  code(item.name, item.blob.type);
}

// One image at a time, the selected one first; of that one request to each model.
async function pump() {
  if (work || camera.isOn) return;
  const item = strip.next((each) => sides().every((key) => each.answers.has(String(asked(key)))));
  if (!item || !sides().length) return;
  work = new AbortController();
  const { signal } = work;
  strip.mark(item, "busy");
  await Promise.all(sides().map((key) => ask(item, key, signal)));
  const ended = signal.aborted;
  work = null;
  if (!ended) strip.mark(item, [...item.answers.values()].at(-1)?.error ? "failed" : "done");
  show(item);
  pump();
}

async function ask(item, key, signal) {
  const request = asked(key);
  const name = String(request);
  if (item.answers.has(name)) return;
  const note = (text) => strip.selected === item && panes[key].note(text);
  const answered = noticeLoading(pickers[key].value, () => note(loadingText(key)));
  try {
    const onWait = (problem) => note(waitText(key, problem));
    item.answers.set(name, await predict(request, item.blob, { signal, onWait }));
  } catch (error) {
    if (error.name !== "AbortError") item.answers.set(name, { error });
  } finally {
    answered();
  }
}

const loadingText = (key) => `Loading ${pickers[key].chosen.version} (first use) …`;
const waitText = (key, problem) => (problem.slug === "model-loading" ? loadingText(key) : `${problem.body.title}: asking again …`);

async function startCamera() {
  work?.abort();
  strip.select(null);
  const place = one("[data-intake-problem]");
  place.replaceChildren();
  live(true);
  let problem = null;
  try {
    await camera.run({
      show: async (stream) => {
        for (const key of ["a", "b"]) panes[key].clear();
        const videos = await Promise.all(sides().map(async (key) => (await panes[key].showVideo(stream), panes[key].part("video"))));
        announce("The camera is on.");
        return videos[0];
      },
      answer: (blob, signal) => Promise.all(sides().map((key) => frame(key, blob, signal))),
      report: ({ fps, lag }) => {
        one("[data-fps]").textContent = fps === null ? "–" : fps.toFixed(1);
        one("[data-lag]").textContent = ms(1000 * lag);
        one("[data-live-note]").textContent = "";
      },
    });
  } catch (error) {
    problem = error;
  }
  live(false);
  for (const pane of Object.values(panes)) pane.endVideo();
  if (strip.selected) show(strip.selected);
  else keepFrame();
  if (problem) showProblem(problem, { place });
}

let lastFrame = null;
async function frame(key, blob, signal) {
  const note = (text) => (one("[data-live-note]").textContent = text);
  const answered = noticeLoading(pickers[key].value, () => note(loadingText(key)));
  const onWait = (problem) => note(waitText(key, problem));
  const { answer, seconds } = await predict(asked(key), blob, { signal, onWait }).finally(answered);
  if (signal.aborted) return;
  const pane = panes[key];
  if (pane.part("video").hidden) await pane.showVideo(panes.a.part("video").srcObject);
  pane.show(answer, seconds, settings.least);
  if (!lastFrame) code("frame.jpg", "image/jpeg");
  lastFrame = blob;
}

// After the camera is stopped, its last frame stays as an image.
function keepFrame() {
  if (!lastFrame || resumes) return;
  const item = strip.add("frame.jpg", lastFrame);
  lastFrame = null;
  select(item);
}

function live(on) {
  one("[data-live]").hidden = !on;
  one("[data-camera-text]").textContent = on ? "Stop the webcam" : "Webcam";
  one("[data-camera]").setAttribute("aria-pressed", String(on));
  one("[data-fps]").textContent = one("[data-lag]").textContent = "–";
}

// Another model or another setting: what is known stays, what is not is asked for.
function changed() {
  models();
  lastFrame = camera.isOn ? null : lastFrame;
  if (camera.isOn) return;
  work?.abort();
  if (strip.selected) select(strip.selected);
}

function models() {
  for (const key of ["a", "b"]) panes[key].model = pickers[key].chosen;
  panes.b.root.hidden = second.hidden || !pickers.b.value;
  one("[data-panes]").classList.toggle("two", !panes.b.root.hidden);
  settings.ofKinds(new Set(sides().map((key) => pickers[key].kind)));
  const address = new URLSearchParams();
  if (pickers.a.value) address.set("model", pickers.a.value);
  if (!panes.b.root.hidden) address.set("beside", pickers.b.value);
  history.replaceState(history.state, "", `/ui/predict?${address}`);
}

async function toggleSecond() {
  const button = one("[data-beside]");
  second.hidden = !second.hidden;
  button.setAttribute("aria-expanded", String(!second.hidden));
  one("[data-plus]", button).hidden = !second.hidden;
  one("[data-beside-text]").textContent = second.hidden ? "Another beside it" : "Only one";
  if (!second.hidden && !pickers.b.value) {
    await pickers.b.load(pickers.a.project.value, { samples: false });
    const other = [...pickers.b.model.options].find((each) => each.dataset.version !== pickers.a.chosen.version && !each.dataset.reason);
    if (other) pickers.b.model.value = other.value;
  }
  changed();
}

function code(name, type) {
  const requests = sides().map((key) => asked(key));
  if (!requests.length) return;
  const found = texts(requests, name, type || "application/octet-stream", Boolean(page.dataset.token));
  one("[data-codes]").hidden = false;
  for (const [title, text] of Object.entries(found)) {
    const tab = one(`[data-codes] .code-tab[data-name="${title}"]`);
    one("code", tab).textContent = text;
    one("[data-copy]", tab).dataset.copy = text;
  }
  if (navigator.clipboard) reveal(one("[data-codes]"));
  one("[data-request-note]").textContent = settings.note;
}

async function download(button, key, what) {
  const item = strip.selected;
  if (!item) return;
  button.setAttribute("aria-busy", "true");
  try {
    const stem = item.name.replace(/\.[^.]*$/, "");
    if (what === "annotated") {
      const more = settings.own ? {} : { confidence: settings.least };
      const request = query(pickers[key].value, { ...settings.options(pickers[key].kind), ...more }, { annotated: true });
      save(await (await predict(request, item.blob, { raw: true })).blob(), `${stem}-predicted.jpg`);
    } else {
      const { answer } = await predict(asked(key, { receipt: true }), item.blob);
      save(new Blob([JSON.stringify(answer.receipt, null, 2)], { type: "application/json" }), `${stem}-receipt.json`);
    }
  } catch (error) {
    panes[key].part("problem").replaceChildren();
    showProblem(error, { place: panes[key].part("problem") });
  }
  button.removeAttribute("aria-busy");
}
