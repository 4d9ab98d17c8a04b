// Every page of a version, and the list of them: aliases, evaluations, controls that submit their form.
import { startAliases } from "./aliases.js";
import { startEvaluating } from "./evaluating.js";

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

startAliases(["version-facts", "version-actions", "served", "aliases", "alias-known"]);
startEvaluating();
