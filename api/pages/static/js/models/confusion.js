// The cell that is open is marked; on narrow windows its images are brought into view.
import { all, one } from "../lib/dom.js";

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target?.id !== "behind" && event.target.id !== "behind") return;
  mark();
  const images = one("#behind");
  if (images.getBoundingClientRect().top > innerHeight * 0.8) images.scrollIntoView({ block: "start" });
});

function mark() {
  const query = new URLSearchParams(location.search);
  const id = `cell-${query.get("truth")}-${query.get("predicted")}`;
  for (const cell of all("#matrix a")) {
    if (cell.id === id) cell.setAttribute("aria-current", "true");
    else cell.removeAttribute("aria-current");
  }
}

document.addEventListener("htmx:pushedIntoHistory", mark);

// Arrows go to the next cell that has images, in their direction.
const STEPS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
one("#matrix")?.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  const cell = event.target.closest("td");
  if (!step || !cell || event.altKey || event.ctrlKey || event.metaKey) return;
  const rows = all("#matrix tbody tr");
  let row = rows.indexOf(cell.parentElement);
  let column = cell.cellIndex;
  do {
    row += step[0];
    column += step[1];
    const next = rows[row]?.cells[column];
    if (!next) return;
    const link = one("a", next);
    if (link) {
      event.preventDefault();
      return link.focus();
    }
  } while (true);
});
