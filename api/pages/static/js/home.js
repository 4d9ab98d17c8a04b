// Home: what moves, kept current; uploads.
import { startActions } from "./lib/actions.js";
import { startUploads } from "./uploads/uploads.js";
import { one } from "./lib/dom.js";
import { keys } from "./lib/keys.js";
import { live } from "./lib/live.js";
import { refresh, throttled } from "./lib/refresh.js";

startActions();
startUploads();

const page = one("#home");
const update = throttled(() => refresh("moving", "projects"), 1.5);
const stream = live(["home"], { last: page.dataset.position });
stream.on("changed", update);

one("[data-submits]")?.addEventListener("change", (event) => event.target.form.requestSubmit());

keys({
  "/": [() => one("[name=q]")?.focus(), "Find a project"],
  u: [() => one('[data-upload-open=""], [data-upload-choose]').click(), "New dataset"],
});
