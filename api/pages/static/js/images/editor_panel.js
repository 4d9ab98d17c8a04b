// What is beside the image while its labels are edited.
import { describe } from "../lib/boxes.js";
import { make } from "../lib/dom.js";
import { author, setAuthor } from "./drafts.js";

const LISTED = 60; // classes at once; the search finds the others
const BOXES_LISTED = 300;

// `actions`: {undo, redo, draw, remove, save, reset, accept, takeOut, rename, select}. Returns {elements, update, toClass, saveButton}.
export function editorPanel(view, actions) {
  const detection = view.data.kind === "detection";
  const button = (text, action, attributes = {}) =>
    make("button", { type: "button", class: "button small", ...attributes, onclick: (event) => action(event.currentTarget) }, text);
  const undo = button("Undo", actions.undo, { title: "Undo (z)" });
  const redo = button("Redo", actions.redo, { title: "Redo (y)" });
  const draw = button("Draw a box", actions.draw, { title: "Draw a box (d)", "aria-pressed": "false" });
  const remove = button("Delete", actions.remove, { title: "Delete the selected box (Delete)", class: "button small danger" });
  const unsaved = make("span", { class: "unsaved", role: "status" });
  const saveButton = make("button", { type: "button", class: "button primary", title: "Save as a draft (s)", onclick: actions.save }, "Save as a draft");
  const list = make("ul", { class: "box-list", "aria-label": "Boxes" });
  const hint = make("p", { class: "help" }, "Select a box to give it another class; drag it, or its handles. Arrow keys move it, with Shift they resize it.");
  const picker = classPicker(view.classes, actions.rename, detection);
  const name = make("input", { type: "text", id: "draft-author", maxlength: 200, value: author(), autocomplete: "name", oninput: (event) => setAuthor(event.target.value) });

  const elements = [
    make("div", { class: "editor-head" }, make("h3", {}, detection ? "Edit the boxes" : "Change the class"), unsaved),
    make("div", { class: "editor-tools" }, detection ? draw : null, detection ? remove : null, undo, redo),
    detection ? list : null,
    detection ? hint : null,
    picker.element,
    make("div", { class: "field" }, make("label", { for: "draft-author" }, "Your name", make("span", { class: "muted" }, " optional")), name),
    make("div", { class: "editor-foot" }, saveButton, button("Reset", actions.reset, { class: "button", title: "Back to what the dataset has" })),
    make("div", { class: "editor-foot" }, button("Labels are right", actions.accept), button("Take the image out", actions.takeOut, { class: "button small danger" })),
  ].filter(Boolean);

  function update({ now, selected, canUndo, canRedo, isChanged, isDrawing }) {
    undo.disabled = !canUndo;
    redo.disabled = !canRedo;
    saveButton.disabled = !isChanged;
    unsaved.textContent = isChanged ? "Not saved" : "";
    unsaved.hidden = !isChanged;
    if (!detection) return picker.show(now, true);
    remove.disabled = selected < 0;
    draw.setAttribute("aria-pressed", String(isDrawing));
    hint.hidden = selected >= 0;
    listBoxes(list, now, selected, actions.select);
    picker.show(now[selected]?.name ?? "", selected >= 0);
  }

  return { elements, update, saveButton, toClass: picker.focus };
}

function listBoxes(list, boxes, selected, select) {
  const focused = [...list.children].findIndex((item) => item.contains(document.activeElement));
  list.replaceChildren(
    ...boxes.slice(0, BOXES_LISTED).map((box, index) =>
      make(
        "li",
        {},
        make(
          "button",
          { type: "button", class: `c${box.c < 0 ? 11 : box.c % 12}`, "aria-pressed": String(index === selected), title: describe(box), onclick: () => select(index) },
          make("span", { class: "dot", "aria-hidden": "true" }),
          make("bdi", { class: "cut" }, box.name),
          make("span", { class: "number" }, `${Math.round((box.x2 - box.x1) / 1000)} × ${Math.round((box.y2 - box.y1) / 1000)}`),
        ),
      ),
    ),
  );
  if (focused >= 0) list.children[Math.min(focused, boxes.length - 1)]?.firstChild.focus({ preventScroll: true });
  list.querySelector('[aria-pressed="true"]')?.scrollIntoView({ block: "nearest" });
}

// A list of classes with a search; Enter takes the first that is found, or a new one.
function classPicker(classes, choose, detection) {
  const search = make("input", { type: "search", id: "class-search", maxlength: 200, autocomplete: "off", placeholder: "Search, or a new class", "aria-controls": "class-list" });
  const list = make("ul", { class: "class-list", id: "class-list", "aria-label": "Classes" });
  const element = make("div", { class: "field" }, make("label", { for: "class-search" }, detection ? "Class of the box" : "Class"), search, list);
  let current = "";

  function found() {
    const wanted = search.value.trim().toLowerCase();
    const matching = wanted ? classes.filter((each) => each.toLowerCase().includes(wanted)) : classes;
    return !wanted ? matching : [...matching].sort((a, b) => a.toLowerCase().indexOf(wanted) - b.toLowerCase().indexOf(wanted));
  }

  function draw() {
    const text = search.value.trim();
    const items = found().slice(0, LISTED);
    if (current && !text && !items.includes(current)) items.unshift(current);
    const rows = items.map((each) => row(each, classes.indexOf(each)));
    if (text && !classes.includes(text)) rows.push(row(text, -1));
    list.replaceChildren(...rows);
  }

  function row(name, index) {
    return make(
      "li",
      {},
      make(
        "button",
        { type: "button", class: `c${index < 0 ? 11 : index % 12}`, "aria-pressed": String(name === current), title: name, onclick: () => take(name) },
        make("span", { class: "dot", "aria-hidden": "true" }),
        make("bdi", {}, name),
        index < 0 && !classes.includes(name) ? make("span", { class: "tag" }, "new") : null,
      ),
    );
  }

  function take(name) {
    search.value = "";
    choose(name);
  }

  search.addEventListener("input", draw);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") search.blur();
    if (event.key !== "Enter") return;
    event.preventDefault();
    const text = search.value.trim();
    if (!text) return;
    take(classes.includes(text) ? text : (found()[0] ?? text));
    search.blur();
  });

  return {
    element,
    focus: () => search.focus(),
    show(name, visible) {
      element.hidden = !visible;
      current = name;
      draw();
    },
  };
}
