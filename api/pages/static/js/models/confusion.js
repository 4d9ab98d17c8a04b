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
