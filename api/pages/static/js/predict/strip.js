// The images of this page, as a strip: which are waiting, asked for, answered, failed.
import { make } from "../lib/dom.js";

const WORDS = { waiting: "waits", busy: "is asked for", done: "answered", failed: "failed" };

export class Strip {
  #list;
  #choose;
  items = [];
  selected = null;

  constructor(list, choose) {
    this.#list = list;
    this.#choose = choose;
  }

  add(name, blob) {
    const item = { name, blob, url: URL.createObjectURL(blob), answers: new Map() };
    const image = make("img", { src: item.url, alt: "", loading: "lazy" });
    item.button = make("button", { type: "button", class: "strip-item", title: name, onclick: () => this.#choose(item) }, image, make("span", { class: "sign", "aria-hidden": "true" }));
    image.addEventListener("error", () => image.remove());
    this.items.push(item);
    this.#list.append(make("li", {}, item.button));
    this.mark(item, "waiting");
    this.#list.hidden = this.items.length < 2;
    return item;
  }

  select(item) {
    for (const each of this.items) each.button.setAttribute("aria-pressed", String(each === item));
    this.selected = item;
    item?.button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  step(by) {
    const at = this.items.indexOf(this.selected);
    const next = this.items[at + by];
    if (at >= 0 && next) this.#choose(next);
  }

  mark(item, state) {
    item.button.dataset.state = state;
    item.button.setAttribute("aria-label", `${item.name}: ${WORDS[state]}`);
  }

  // The selected one, else the first, that `isDone` does not hold of.
  next(isDone) {
    return [this.selected, ...this.items].find((item) => item && !isDone(item));
  }
}
