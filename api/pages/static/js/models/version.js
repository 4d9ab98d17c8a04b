// Every page of a version, and the list of them: aliases, evaluations, controls that submit their form.
import { one } from "../lib/dom.js";
import { startAliases } from "./aliases.js";
import { startEvaluating } from "./evaluating.js";

// On a phone the current tab may be beside the window. Not by `scrollIntoView`: the Tab key would begin there.
const tabs = one(".tabs");
const current = one(".tabs [aria-current]");
if (current) tabs.scrollLeft = current.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - current.offsetWidth) / 2;

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

startAliases(["version-facts", "version-actions", "served", "aliases", "alias-known"]);
startEvaluating();
