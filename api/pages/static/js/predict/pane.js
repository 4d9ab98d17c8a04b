// One model's side of the page: the image or the camera, what was answered for it, and what answered.
import { showProblem } from "../lib/api.js";
import { reveal } from "../lib/clipboard.js";
import { make, one } from "../lib/dom.js";
import { drawBars, drawBoxes, percent } from "./draw.js";

const LISTED = 50;
const STAGES = ["queued", "decode", "preprocess", "inference", "postprocess"];

export class Pane {
  constructor(root) {
    this.root = root;
    this.part = (name) => one(`[data-${name}]`, root);
    this.current = null; // {answer, seconds, least}
    new ResizeObserver(() => this.#draw()).observe(this.part("overlay"));
    this.part("found").addEventListener("pointerover", (event) => this.#mark(event.target.closest("li")));
    this.part("found").addEventListener("pointerleave", () => this.#mark(null));
    this.part("found").addEventListener("focusin", (event) => this.#mark(event.target.closest("li")));
    this.part("found").addEventListener("focusout", () => this.#mark(null));
    this.part("found").addEventListener("keydown", step);
  }

  set model({ value, version, reason }) {
    this.part("name").textContent = value;
    this.part("reason").hidden = !reason;
    this.part("reason-text").textContent = reason ?? "";
    const [project, number] = (version ?? "").split("/v");
    if (number) this.part("reason-link").href = `/ui/projects/${encodeURIComponent(project)}/versions/${number}#exports`;
  }

  showImage(url, name) {
    const image = this.part("image");
    this.part("video").hidden = true;
    image.hidden = false;
    image.alt = name;
    if (image.getAttribute("src") === url) return;
    image.classList.remove("broken");
    image.src = url;
    image.onerror = () => image.classList.add("broken"); // what the service cannot read either is said below
    image.onload = () => this.#size(image.naturalWidth, image.naturalHeight);
  }

  showVideo(stream) {
    const video = this.part("video");
    this.part("image").hidden = true;
    video.hidden = false;
    video.srcObject = stream;
    video.onresize = () => this.#size(video.videoWidth, video.videoHeight);
    return video.play();
  }

  endVideo() {
    const video = this.part("video");
    video.srcObject = null;
    video.hidden = true;
  }

  // `least`: boxes below that score are not drawn.
  show(answer, seconds, least) {
    this.current = { answer, seconds, least };
    this.part("problem").replaceChildren();
    this.part("body").hidden = false;
    this.note("");
    const [image] = answer.images;
    this.#size(image.width, image.height);
    this.#list();
    this.#facts();
    this.#draw();
  }

  filter(least) {
    if (!this.current) return;
    this.current.least = least;
    this.#list();
    this.#draw();
  }

  clear() {
    this.current = null;
    this.part("overlay").replaceChildren();
    this.part("bars").hidden = true;
    this.part("count").textContent = "";
    this.part("body").hidden = true;
    this.part("problem").replaceChildren();
  }

  problem(error) {
    this.clear();
    this.note("");
    this.part("reason").hidden = true; // the problem says more
    showProblem(error, { place: this.part("problem") });
  }

  note(text) {
    this.part("note").hidden = !text;
    this.part("note").textContent = text;
  }

  get boxes() {
    const [image] = this.current.answer.images;
    return (image.boxes ?? []).filter((box) => box.score >= this.current.least);
  }

  #size(width, height) {
    if (width && height) this.part("stage").style.setProperty("--ratio", String(width / height));
  }

  #draw(marked = null) {
    if (!this.current) return;
    const [{ width, height, labels = [] }] = this.current.answer.images;
    drawBoxes(this.part("overlay"), { width, height, boxes: this.boxes, marked });
    drawBars(this.part("bars"), labels);
  }

  #mark(item) {
    const index = item?.dataset.index;
    this.#draw(index === undefined ? null : Number(index));
  }

  #list() {
    const [image] = this.current.answer.images;
    const isDetector = !(image.labels ?? []).length;
    const rows = isDetector ? this.boxes : image.labels;
    const hidden = isDetector ? image.boxes.length - rows.length : 0;
    const things = isDetector ? (rows.length === 1 ? "box" : "boxes") : rows.length === 1 ? "class" : "classes";
    this.part("count").textContent = `${rows.length} ${things}`;
    this.part("found").replaceChildren(
      ...rows.slice(0, LISTED).map((row, index) => {
        const fill = make("span", { class: `bar c${row.class_index % 12}` });
        fill.style.setProperty("inline-size", `${100 * row.score}%`);
        const name = make("span", { class: `class-name c${row.class_index % 12}` }, make("span", { class: "dot", "aria-hidden": "true" }), make("bdi", { title: row.label }, row.label));
        const attributes = isDetector ? { "data-index": index, tabindex: index ? "-1" : "0" } : {};
        return make("li", attributes, name, make("span", { class: "track", "aria-hidden": "true" }, fill), make("span", { class: "score" }, percent(row.score)));
      }),
    );
    const notes = [];
    if (!rows.length) notes.push("Nothing was found above the threshold.");
    if (rows.length > LISTED) notes.push(`The first ${LISTED} of ${rows.length}.`);
    if (hidden) notes.push(`${hidden} below the threshold.`);
    this.part("more").textContent = notes.join(" ");
  }

  #facts() {
    const { answer, seconds } = this.current;
    const [image] = answer.images;
    const { model } = answer;
    const [project, number] = model.name.split("/v");
    const link = make("a", { href: `/ui/projects/${encodeURIComponent(project)}/versions/${number}` }, model.name);
    const copy = make("button", { type: "button", class: "copy", "data-copy": model.sha256, "aria-label": "Copy the sha256", hidden: true });
    copy.append(document.querySelector(".code-box .copy svg")?.cloneNode(true) ?? "Copy");
    const rows = [
      ["Version", link],
      ["sha256", make("span", { class: "hash" }, make("code", { title: model.sha256 }, model.sha256.slice(0, 12)), copy)],
      ["Engine", `${model.engine}, ${model.precision}`],
      ["Image", `${image.width} × ${image.height} px${image.orientation > 1 ? `, turned upright (EXIF ${image.orientation})` : ""}${image.tiles ? `, in ${image.tiles} tiles` : ""}`],
    ];
    this.part("facts").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
    if (navigator.clipboard) reveal(this.part("facts"));
    this.#latency(image.milliseconds ?? {}, 1000 * seconds);
  }

  #latency(stages, whole) {
    const loading = stages.loading ?? 0; // of the model: later images do not wait for it
    const spent = whole - loading;
    const known = STAGES.filter((name) => name in stages);
    const parts = known.map((name) => [name, stages[name]]);
    const rest = spent - parts.reduce((sum, [, value]) => sum + value, 0);
    if (rest > 0) parts.push(["network, API", rest]);
    const bar = make("div", { class: "latency-bar", "aria-hidden": "true" });
    for (const [index, [, value]] of parts.entries()) {
      const piece = make("span", { class: `piece p${index}` });
      piece.style.setProperty("flex-grow", String(value));
      bar.append(piece);
    }
    const words = parts.map(([name, value], index) => make("span", {}, make("span", { class: `key p${index}`, "aria-hidden": "true" }), `${name} ${ms(value)}`));
    const before = loading ? make("span", { class: "muted", "data-loading": true }, `, after ${ms(loading)} of loading the model (first use)`) : null;
    this.part("latency").replaceChildren(make("p", {}, make("b", {}, ms(spent)), " for this image", before), bar, make("p", { class: "latency-words" }, ...words));
  }
}

// The list is one stop of the Tab key; arrows go through it.
function step(event) {
  const item = event.target.closest("li");
  const next = { ArrowDown: item?.nextElementSibling, ArrowUp: item?.previousElementSibling }[event.key];
  if (!next) return;
  event.preventDefault();
  item.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

export const ms = (value) => (value < 10 ? `${value.toFixed(1)} ms` : value < 10_000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`);
