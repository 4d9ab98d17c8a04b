// Every page of a version, and the list of them: aliases, evaluations, controls that submit their form.
import { one } from "../lib/dom.js";
import { startAliases } from "./aliases.js";
import { startEvaluating } from "./evaluating.js";

one(".tabs [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" }); // on a phone it may be beside the window

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

startAliases(["version-facts", "version-actions", "aliases", "alias-known"]);
startEvaluating();
