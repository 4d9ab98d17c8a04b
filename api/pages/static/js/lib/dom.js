// Small helpers for elements.

export const one = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// `make("a", { href: "/x", class: "button" }, "text", otherElement)`. Strings become text, never markup. `on...` is a listener.
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function makeSvg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Says `text` to a screen reader.
export function announce(text) {
  let region = one("#announcer");
  if (!region) {
    region = make("div", { id: "announcer", class: "visually-hidden", role: "status" });
    document.body.append(region);
  }
  region.textContent = "";
  requestAnimationFrame(() => (region.textContent = text));
}

// A message at the corner of the page, which goes by itself.
export function toast(text, { seconds = 5 } = {}) {
  let box = one(".toasts");
  if (!box) {
    box = make("div", { class: "toasts", role: "status" });
    document.body.append(box);
  }
  const item = make("div", { class: "toast" }, text);
  box.append(item);
  setTimeout(() => item.remove(), 1000 * seconds);
  return item;
}

// `<time data-ago>` is kept current.
export function startTimes() {
  const update = () => {
    for (const time of all("time[data-ago]")) time.textContent = ago(new Date(time.dateTime));
  };
  setInterval(update, 30_000);
  document.addEventListener("visibilitychange", () => document.hidden || update());
}

// As the filter `ago` of the templates.
export function ago(date) {
  const seconds = (Date.now() - date.getTime()) / 1000;
  if (seconds < 45) return "just now";
  for (const [unit, size] of [["day", 86_400], ["hour", 3600], ["minute", 60]]) {
    if (seconds >= 0.75 * size || unit === "minute") {
      const count = Math.max(1, Math.round(seconds / size));
      return `${count} ${unit}${count > 1 ? "s" : ""} ago`;
    }
  }
}

// As the filter `bytes`.
export function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  for (; count >= 999.5 && unit < units.length - 1; unit++) count /= 1000;
  return `${unit === 0 || count >= 99.5 ? count.toFixed(0) : count.toFixed(1)} ${units[unit]}`;
}

// As the filter `duration`.
export function duration(seconds) {
  if (seconds < 1) return `${(1000 * seconds).toFixed(0)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const padded = (value) => String(value).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${padded(whole % 60)} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${padded(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

// `[data-code-tabs]` has one of its texts at a time; the choice holds for all of them.
export function startCodeTabs(root = document) {
  for (const group of all("[data-code-tabs]", root)) {
    const texts = all(".code-tab", group);
    const strip = make("div", { class: "tabs", role: "tablist", "aria-label": group.getAttribute("aria-label") });
    const select = (chosen, focus) => {
      texts.forEach((text, index) => {
        const selected = text === chosen;
        text.hidden = !selected;
        const tab = strip.children[index];
        tab.setAttribute("aria-selected", selected);
        tab.tabIndex = selected ? 0 : -1;
        if (selected && focus) tab.focus();
      });
    };
    for (const [index, text] of texts.entries()) {
      text.setAttribute("role", "tabpanel");
      text.setAttribute("aria-label", text.dataset.name);
      const tab = make("button", { type: "button", role: "tab", onclick: () => select(text) }, text.dataset.name);
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (step) select(texts[(index + step + texts.length) % texts.length], true);
      });
      strip.append(tab);
    }
    group.prepend(strip);
    if (texts.length) select(texts[0]);
  }
}
