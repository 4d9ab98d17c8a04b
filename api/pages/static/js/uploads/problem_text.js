// A problem, short: title, detail, the fields at fault, and a link to what to do about it.
import { make } from "../lib/dom.js";

export function problemText(error) {
  const { title, detail, errors = [], slug } = error.body;
  return [
    make("strong", {}, title ?? "The upload failed"),
    detail ? make("p", {}, make("bdi", {}, detail)) : null,
    ...errors.map((each) => make("p", {}, make("code", {}, each.field), " ", each.message)),
    slug ? make("a", { href: `/ui/problems/${encodeURIComponent(slug)}` }, "What to do") : null,
  ].filter(Boolean);
}
