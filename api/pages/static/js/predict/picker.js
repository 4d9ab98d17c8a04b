// Project and version: the versions of another project are read from its page, so that the image at hand stays.
import { one } from "../lib/dom.js";

// `changed()`: another model is chosen.
export class Picker {
  constructor(root, changed) {
    this.root = root;
    this.project = one("[data-project]", root);
    this.model = one("[data-model]", root);
    this.model.addEventListener("change", changed);
    this.project.addEventListener("change", async () => {
      await this.load(this.project.value);
      changed();
    });
  }

  get value() {
    return this.model.value;
  }

  get kind() {
    return this.model.dataset.kind;
  }

  get chosen() {
    const { version, reason } = this.model.selectedOptions[0]?.dataset ?? {};
    return { value: this.value, version, reason };
  }

  // Also the samples of the project, where `samples` says so.
  async load(project, { samples = this.root.dataset.picker === "a" } = {}) {
    if (!project) return;
    const response = await fetch(`/ui/predict?project=${encodeURIComponent(project)}`, { headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.querySelector("#model-a");
    if (!fresh) return;
    const { value } = fresh;
    this.model.replaceChildren(...[...fresh.children].map((each) => document.adoptNode(each)));
    this.model.value = value;
    this.model.dataset.kind = fresh.dataset.kind;
    this.project.value = project;
    if (samples) document.querySelector("#samples").replaceWith(document.adoptNode(page.querySelector("#samples")));
  }
}
