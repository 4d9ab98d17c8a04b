// Zoom and pan of an image: by wheel, pinch, drag, keys. The canvas gets its place and size in CSS pixels, so that lines and
// names of boxes keep their width.
const PADDING = 16;
const MOST = 40; // CSS pixels of an image pixel
const MOST_FITTED = 4;
const PIXELS_FROM = 6; // from here on single pixels are drawn as squares

export class Stage {
  scale = 1;
  #element;
  #canvas;
  #size;
  #onScale;
  #x = 0;
  #y = 0;
  #fitted = true;
  #pointers = new Map();
  #observer;

  // `size`: {width, height} of the image. `onScale(scale)` after each change.
  constructor(element, canvas, size, onScale) {
    this.#element = element;
    this.#canvas = canvas;
    this.#size = size;
    this.#onScale = onScale;
    element.classList.add("placed");
    element.addEventListener("wheel", this.#wheel, { passive: false });
    element.addEventListener("pointerdown", this.#down);
    element.addEventListener("pointermove", this.#move);
    for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, this.#up);
    element.addEventListener("dblclick", (event) => {
      if (event.target.closest("[data-index]")) return;
      if (this.#fitted) this.zoom(Math.max(2, 1 / this.scale), this.#inside(event));
      else this.fit();
    });
    this.#observer = new ResizeObserver(() => (this.#fitted ? this.fit() : this.#place()));
    this.#observer.observe(element);
    this.fit();
  }

  close() {
    this.#observer.disconnect();
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.#element;
    if (!width || !height) return;
    this.#fitted = true;
    this.scale = this.#fitScale();
    this.#x = (width - this.scale * this.#size.width) / 2;
    this.#y = (height - this.scale * this.#size.height) / 2;
    this.#place();
  }

  // About `at`, by default the middle.
  zoom(factor, at = { x: this.#element.clientWidth / 2, y: this.#element.clientHeight / 2 }) {
    const scale = Math.min(MOST, Math.max(Math.min(this.#fitScale(), 1) / 2, this.scale * factor));
    this.#x = at.x - ((at.x - this.#x) * scale) / this.scale;
    this.#y = at.y - ((at.y - this.#y) * scale) / this.scale;
    this.scale = scale;
    this.#fitted = false;
    this.#place();
  }

  #fitScale() {
    const width = (this.#element.clientWidth - 2 * PADDING) / this.#size.width;
    const height = (this.#element.clientHeight - 2 * PADDING) / this.#size.height;
    return Math.min(width, height, MOST_FITTED);
  }

  #place() {
    const [width, height] = [this.scale * this.#size.width, this.scale * this.#size.height];
    // A part of the image stays in sight.
    this.#x = Math.min(Math.max(this.#x, 60 - width), this.#element.clientWidth - 60);
    this.#y = Math.min(Math.max(this.#y, 60 - height), this.#element.clientHeight - 60);
    const style = this.#canvas.style;
    style.left = `${this.#x}px`;
    style.top = `${this.#y}px`;
    style.width = `${width}px`;
    style.height = `${height}px`;
    this.#element.classList.toggle("pixels", this.scale >= PIXELS_FROM);
    this.#onScale(this.scale);
  }

  #inside(event) {
    const bounds = this.#element.getBoundingClientRect();
    return { x: event.clientX - bounds.left, y: event.clientY - bounds.top };
  }

  #wheel = (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    this.zoom(Math.exp(-Math.max(-200, Math.min(200, event.deltaY * lines)) / 400), this.#inside(event));
  };

  #down = (event) => {
    if (event.button > 1) return;
    this.#pointers.set(event.pointerId, this.#inside(event));
    this.#element.setPointerCapture(event.pointerId);
    this.#element.classList.add("dragging");
  };

  #move = (event) => {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = this.#inside(event);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, now);
    if (other) {
      const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
      this.zoom(distance(now, other) / Math.max(1, distance(before, other)), middle);
    }
    const share = other ? 2 : 1;
    this.#x += (now.x - before.x) / share;
    this.#y += (now.y - before.y) / share;
    this.#fitted = false;
    this.#place();
  };

  #up = (event) => {
    this.#pointers.delete(event.pointerId);
    if (!this.#pointers.size) this.#element.classList.remove("dragging");
  };
}

const distance = (one, other) => Math.hypot(one.x - other.x, one.y - other.y);
