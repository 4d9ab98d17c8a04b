// Modal dialogs. `<button data-dialog="id">` opens the `<dialog>` of that id; Escape and a click beside it close it.
import { make } from "./dom.js";

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) open(document.getElementById(opener.dataset.dialog));
  if (event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
});

// The focus returns to where it was. Resolves to the dialog's returnValue once it is closed.
export function open(dialog) {
  const before = document.activeElement;
  dialog.showModal();
  return new Promise((resolve) => {
    const beside = (event) => event.target === dialog && outside(dialog, event) && dialog.close();
    dialog.addEventListener("mousedown", beside);
    dialog.addEventListener(
      "close",
      () => {
        dialog.removeEventListener("mousedown", beside);
        before?.focus?.();
        resolve(dialog.returnValue);
      },
      { once: true },
    );
  });
}

function outside(dialog, event) {
  const box = dialog.getBoundingClientRect();
  return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
}

// Resolves to whether the person agreed. `action` names what the button does: "Delete the dataset".
export async function confirm(title, text, { action = "Continue", danger = false } = {}) {
  const id = "confirm-title";
  const dialog = make(
    "dialog",
    { "aria-labelledby": id },
    make(
      "form",
      { method: "dialog", class: "dialog-body" },
      make("h2", { id }, title),
      make("p", {}, text),
      make(
        "div",
        { class: "dialog-actions" },
        make("button", { class: "button", value: "no" }, "Cancel"),
        make("button", { class: `button ${danger ? "danger" : "primary"}`, value: "yes" }, action),
      ),
    ),
  );
  document.body.append(dialog);
  const answer = await open(dialog);
  dialog.remove();
  return answer === "yes";
}
