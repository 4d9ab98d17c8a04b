// The system and its lists: read again when work changes. A heartbeat that fails to come is no event: every half minute.
import { startActions } from "./lib/actions.js";
import { all, one } from "./lib/dom.js";
import { live } from "./lib/live.js";
import { refresh, throttled } from "./lib/refresh.js";

const HEARTBEAT_SECONDS = 30;
const page = one("#system");
const update = throttled(() => refresh(...page.dataset.refresh.split(" ")), 2);

startActions();
live(["home"], { last: page.dataset.position }).on("changed", update);
setInterval(() => document.hidden || update(), 1000 * HEARTBEAT_SECONDS);
for (const control of all("[data-submits]")) control.addEventListener("change", () => control.form.requestSubmit());
