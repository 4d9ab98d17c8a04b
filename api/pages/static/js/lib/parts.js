// Parts of a page that take longer: `<div data-part hx-get="/ui/...">` is replaced by what that answers. htmx does it, and
// where it is not there this does.
export function loadParts() {
  if (!window.htmx) for (const part of document.querySelectorAll("[data-part]")) load(part);
}

async function load(part) {
  const answer = await fetch(part.getAttribute("hx-get"), { headers: { accept: "text/html" }, credentials: "same-origin" });
  if (!answer.ok) return part.remove();
  part.replaceWith(...new DOMParser().parseFromString(await answer.text(), "text/html").body.childNodes);
}
