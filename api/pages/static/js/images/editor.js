// Correcting the labels of an image: boxes, or the class of the whole. What is saved becomes a draft.
import { confirm } from "../lib/dialog.js";
import { editByPointer, moved, resized } from "../lib/box_edits.js";
import { announce, makeSvg, one } from "../lib/dom.js";
import { editorPanel } from "./editor_panel.js";
import { Steps } from "./undo.js";
import { boxesOf, save } from "./viewer.js";

// Returns {toggle, escape, arrow, leave, forget, end, keys}.
export const startEditor = (view) => new Editor(view).handle();

class Editor {
  #view;
  #isDetection;
  #open = false;
  #steps;
  #saved;
  #selected = -1;
  #drawing = false;
  #lastClass;
  #stopPointer = null;
  #panel = null;
  #forgotten = false;

  constructor(view) {
    this.#view = view;
    this.#isDetection = view.data.kind === "detection";
    const label = view.draft?.label ?? view.classes[view.data.label] ?? "";
    this.#saved = this.#isDetection ? view.boxes : label;
    this.#steps = new Steps(this.#saved);
    this.#lastClass = view.boxes[0]?.name ?? view.classes[0] ?? "";
    addEventListener("beforeunload", this.#warn);
    addEventListener("keydown", this.#chords);
  }

  handle() {
    const detection = this.#isDetection;
    return {
      toggle: () => this.#toggle(),
      escape: () => this.#escape(),
      arrow: (event) => this.#arrow(event),
      leave: () => this.#leave(),
      forget: () => (this.#forgotten = true),
      end: () => this.#end(),
      keys: {
        s: [() => this.#save(), "Save as a draft"],
        ...(detection
          ? {
              d: [() => this.#draw(!this.#drawing), "Draw a box"],
              c: [() => this.#open && this.#selected >= 0 && this.#panel.toClass(), "Class of the selected box"],
              n: [() => this.#selectNext(1), "Select the next box"],
              Delete: [() => this.#delete(), "Delete the selected box"],
              Backspace: [() => this.#delete(), ""],
              ArrowUp: [(event) => this.#arrow(event), "As the other arrows: moves the selected box by a pixel"],
              ArrowDown: [(event) => this.#arrow(event), ""],
              "Shift+ArrowUp": [(event) => this.#arrow(event), "As the other arrows: resizes it by a pixel"],
              ...Object.fromEntries(["Down", "Left", "Right"].map((name) => [`Shift+Arrow${name}`, [(event) => this.#arrow(event), ""]])),
            }
          : {}),
        z: [() => this.#step("undo"), "Undo (also Ctrl+Z)"],
        y: [() => this.#step("redo"), "Redo (also Ctrl+Shift+Z)"],
      },
    };
  }

  get #isChanged() {
    return !this.#forgotten && JSON.stringify(this.#steps.now) !== JSON.stringify(this.#saved);
  }

  #toggle() {
    if (this.#open) return this.#close();
    this.#open = true;
    const { section } = this.#view;
    section.classList.remove("no-boxes");
    section.classList.add("edits");
    this.#panel = editorPanel(this.#view, {
      undo: () => this.#step("undo"),
      redo: () => this.#step("redo"),
      draw: () => this.#draw(!this.#drawing),
      remove: () => this.#delete(),
      save: () => this.#save(),
      reset: () => this.#reset(),
      accept: (button) => this.#whole(button, { accept: true }),
      takeOut: (button) => this.#whole(button, { remove: true }),
      rename: (name) => (this.#isDetection ? this.#rename(name) : this.#commit(name)),
      select: (index) => this.#select(index, true),
    });
    const place = one("[data-editor]", section);
    place.replaceChildren(...this.#panel.elements);
    place.hidden = false;
    one("[data-facts]", section).hidden = true;
    one("[data-edit]", section).setAttribute("aria-pressed", "true");
    if (this.#isDetection) this.#editBoxes();
    this.#refresh();
    announce("Editing.");
  }

  #close() {
    this.#open = false;
    this.#draw(false);
    this.#stopPointer?.();
    this.#view.svg.removeEventListener("focusin", this.#focus);
    this.#selected = -1;
    const { section } = this.#view;
    section.classList.remove("edits");
    one("[data-editor]", section).hidden = true;
    one("[data-facts]", section).hidden = false;
    one("[data-edit]", section).setAttribute("aria-pressed", "false");
    if (this.#isDetection) {
      this.#view.boxes = this.#steps.now;
      this.#view.redraw();
    }
  }

  #editBoxes() {
    const { svg, data } = this.#view;
    let ghost = null;
    this.#stopPointer = editByPointer(svg, {
      size: data,
      boxes: () => this.#steps.now,
      selected: () => this.#selected,
      drawing: () => this.#drawing,
      select: (index) => this.#select(index),
      preview: (index, box) => this.#view.layer.move(index, box),
      commit: (boxes) => this.#commit(boxes),
      draft: (box) => {
        ghost?.remove();
        ghost = box && makeSvg("rect", { class: "box-new", x: box.x1 / 1000, y: box.y1 / 1000, width: (box.x2 - box.x1) / 1000, height: (box.y2 - box.y1) / 1000 });
        if (ghost) svg.append(ghost);
      },
      add: (box) => this.#add(box),
    });
    svg.addEventListener("focusin", this.#focus);
  }

  // By Tab: the box that has the focus is the selected one.
  #focus = (event) => {
    const index = Number(event.target.closest("[data-index]")?.dataset.index ?? -1);
    if (this.#open && index >= 0 && index !== this.#selected) this.#select(index);
  };

  #redraw(boxes) {
    this.#view.layer.draw(boxes, { selected: this.#selected, editable: true });
    this.#view.layer.hide(this.#view.host.hidden);
  }

  #refresh() {
    const now = this.#steps.now;
    if (this.#isDetection) {
      this.#selected = Math.min(this.#selected, now.length - 1);
      this.#redraw(now);
    }
    this.#update();
  }

  #update() {
    this.#panel.update({
      now: this.#steps.now,
      selected: this.#selected,
      canUndo: this.#steps.canUndo,
      canRedo: this.#steps.canRedo,
      isChanged: this.#isChanged,
      isDrawing: this.#drawing,
    });
  }

  #commit(value) {
    if (JSON.stringify(value) !== JSON.stringify(this.#steps.now)) this.#steps.add(value);
    this.#forgotten = false;
    this.#refresh();
  }

  #step(name) {
    if (!this.#open) return;
    this.#steps[name]();
    this.#refresh();
  }

  #select(index, focus = false) {
    this.#selected = index;
    this.#view.layer.select(index);
    this.#update();
    if (focus) this.#view.layer.focus(index);
  }

  #selectNext(step) {
    const count = this.#open ? this.#steps.now.length : 0;
    if (count) this.#select((this.#selected + step + count) % count, true);
  }

  #draw(on) {
    if (!this.#isDetection) return;
    if (on && !this.#open) this.#toggle();
    this.#drawing = on;
    one("[data-stage]", this.#view.section).classList.toggle("drawing", on);
    if (this.#open) this.#refresh();
    if (on) announce("Draw a box over the image.");
  }

  #add(box) {
    const name = this.#lastClass;
    this.#selected = this.#steps.now.length;
    this.#commit([...this.#steps.now, { c: this.#view.classes.indexOf(name), name, ...box, difficult: false }]);
    this.#draw(false);
    this.#open && this.#selected >= 0 && this.#panel.toClass();
  }

  #rename(name) {
    if (this.#selected < 0) return;
    this.#lastClass = name;
    const c = this.#view.classes.indexOf(name);
    this.#commit(this.#steps.now.map((box, index) => (index === this.#selected ? { ...box, c, name } : box)));
  }

  #delete() {
    if (!this.#open || this.#selected < 0) return;
    const kept = this.#steps.now.filter((_, index) => index !== this.#selected);
    this.#selected = -1;
    this.#view.section.focus({ preventScroll: true }); // not another box, which the key would delete next
    this.#commit(kept);
    announce("The box is deleted.");
  }

  // Whether the key was for a box.
  #arrow(event) {
    const box = this.#open && this.#isDetection ? this.#steps.now[this.#selected] : null;
    if (!box) return false;
    const dx = { ArrowLeft: -1000, ArrowRight: 1000 }[event.key] ?? 0;
    const dy = { ArrowUp: -1000, ArrowDown: 1000 }[event.key] ?? 0;
    const { data } = this.#view;
    const next = event.shiftKey ? resized(box, "se", dx, dy, data) : moved(box, dx, dy, data);
    this.#commit(this.#steps.now.map((each, index) => (index === this.#selected ? next : each)));
    return true;
  }

  // Whether there was something to leave besides the image.
  #escape() {
    if (this.#drawing) this.#draw(false);
    else if (this.#open && this.#selected >= 0) this.#select(-1);
    else if (this.#open && !this.#isChanged) this.#close();
    else return false;
    return true;
  }

  async #save() {
    if (!this.#open || !this.#isChanged) return;
    const now = this.#steps.now;
    const known = new Set(this.#view.classes);
    const names = this.#isDetection ? now.map((box) => box.name) : [now];
    const unknown = [...new Set(names.filter((name) => !known.has(name)))];
    if (unknown.length) {
      const text = `The dataset has no class ${unknown.join(", ")}. The next revision gets it, after all others.`;
      if (!(await confirm("Make a new class?", text, { action: "Make it" }))) return;
    }
    const change = this.#isDetection
      ? { boxes: now.map((box) => ({ class: box.name, x1: box.x1 / 1000, y1: box.y1 / 1000, x2: box.x2 / 1000, y2: box.y2 / 1000 })) }
      : { label: now };
    await save(this.#view, this.#panel.saveButton, change, { newClasses: unknown.length > 0 });
  }

  async #whole(button, change) {
    if (this.#isChanged && !(await this.#leave())) return;
    await save(this.#view, button, change);
  }

  #reset() {
    const { data, classes } = this.#view;
    this.#selected = -1;
    this.#commit(this.#isDetection ? boxesOf(data, classes, null) : classes[data.label]);
  }

  async #leave() {
    if (!this.#isChanged) return true;
    const text = "The changes of this image are not saved as a draft.";
    if (!(await confirm("Leave without saving?", text, { action: "Leave", danger: true }))) return false;
    this.#forgotten = true;
    return true;
  }

  #warn = (event) => {
    if (this.#isChanged) event.preventDefault();
  };

  #chords = (event) => {
    if (!this.#open || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
    const action = { z: () => this.#step(event.shiftKey ? "redo" : "undo"), y: () => this.#step("redo"), s: () => this.#save() }[event.key.toLowerCase()];
    if (!action || (event.target.matches("input, textarea") && event.key.toLowerCase() !== "s")) return;
    event.preventDefault();
    action();
  };

  #end() {
    this.#stopPointer?.();
    removeEventListener("beforeunload", this.#warn);
    removeEventListener("keydown", this.#chords);
  }
}
