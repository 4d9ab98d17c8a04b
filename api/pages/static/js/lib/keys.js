// Keys of a page: `keys({ "j": [next, "Next image"], "Shift+Delete": [...] })`; `?` lists those with words.
import { make } from "./dom.js";
import { open } from "./dialog.js";

const ARROWS = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };
const bound = new Map();

// Returns a function that unbinds them. They are not read while somebody writes in a control, nor behind a dialog.
export function keys(bindings) {
  for (const [name, [action, label]] of Object.entries(bindings)) bound.set(name, { action, label });
  return () => {
    for (const name of Object.keys(bindings)) bound.delete(name);
  };
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target)) return;
  const name = event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
  if (name === "?" && bound.size && !document.querySelector("dialog[open]")) return help();
  const binding = bound.get(name);
  if (!binding) return;
  const inside = document.querySelector("dialog[open]");
  if (inside && !inside.hasAttribute("data-keys")) return;
  event.preventDefault();
  binding.action(event);
});

function isWriting(target) {
  return target.isContentEditable || target.matches("textarea, select, input:not([type=checkbox], [type=radio], [type=range])");
}

const cap = (name) => name.split(/(?<=Shift)\+/).map((part) => ARROWS[part] ?? part).join(" + ");

async function help() {
  const rows = [...bound].filter(([, { label }]) => label).map(([name, { label }]) =>
    make("tr", {}, make("td", {}, make("kbd", {}, cap(name))), make("td", {}, label)),
  );
  const dialog = make(
    "dialog",
    { "aria-labelledby": "keys-title" },
    make(
      "form",
      { method: "dialog", class: "dialog-body" },
      make("h2", { id: "keys-title" }, "Keys"),
      make("table", {}, make("tbody", {}, ...rows)),
      make("div", { class: "dialog-actions" }, make("button", { class: "button" }, "Close")),
    ),
  );
  document.body.append(dialog);
  const closed = open(dialog);
  dialog.scrollTop = 0; // the focus is on the button below
  await closed;
  dialog.remove();
}
