// Boxes over an image, in an SVG whose viewBox is the image in pixels. A box is {c, name, x1, y1, x2, y2, difficult}: `c`
// the number of its class, which gives its colour, and its edges in thousandths of a pixel.
import { makeSvg } from "./dom.js";

const MANY = 40; // from here on a name is drawn on the box that is pointed at, or selected
const HANDLES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
const HANDLE_PX = 10;
const TOUCH_PX = 28;
const NAME_PX = 17;

export class BoxLayer {
  #svg;
  #groups = [];
  #boxes = [];
  #selected = -1;
  #editable = false;
  #unit = 1; // image pixels of a CSS pixel
  #hidden = new Set();

  constructor(svg) {
    this.#svg = svg;
  }

  // `selected`: the index of a box, or -1. Focus stays on the box that has it.
  draw(boxes, { selected = -1, editable = false } = {}) {
    const focused = this.#groups.indexOf(document.activeElement);
    this.#boxes = boxes;
    this.#selected = selected;
    this.#editable = editable;
    this.#groups = boxes.map((box, index) => this.#group(box, index));
    // The selected box is on top; small ones are above large ones, so that each can be pointed at.
    const order = [...boxes.keys()].sort((a, b) => (a === selected) - (b === selected) || area(boxes[b]) - area(boxes[a]));
    this.#svg.replaceChildren(...order.map((index) => this.#groups[index]));
    this.#svg.classList.toggle("many", boxes.length > MANY);
    this.#svg.classList.toggle("editing", editable);
    this.#handles();
    if (focused >= 0) this.#groups[Math.min(focused, boxes.length - 1)]?.focus({ preventScroll: true });
  }

  // `scale`: CSS pixels of an image pixel.
  setScale(scale) {
    this.#unit = 1 / scale;
    this.#svg.style.setProperty("--u", String(this.#unit));
    this.#handles();
  }

  // One box at another place; all others stay as they are.
  move(index, box) {
    this.#boxes = this.#boxes.with(index, box);
    const group = this.#groups[index];
    for (const rect of group.querySelectorAll("rect")) for (const [name, value] of Object.entries(shapeOf(box))) rect.setAttribute(name, value);
    this.#placeName(group.querySelector("text"), box);
    this.#handles();
  }

  // On top of the others, with handles; -1: none.
  select(index) {
    this.#groups[this.#selected]?.classList.remove("selected");
    this.#selected = index;
    const group = this.#groups[index];
    if (group) {
      const isFocused = group === document.activeElement;
      group.classList.add("selected");
      this.#svg.append(group);
      if (isFocused) group.focus({ preventScroll: true });
    }
    this.#handles();
  }

  // Classes that are not drawn, by number.
  hide(classes) {
    this.#hidden = classes;
    for (const [index, group] of this.#groups.entries()) group.style.display = classes.has(this.#boxes[index].c) ? "none" : "";
  }

  focus(index) {
    this.#groups[index]?.focus({ preventScroll: true });
  }

  #group(box, index) {
    const shape = shapeOf(box);
    const text = makeSvg("text", {}, box.name.length > 40 ? `${box.name.slice(0, 39)}…` : box.name);
    this.#placeName(text, box);
    const group = makeSvg(
      "g",
      {
        class: `box-group c${box.c < 0 ? 11 : box.c % 12}${box.difficult ? " difficult" : ""}${index === this.#selected ? " selected" : ""}`,
        "data-index": index,
        role: "img",
        "aria-label": `${box.name}, ${describe(box)}${box.difficult ? ", difficult" : ""}`,
        tabindex: this.#editable ? 0 : null,
      },
      makeSvg("rect", { class: "box-halo", ...shape }),
      makeSvg("rect", { class: "box", ...shape }),
      text,
    );
    if (this.#editable) group.setAttribute("role", "button");
    if (this.#hidden.has(box.c)) group.style.display = "none";
    return group;
  }

  // At the corner; the style sheet puts it above, or below the edge where there is no room.
  #placeName(text, box) {
    text.setAttribute("x", box.x1 / 1000);
    text.setAttribute("y", box.y1 / 1000);
    text.classList.toggle("inside", box.y1 / 1000 < NAME_PX * this.#unit);
  }

  #handles() {
    for (const old of this.#svg.querySelectorAll("[data-handle]")) old.remove();
    const box = this.#boxes[this.#selected];
    if (!this.#editable || !box) return;
    const [size, touch] = [HANDLE_PX * this.#unit, TOUCH_PX * this.#unit];
    for (const name of HANDLES) {
      const x = (name.includes("w") ? box.x1 : name.includes("e") ? box.x2 : (box.x1 + box.x2) / 2) / 1000;
      const y = (name.includes("n") ? box.y1 : name.includes("s") ? box.y2 : (box.y1 + box.y2) / 2) / 1000;
      // Not over the middle of a small box, by which it is moved.
      const reach = Math.min(touch, Math.max(size, (box.x2 - box.x1) / 2500, (box.y2 - box.y1) / 2500));
      this.#svg.append(
        makeSvg(
          "g",
          { class: `h-${name}`, "data-handle": name },
          makeSvg("rect", { class: "handle-area", x: x - reach / 2, y: y - reach / 2, width: reach, height: reach }),
          makeSvg("rect", { class: "handle", x: x - size / 2, y: y - size / 2, width: size, height: size }),
        ),
      );
    }
  }
}

function shapeOf(box) {
  const [x, y, width, height] = [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1].map((value) => value / 1000);
  return { x, y, width, height };
}

// "441 × 320 px at 81, 88".
export function describe(box) {
  const [x, y, width, height] = [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1].map((value) => +(value / 1000).toFixed(1));
  return `${width} × ${height} px at ${x}, ${y}`;
}

const area = (box) => (box.x2 - box.x1) * (box.y2 - box.y1);
