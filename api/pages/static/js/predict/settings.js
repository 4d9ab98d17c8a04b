// Threshold, IoU, classes, tiles. The threshold hides boxes of an answer that has all from LEAST up; the others ask again.
import { all, one } from "../lib/dom.js";

const LEAST = 0.05;
const SOON_MS = 250;

export class Settings {
  #page;
  #timer = 0;
  #on;

  // `on`: {asked(): the requests are others now; filtered(): only what is drawn is}
  constructor(page, on) {
    this.#page = page;
    this.#on = on;
    this.own = true;
    this.iou = null;
    this.top = 5;
    this.tile = null;
    this.threshold = 0.25;
    const control = (name) => one(`[data-${name}]`, page);
    control("threshold").addEventListener("input", (event) => this.#threshold(Number(event.target.value)));
    control("own").addEventListener("click", () => {
      this.own = true;
      this.#words();
      this.#on.asked();
      control("threshold").focus();
    });
    control("iou").addEventListener("input", (event) => this.#change({ iou: Number(event.target.value) }));
    control("top").addEventListener("input", (event) => this.#change({ top: Number(event.target.value) }));
    control("tile").addEventListener("input", (event) => event.target.checkValidity() && this.#change({ tile: event.target.valueAsNumber || null }));
    this.#words();
  }

  // Below which nothing is drawn.
  get least() {
    return this.own ? 0 : this.threshold;
  }

  // Of the request to a model of this kind.
  options(kind) {
    if (kind === "classification") return { top: this.top };
    return { confidence: this.own ? null : LEAST, iou: this.iou, tile: this.tile };
  }

  get note() {
    if (this.own) return "What was asked, to copy.";
    return `What was asked, to copy: all boxes from ${LEAST} up. The page hides those below ${this.threshold}; confidence=${this.threshold} answers without them.`;
  }

  ofKinds(kinds) {
    for (const part of all("[data-of]", this.#page)) part.hidden = kinds.size > 0 && !kinds.has(part.dataset.of) && !kinds.has("");
  }

  #threshold(value) {
    const asks = this.own;
    this.own = false;
    this.threshold = value;
    this.#words();
    if (asks) this.#soon();
    else this.#on.filtered();
  }

  #change(values) {
    Object.assign(this, values);
    this.#words();
    this.#soon();
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#on.asked(), SOON_MS);
  }

  #words() {
    const set = (name, text) => (one(`[data-${name}]`, this.#page).textContent = text);
    set("threshold-value", this.own ? "of the version" : this.threshold.toFixed(2));
    set(
      "threshold-help",
      this.own
        ? "Boxes above the version's own thresholds, of each class. Move it to see all from 5 % up."
        : `Hides boxes of the answer, which has all from ${LEAST} up: nothing is asked again.`,
    );
    set("iou-value", this.iou === null ? "of the version" : this.iou.toFixed(2));
    set("top-value", String(this.top));
    one("[data-own]", this.#page).hidden = this.own;
    const note = one("[data-request-note]", this.#page);
    if (!one("[data-codes]", this.#page).hidden) note.textContent = this.note;
  }
}
