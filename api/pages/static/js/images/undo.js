// Values that follow each other, with undo and redo. Values are never changed in place.
export class Steps {
  #values;
  #at = 0;

  constructor(first) {
    this.#values = [first];
  }

  get now() {
    return this.#values[this.#at];
  }

  get canUndo() {
    return this.#at > 0;
  }

  get canRedo() {
    return this.#at + 1 < this.#values.length;
  }

  add(value) {
    this.#values.splice(this.#at + 1, Infinity, value);
    this.#at += 1;
  }

  undo() {
    if (this.canUndo) this.#at -= 1;
  }

  redo() {
    if (this.canRedo) this.#at += 1;
  }
}
