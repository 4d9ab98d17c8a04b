// What a model answered, drawn over the image that it answered for.
import { make, makeSvg } from "../lib/dom.js";

const LABEL_PX = 12;
const WHITE_ON = new Set([4, 7, 10]); // colours on which a black name has too little contrast

// `boxes`: as the API answers them. The names keep their size on the screen, whatever the image is scaled to.
export function drawBoxes(svg, { width, height, boxes, marked = null }) {
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const scale = width / (svg.clientWidth || width); // pixels of the image for one of the screen
  const size = LABEL_PX * scale;
  const names = boxes.length <= 40;
  const parts = boxes.map((box, index) => {
    const colour = box.class_index % 12;
    const [x, y] = [Math.max(0, box.x1), Math.max(0, box.y1)];
    const [w, h] = [Math.min(width, box.x2) - x, Math.min(height, box.y2) - y];
    if (!(w > 0 && h > 0)) return null;
    const place = { x, y, width: w, height: h };
    const group = makeSvg("g", { class: `c${colour}${marked === index ? " marked" : ""}${marked !== null && marked !== index ? " faded" : ""}` });
    group.append(makeSvg("rect", { ...place, class: "halo" }), makeSvg("rect", { ...place, class: "line" }));
    if (names || marked === index) group.append(...label(box, { x, y, size, colour, width }));
    return group;
  });
  svg.replaceChildren(...parts.filter(Boolean));
}

function label(box, { x, y, size, colour, width }) {
  const text = `${short(box.label)} ${percent(box.score)}`;
  const wide = (0.56 * text.length + 0.8) * size;
  const left = Math.max(0, Math.min(x, width - wide));
  const top = y >= 1.5 * size ? y - 1.5 * size : y;
  return [
    makeSvg("rect", { class: "plate", x: left, y: top, width: wide, height: 1.5 * size, rx: size / 5 }),
    makeSvg("text", { class: WHITE_ON.has(colour) ? "name light" : "name", x: left + 0.4 * size, y: top + 1.08 * size, "font-size": size }, text),
  ];
}

// Bars of the most probable classes, over the lower edge of the image.
export function drawBars(list, labels) {
  list.hidden = !labels.length;
  list.replaceChildren(
    ...labels.slice(0, 5).map((each) => {
      const fill = make("span", { class: `bar c${each.class_index % 12}` });
      fill.style.setProperty("inline-size", `${100 * each.score}%`);
      return make("li", {}, fill, make("bdi", { class: "cut" }, each.label), make("span", { class: "score" }, percent(each.score)));
    }),
  );
}

export const percent = (share) => `${(100 * share).toFixed(share >= 0.9995 || share < 0.0005 ? 0 : share < 0.1 ? 1 : 0)} %`;
const short = (text) => (text.length > 24 ? `${text.slice(0, 23)}…` : text);
