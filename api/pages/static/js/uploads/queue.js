// The list of uploads of a page: one is sent after the other, each with its progress and its buttons.
import { problemText } from "./problem_text.js";
import { Upload, forget, interrupted } from "./tus.js";
import { announce, bytes, duration, make, one } from "../lib/dom.js";
import { call } from "../lib/api.js";

const uploads = [];
const rows = new Map();
let running = false;

export function enqueue(file, metadata, { target = "" } = {}) {
  one(`[data-interrupted="${CSS.escape([file.name, file.size, file.lastModified, target].join("|"))}"]`)?.remove();
  const upload = new Upload(file, { metadata, target, onChange: () => draw(upload) });
  uploads.push(upload);
  rows.set(upload, rowOf(upload));
  list().append(rows.get(upload).item);
  show();
  draw(upload);
  next();
  return upload;
}

async function next() {
  if (running) return;
  const upload = uploads.find((each) => each.state === "waiting");
  if (!upload) return ended();
  running = true;
  try {
    await upload.run();
  } finally {
    running = false;
  }
  next();
}

// A single upload leads to its dataset at once.
function ended() {
  const done = uploads.filter((each) => each.state === "done");
  const rest = uploads.filter((each) => !["done", "cancelled"].includes(each.state));
  if (done.length === 1 && !rest.length) location.assign(`/ui/datasets/${done[0].jobId}`);
  else if (done.length) announce(`${done.length} uploads are complete.`);
}

const list = () => one("[data-upload-list]");
const show = () => (one("#uploads").hidden = !list().children.length);

function rowOf(upload) {
  const progress = make("progress", { max: 1, "aria-label": `Upload of ${upload.file.name}` });
  const note = make("span", { class: "upload-note" });
  const message = make("div", { class: "upload-message", role: "alert" });
  const open = make("a", { class: "button small primary", hidden: true }, "Open the dataset");
  const button = (label, action) => make("button", { type: "button", class: "button small", onclick: action }, label);
  const pause = button("Pause", () => (upload.state === "paused" ? resume(upload) : upload.pause()));
  const cancel = button("Cancel", () => (["done", "failed", "cancelled"].includes(upload.state) ? close(upload) : stop(upload)));
  const item = make(
    "li",
    { class: "upload-row" },
    make("div", { class: "upload-name" }, make("bdi", { title: upload.file.name }, upload.file.name)),
    make("div", { class: "upload-buttons" }, open, pause, cancel),
    progress,
    note,
    message,
  );
  return { item, progress, note, message, open, pause, cancel };
}

function draw(upload) {
  const row = rows.get(upload);
  if (!row) return;
  const { size } = upload.file;
  row.progress.value = size ? upload.sent / size : 0;
  row.note.textContent = noteOf(upload);
  row.item.dataset.state = upload.state;
  const over = ["done", "failed", "cancelled"].includes(upload.state);
  row.pause.hidden = over || upload.state === "finishing" || upload.state === "waiting";
  row.pause.textContent = upload.state === "paused" ? "Continue" : "Pause";
  row.cancel.textContent = over ? "Close" : "Cancel";
  row.progress.hidden = over;
  row.open.hidden = upload.state !== "done";
  if (upload.jobId) row.open.href = `/ui/datasets/${upload.jobId}`;
  if (upload.state === "failed" && !row.message.children.length) row.message.append(...problemText(upload.error));
}

function noteOf(upload) {
  const { size } = upload.file;
  const part = `${bytes(upload.sent)} of ${bytes(size)}`;
  const { speed } = upload;
  switch (upload.state) {
    case "waiting":
      return `${bytes(size)} · waits for the upload before it`;
    case "sending":
      return speed ? `${part} · ${bytes(speed)}/s · ${duration(Math.max(1, (size - upload.sent) / speed))} left` : part;
    case "retrying":
      return `${part} · the connection was lost; the next try in ${Math.max(1, Math.round((upload.retryAt - Date.now()) / 1000))} s`;
    case "paused":
      return `${part} · paused`;
    case "finishing":
      return "All bytes are stored; the dataset is being made";
    case "done":
      return `${bytes(size)} · complete`;
    case "cancelled":
      return "Cancelled: nothing of it is kept";
    default:
      return part;
  }
}

function resume(upload) {
  upload.state = "waiting";
  draw(upload);
  next();
}

async function stop(upload) {
  await upload.cancel();
  close(upload);
}

function close(upload) {
  rows.get(upload).item.remove();
  rows.delete(upload);
  uploads.splice(uploads.indexOf(upload), 1);
  show();
}

setInterval(() => uploads.filter((each) => each.state === "retrying").forEach(draw), 1000);

addEventListener("beforeunload", (event) => {
  if (uploads.some((each) => each.isActive)) event.preventDefault();
});

// What an earlier page has begun: the same file, chosen again, goes on where it was.
export async function offerInterrupted(choose) {
  for (const [fingerprint, known] of Object.entries(interrupted())) {
    let found;
    try {
      found = await call("GET", `/uploads/${encodeURIComponent(known.id)}`);
    } catch (error) {
      if (error.status === 404) forget(fingerprint);
      continue;
    }
    if (found.state !== "open" || uploads.some((each) => each.fingerprint === fingerprint)) {
      if (found.state !== "open") forget(fingerprint);
      continue;
    }
    list().append(interruptedRow(fingerprint, known, found, choose));
    show();
  }
}

function interruptedRow(fingerprint, known, found, choose) {
  const share = found.length ? found.offset / found.length : 0;
  const remove = async () => {
    forget(fingerprint);
    item.remove();
    show();
    await call("DELETE", `/uploads/${found.upload_id}`, { headers: { "tus-resumable": "1.0.0" } }).catch(() => {}); // it expires by itself
  };
  const item = make(
    "li",
    { class: "upload-row", "data-interrupted": fingerprint, "data-state": "interrupted" },
    make("div", { class: "upload-name" }, make("bdi", { title: known.name }, known.name)),
    make(
      "div",
      { class: "upload-buttons" },
      make("button", { type: "button", class: "button small", onclick: choose }, "Choose it again"),
      make("button", { type: "button", class: "button small quiet", onclick: remove }, "Discard"),
    ),
    make("progress", { max: 1, value: share, "aria-label": `Interrupted upload of ${known.name}` }),
    make("span", { class: "upload-note" }, `Interrupted: ${bytes(found.offset)} of ${bytes(found.length)} are stored. Choose the same file, and the rest is sent.`),
  );
  return item;
}
