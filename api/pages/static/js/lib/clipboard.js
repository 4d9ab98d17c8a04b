// Buttons with `data-copy` copy that text. They stay hidden where the browser has no clipboard (plain http of another host).
import { announce } from "./dom.js";

const DONE_MS = 1500;

export async function copyText(text) {
  await navigator.clipboard.writeText(text);
  announce("Copied.");
}

export function startClipboard() {
  if (!navigator.clipboard) return;
  reveal(document);
  document.addEventListener("htmx:afterSettle", (event) => reveal(event.target));
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await copyText(button.dataset.copy);
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), DONE_MS);
  });
}

// Also for elements that a script has added.
export function reveal(root) {
  for (const button of root.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}
