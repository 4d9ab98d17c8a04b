// The theme: automatic, light or dark. `data-theme` on the root; the choice is stored in this browser.
const KEY = "darkroom-theme";
const ORDER = ["auto", "light", "dark"];
const NAMES = { auto: "automatic", light: "light", dark: "dark" };

export function theme() {
  return document.documentElement.dataset.theme ?? "auto";
}

// Dispatches `darkroom:theme` on the document, which charts draw anew for.
export function setTheme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  try {
    if (name === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, name);
  } catch {
    // Storage may be switched off: the choice lasts for this page.
  }
  changed();
}

// The value of a CSS colour such as `--accent`, as the browser draws it now.
export function cssColor(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  probe.hidden = true;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

export function startTheme() {
  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    label(button);
    button.hidden = false;
    button.addEventListener("click", () => {
      setTheme(ORDER[(ORDER.indexOf(theme()) + 1) % ORDER.length]);
      label(button);
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
}

function changed() {
  document.dispatchEvent(new CustomEvent("darkroom:theme"));
}

function label(button) {
  const text = `Theme: ${NAMES[theme()]}`;
  button.setAttribute("aria-label", text);
  button.title = text;
  button.querySelector("[data-theme-name]").textContent = text;
  for (const icon of button.querySelectorAll("[data-theme-icon]")) icon.hidden = icon.dataset.themeIcon !== theme();
}
