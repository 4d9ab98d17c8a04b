// What moves, resizes and draws boxes, as `boxes.js` has them: by pointer on an SVG, and by keys.
const LEAST = 1000; // thousandths of a pixel that a side keeps
const CLICK_PX = 4;

// `size`: {width, height} of the image in pixels. A box that is moved stays inside.
export function moved(box, dx, dy, size) {
  const x = clamp(dx, -box.x1, 1000 * size.width - box.x2);
  const y = clamp(dy, -box.y1, 1000 * size.height - box.y2);
  return { ...box, x1: box.x1 + x, x2: box.x2 + x, y1: box.y1 + y, y2: box.y2 + y };
}

// `handle`: of n, e, s, w, or a corner such as "se". Only the edges that it names change.
export function resized(box, handle, dx, dy, size) {
  const next = { ...box };
  if (handle.includes("w")) next.x1 = clamp(box.x1 + dx, 0, box.x2 - LEAST);
  if (handle.includes("e")) next.x2 = clamp(box.x2 + dx, box.x1 + LEAST, 1000 * size.width);
  if (handle.includes("n")) next.y1 = clamp(box.y1 + dy, 0, box.y2 - LEAST);
  if (handle.includes("s")) next.y2 = clamp(box.y2 + dy, box.y1 + LEAST, 1000 * size.height);
  return next;
}

// `host`: {size, boxes(), selected(), drawing(), select(index), preview(index, box),
// commit(boxes), draft(box | null), add(box)}.
// Returns a function that ends it. The pointer is taken only where there is a box, a handle, or drawing is on.
export function editByPointer(svg, host) {
  let drag = null;

  const point = (event) => {
    const bounds = svg.getBoundingClientRect();
    const scale = bounds.width / host.size.width;
    // Whole pixels, or tenths where a pixel is large on the screen.
    const step = scale < 3 ? 1000 : 100;
    const at = (value, most) => clamp(Math.round((1000 * value) / scale / step) * step, 0, 1000 * most);
    return { x: at(event.clientX - bounds.left, host.size.width), y: at(event.clientY - bounds.top, host.size.height) };
  };

  const down = (event) => {
    if (event.button !== 0 || drag) return;
    const handle = event.target.closest("[data-handle]")?.dataset.handle;
    const group = event.target.closest("[data-index]");
    if (host.drawing()) drag = { kind: "draw" };
    else if (handle) drag = { kind: "resize", handle, index: host.selected() };
    else if (group) drag = { kind: "move", index: Number(group.dataset.index) };
    else return;
    event.stopPropagation();
    event.preventDefault();
    Object.assign(drag, { id: event.pointerId, from: point(event), x: event.clientX, y: event.clientY });
    svg.setPointerCapture(event.pointerId);
    if (drag.kind === "move") host.select(drag.index);
    drag.box = drag.kind === "draw" ? null : host.boxes()[drag.index];
  };

  const change = (event) => {
    const to = point(event);
    const [dx, dy] = [to.x - drag.from.x, to.y - drag.from.y];
    if (drag.kind === "draw") return between(drag.from, to);
    return drag.kind === "move" ? moved(drag.box, dx, dy, host.size) : resized(drag.box, drag.handle, dx, dy, host.size);
  };

  const move = (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    event.stopPropagation();
    // A click that shakes moves nothing.
    drag.begun ||= Math.hypot(event.clientX - drag.x, event.clientY - drag.y) >= CLICK_PX;
    if (!drag.begun) return;
    const box = change(event);
    if (drag.kind === "draw") host.draft(box);
    else host.preview(drag.index, box);
  };

  const up = (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    event.stopPropagation();
    const { kind, index, begun, box: before } = drag;
    const box = begun && event.type === "pointerup" ? change(event) : null;
    drag = null;
    if (kind === "draw") {
      host.draft(null);
      if (box && box.x2 - box.x1 >= LEAST && box.y2 - box.y1 >= LEAST) host.add(box);
    } else if (box) host.commit(host.boxes().map((each, at) => (at === index ? box : each)));
    else if (begun) host.preview(index, before);
  };

  const handlers = { pointerdown: down, pointermove: move, pointerup: up, pointercancel: up };
  for (const [name, handler] of Object.entries(handlers)) svg.addEventListener(name, handler);
  return () => {
    for (const [name, handler] of Object.entries(handlers)) svg.removeEventListener(name, handler);
  };
}

function between(one, other) {
  return {
    x1: Math.min(one.x, other.x),
    y1: Math.min(one.y, other.y),
    x2: Math.max(one.x, other.x),
    y2: Math.max(one.y, other.y),
  };
}

const clamp = (value, least, most) => Math.min(Math.max(value, least), most);
