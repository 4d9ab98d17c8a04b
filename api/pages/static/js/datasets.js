// A dataset: its preparation as it goes, exports, images of findings in large, uploads that extend it.
import { startActions } from "./lib/actions.js";
import { call, showProblem } from "./lib/api.js";
import { make, one } from "./lib/dom.js";
import { open } from "./lib/dialog.js";
import { live } from "./lib/live.js";
import { loadParts } from "./lib/parts.js";
import { refresh, throttled } from "./lib/refresh.js";
import { startUploads } from "./uploads/uploads.js";

const EXPORT_WAIT_SECONDS = 30;

startActions();
startUploads();

const page = one("#dataset");
if (page.dataset.position !== undefined) follow();
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-zoom]");
  if (button) zoom(button);
  const link = event.target.closest("[data-export]");
  if (link) {
    event.preventDefault();
    makeExport(link);
  }
});
loadParts();

function follow() {
  const preparing = ["received", "preparing"].includes(page.dataset.state);
  const topics = preparing ? [page.dataset.job] : [page.dataset.job, "home"];
  const stream = live(topics, { last: preparing ? page.dataset.position : "" });
  const update = throttled(() => (preparing ? refresh("preparing") : refresh("moving", "facts")), preparing ? 0.6 : 2);
  stream.on("*", (data, event) => {
    if (event.type === "begin") return;
    const { state } = data;
    if (event.topic === page.dataset.job && preparing && ["ready", "rejected", "failed"].includes(state)) location.reload();
    else if (event.topic === page.dataset.job ? preparing : concerns(data)) update();
  });
}

// Whether a change of the lists may be about work on this dataset.
function concerns(data) {
  return data.all || data.projects?.includes(page.dataset.project);
}

// The link's own address answers 202 until the file is there.
async function makeExport(link) {
  if (link.hasAttribute("aria-busy")) return;
  const words = link.textContent;
  link.setAttribute("aria-busy", "true");
  link.textContent = "Is being made";
  const stop = new AbortController();
  const address = new URL(link.href);
  address.searchParams.set("wait", EXPORT_WAIT_SECONDS);
  try {
    let answer;
    do answer = await call("GET", address.pathname + address.search, { raw: true, signal: stop.signal });
    while (answer.status === 202);
    stop.abort(); // the browser downloads it by itself
    location.assign(link.href);
    setTimeout(() => location.reload(), 1500);
  } catch (error) {
    link.textContent = words;
    showProblem(error);
  } finally {
    link.removeAttribute("aria-busy");
  }
}

async function zoom(button) {
  const frame = one(".framed", button).cloneNode(true);
  frame.classList.replace("slice", "meet");
  const image = one("img", frame);
  image.src = button.dataset.full;
  image.removeAttribute("loading");
  const text = one(".place-text", button.closest(".place"))?.cloneNode(true);
  const dialog = make(
    "dialog",
    { class: "zoom", "aria-label": image.alt },
    frame,
    make("div", { class: "zoom-foot" }, text ?? "", make("button", { type: "button", class: "button", "data-close": true, autofocus: true }, "Close")),
  );
  document.body.append(dialog);
  await open(dialog);
  dialog.remove();
}
