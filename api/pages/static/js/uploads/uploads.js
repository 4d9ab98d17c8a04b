// The dialog for uploads, and the drop zone that is the whole page.
import { preflight } from "./preflight.js";
import { problemText } from "./problem_text.js";
import { importFrom, startTabs } from "./places.js";
import { enqueue, offerInterrupted } from "./queue.js";
import { interrupted, fingerprintOf } from "./tus.js";
import { lastPart, slugOf } from "./slugs.js";
import { bytes, make, one } from "../lib/dom.js";
import { open } from "../lib/dialog.js";

const FINDINGS_LISTED = 5;
const chosen = new Map(); // file -> {item, checked: Promise, isRefused}
let dialog;
let form;
let tabs; // {current, show(name)}

export function startUploads() {
  dialog = one("#upload-dialog");
  if (!dialog) return;
  form = one("[data-upload-form]", dialog);
  tabs = startTabs(dialog, () => {
    suggest();
    update();
  });
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-upload-open]");
    if (opener) show(opener.dataset.uploadOpen);
    else if (event.target.closest("[data-upload-choose]")) choose();
  });
  one("[data-upload-files]").addEventListener("change", (event) => {
    if (event.target.files.length) show();
    add(event.target.files);
    event.target.value = "";
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!form.reportValidity()) return;
    if (tabs.current === "place") importFrom(dialog, form, common());
    else begin();
  });
  form.elements.place?.addEventListener("input", () => {
    suggest();
    update();
  });
  form.elements.project?.addEventListener("input", (event) => (event.target.dataset.fixed = ""));
  startDropping();
  offerInterrupted(choose);
  if (location.hash === "#upload") show();
}

const choose = () => one("[data-upload-files]").click();

async function show(tab = "") {
  if (dialog.open) return;
  tabs.show(tab || "file");
  update();
  await open(dialog);
  chosen.clear();
  list().replaceChildren();
  one("[data-upload-problem]", dialog).replaceChildren();
  update();
}

const list = () => one("[data-chosen]", dialog);
const target = () => dialog.dataset.extends ?? "";

function add(files) {
  for (const file of files) {
    if ([...chosen.keys()].some((each) => fingerprintOf(each) === fingerprintOf(file))) continue;
    const status = make("span", { class: "chosen-status muted" }, "Checking …");
    const findings = make("ul", { class: "chosen-findings" });
    const remove = () => {
      chosen.delete(file);
      item.remove();
      update();
    };
    const item = make(
      "li",
      { class: "chosen-file" },
      make("bdi", { class: "chosen-name", title: file.name }, file.name),
      make("span", { class: "muted number" }, bytes(file.size)),
      make("button", { type: "button", class: "button small quiet", "aria-label": `Take out ${file.name}`, onclick: remove }, "Take out"),
      status,
      findings,
    );
    const entry = { item, isRefused: false };
    chosen.set(file, entry);
    list().append(item);
    look(file, entry, status, findings);
  }
  suggest();
  update();
}

// What the directory of the ZIP says. What cannot be looked at is found out when it is there.
async function look(file, entry, status, findings) {
  if (interrupted()[fingerprintOf(file, target())]) {
    status.textContent = "was begun before: it goes on where it was";
    return;
  }
  try {
    const found = await preflight(file);
    if (!found) status.textContent = "too large to look at before it is sent";
    else describe(found, entry, status, findings);
  } catch (error) {
    status.replaceChildren(...problemText(error));
    entry.isRefused = error.status >= 400 && error.status < 500;
  }
  suggest();
  update();
}

function describe(found, entry, status, findings) {
  const titles = JSON.parse(dialog.dataset.formats);
  const format = found.format.name ? `looks like ${titles[found.format.name] ?? found.format.name}` : "the format is found when it is read";
  status.textContent = found.accepted
    ? `${found.images.toLocaleString("en")} images · ${format}`
    : "would be refused:";
  entry.isRefused = !found.accepted;
  entry.item.classList.toggle("is-refused", entry.isRefused);
  const errors = found.findings.filter((each) => each.severity === "error");
  findings.replaceChildren(
    ...errors.slice(0, FINDINGS_LISTED).map((each) =>
      make("li", {}, make("strong", {}, each.title), " ", make("bdi", {}, [each.path, each.detail].filter(Boolean).join(": ")), " ", each.remedy),
    ),
    ...(errors.length > FINDINGS_LISTED ? [make("li", {}, `and ${errors.length - FINDINGS_LISTED} more`)] : []),
  );
}

// The name of the file, or the last part of the place, as projects are named, until somebody has written one.
function suggest() {
  const field = form.elements.project;
  if (!field || "fixed" in field.dataset) return;
  const [first] = [...chosen].find(([, each]) => !each.isRefused) ?? [];
  const name = tabs.current === "place" ? lastPart(form.elements.place.value) : (first?.name ?? "");
  field.value = slugOf(name.replace(/\.zip$/i, ""));
}

function update() {
  const button = one("[data-upload-start]", dialog);
  if (tabs?.current === "place") {
    button.disabled = !form.elements.place.value.trim();
    button.textContent = "Import";
    return;
  }
  const files = [...chosen.values()];
  button.disabled = !files.length || files.every((each) => each.isRefused);
  const usable = files.filter((each) => !each.isRefused).length;
  button.textContent = usable > 1 ? `Upload ${usable} files` : "Upload";
}

function begin() {
  const metadata = Object.fromEntries(Object.entries(common()).map(([name, value]) => [name, String(value)]));
  if (target()) metadata.extends = target();
  for (const [file, entry] of chosen) if (!entry.isRefused) enqueue(file, metadata, { target: target() });
  dialog.close();
  one("#uploads").scrollIntoView({ block: "nearest" });
}

// The options that differ from their defaults, and the project.
function common() {
  const values = {};
  for (const control of form.querySelectorAll("[data-default]")) {
    if (control.value !== control.dataset.default) values[control.name] = control.type === "number" ? Number(control.value) : control.value;
  }
  const project = form.elements.project?.value.trim();
  if (project) values.project = project;
  return values;
}

// A drag enters each element that it passes; what counts is how many it has not left.
function startDropping() {
  const over = one("[data-drop-over]");
  let depth = 0;
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const end = () => {
    depth = 0;
    over.hidden = true;
  };
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    over.hidden = dialog.open;
  });
  addEventListener("dragleave", (event) => {
    if (hasFiles(event) && --depth <= 0) end();
  });
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    end();
    const { files } = event.dataTransfer;
    tabs.show("file");
    show();
    add(files);
  });
}
