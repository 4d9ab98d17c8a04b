// The log of a run: read again as it grows, followed to its end or held still, searched.
import { all, make, one } from "../lib/dom.js";
import { refresh } from "../lib/refresh.js";

const LINES = 1000;
const MOST_MARKS = 500;

// Resolves once the log is drawn; `update()` reads it again.
export function startLog(run) {
  const box = one("#log");
  const follow = one("#log-follow");
  const search = one("#log-search");
  let content = box.textContent;
  let running = false;

  const following = () => follow?.getAttribute("aria-pressed") === "true";
  const setFollowing = (value) => follow?.setAttribute("aria-pressed", value);
  const toEnd = () => (box.scrollTop = box.scrollHeight);

  if (follow) {
    follow.hidden = false;
    follow.addEventListener("click", () => {
      setFollowing(!following());
      if (following()) toEnd();
    });
    // Who scrolls up wants to read; who comes back to the end wants to follow.
    for (const type of ["wheel", "touchmove", "keydown"]) {
      box.addEventListener(type, () => setTimeout(() => setFollowing(atEnd(box)), 100), { passive: true });
    }
  }
  search.hidden = box.hidden;
  search.addEventListener("input", () => draw());
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") nextMark(box);
  });
  toEnd();

  function draw() {
    const wanted = search.value.trim();
    one("#log-found").textContent = wanted ? mark(box, content, wanted) : "";
    if (!wanted && box.textContent !== content) box.textContent = content;
    else if (!wanted) for (const each of all("mark", box)) each.replaceWith(each.textContent);
  }

  // Before it has a log, a request for it would be answered with 404.
  async function begin() {
    await refresh("log", "log-empty");
    content = box.textContent;
    search.hidden = box.hidden;
    toEnd();
  }

  return async function update() {
    if (running || box.dataset.attempt) return; // the log of an earlier attempt does not grow
    running = true;
    try {
      if (box.hidden) return await begin();
      const answer = await fetch(`/runs/${run}/log?tail=${LINES}`, { credentials: "same-origin" });
      if (!answer.ok) return;
      const read = plain(await answer.text());
      if (read === content) return;
      content = read;
      const place = box.scrollTop;
      draw();
      if (!search.value.trim()) box.textContent = content;
      if (following()) toEnd();
      else box.scrollTop = place;
    } catch {
      // The stream says that the service is away; the next event reads it again.
    } finally {
      running = false;
    }
  };
}

const atEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < 24;

// As `log_text` of the server: what a terminal shows in the end.
function plain(text) {
  // eslint-disable-next-line no-control-regex
  const bare = text.replace(/\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[^])/g, "");
  // eslint-disable-next-line no-control-regex
  return bare.split("\n").map((line) => line.replace(/\r+$/, "").split("\r").pop().replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "")).join("\n");
}

// Draws `content` with what is wanted marked; answers how often it is there.
function mark(box, content, wanted) {
  const parts = [];
  const lower = content.toLowerCase();
  const sought = wanted.toLowerCase();
  let from = 0;
  let count = 0;
  for (let at = lower.indexOf(sought); at >= 0; at = lower.indexOf(sought, at + sought.length)) {
    count += 1;
    if (count > MOST_MARKS) continue;
    parts.push(content.slice(from, at), make("mark", {}, content.slice(at, at + wanted.length)));
    from = at + wanted.length;
  }
  box.replaceChildren(...parts, content.slice(from));
  one("mark", box)?.scrollIntoView({ block: "nearest" });
  return count ? `${count.toLocaleString("en")} found` : "nothing found";
}

function nextMark(box) {
  const marks = all("mark", box);
  const current = marks.findIndex((each) => each.hasAttribute("data-current"));
  marks[current]?.removeAttribute("data-current");
  const next = marks[(current + 1) % marks.length];
  next?.setAttribute("data-current", "");
  next?.scrollIntoView({ block: "nearest" });
}
