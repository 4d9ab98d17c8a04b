// Images come in: chosen, dropped, pasted, fetched from a URL, or an image of the dataset by a click.
import { get, showProblem } from "../lib/api.js";
import { all, one } from "../lib/dom.js";

// `add(files)`: [{name, blob}]
export function startIntake(page, add) {
  const problems = one("[data-intake-problem]", page);
  const files = one("[data-files]", page);
  files.addEventListener("change", () => {
    add(ofFiles(files.files));
    files.value = "";
  });
  startDrop(add);
  document.addEventListener("paste", (event) => {
    const found = ofFiles(event.clipboardData?.files ?? []);
    if (found.length) add(found.map((each) => ({ ...each, name: each.name === "image.png" ? "pasted.png" : each.name })));
  });
  page.addEventListener("click", async (event) => {
    const sample = event.target.closest("[data-sample]");
    if (!sample) return;
    sample.setAttribute("aria-busy", "true");
    await fetched(sample.dataset.sample, sample.dataset.name.split("/").at(-1));
    sample.removeAttribute("aria-busy");
  });
  const form = one("[data-url]", page);
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { url } = form.elements;
    const button = one("button", form);
    button.disabled = true;
    await fetched(`/ui/predict/image?url=${encodeURIComponent(url.value)}`, lastPart(url.value));
    button.disabled = false;
  });

  async function fetched(path, name) {
    problems.replaceChildren();
    try {
      const response = await get(path, { raw: true, headers: { accept: "*/*" } });
      add([{ name, blob: await response.blob() }]);
    } catch (error) {
      showProblem(error, { place: problems });
    }
  }
}

function startDrop(add) {
  const over = one("[data-drop]");
  let depth = 0;
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    over.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    over.hidden = depth === 0;
  });
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    over.hidden = true;
    add(ofFiles(event.dataTransfer.files));
  });
}

const ofFiles = (list) => [...list].map((file) => ({ name: file.name || "image", blob: file }));

function lastPart(address) {
  try {
    return decodeURIComponent(new URL(address).pathname.split("/").at(-1)) || "image";
  } catch {
    return "image";
  }
}

export const samples = (page) => all("[data-sample]", page);
