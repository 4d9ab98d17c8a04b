// Aliases of a project: set, rolled back, removed; and kept as they are when somebody else moves one.
import { get, post, put, remove, showProblem, withButton } from "../lib/api.js";
import { confirm } from "../lib/dialog.js";
import { announce, one, toast } from "../lib/dom.js";
import { live } from "../lib/live.js";
import { refresh, throttled } from "../lib/refresh.js";

let changed = async () => {};
const path = (project, alias) => `/projects/${encodeURIComponent(project)}/aliases/${encodeURIComponent(alias)}`;

// `parts`: ids of what says where they point.
export function startAliases(parts) {
  changed = () => refresh(...parts);
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-set-alias]");
    if (!form) return;
    event.preventDefault();
    withButton(one("button.primary", form), () => set(form), { place: one("[data-place]", form), form });
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-rollback], [data-remove-alias]");
    if (button) (button.dataset.rollback ? rollBack : takeAway)(button);
  });
  follow();
}

async function set(form) {
  const { project, version } = form.dataset;
  const alias = form.elements.alias.value.trim();
  if (!(await isAsKnown(project, alias, version))) return;
  const found = await put(path(project, alias), { version });
  form.closest("dialog").close();
  const late = found.warning ? `, but predictions do not follow yet: ${found.warning}` : ".";
  toast(`${alias} is ${found.version} now${late}`, { seconds: found.warning ? 12 : 5 });
  await changed();
}

// Whether the alias points at what the page says; where it does not, somebody who sees that may go on.
async function isAsKnown(project, alias, version) {
  const known = JSON.parse(one("#alias-known").dataset.known)[alias];
  const { items } = await get(`/projects/${encodeURIComponent(project)}/aliases`);
  const now = items.find((each) => each.alias === alias)?.version ?? "nothing";
  if (now === (known ? `v${known}` : "nothing")) return true;
  await changed();
  const text = `It pointed at ${known ? `v${known}` : "nothing"} when this page was made, and points at ${now} now.`;
  return confirm(`${alias} was moved meanwhile`, text, { action: `Point it at ${version}` });
}

async function rollBack(button) {
  const { rollback: alias, project, from, to } = button.dataset;
  const text = `${alias} points at ${from}. Afterwards it points at ${to}, which answers predictions by ${project}@${alias} some seconds later. ${from} stays.`;
  if (!(await confirm(`Roll ${alias} back to ${to}?`, text, { action: `Roll back to ${to}` }))) return;
  await move(button, async () => {
    const now = (await get(path(project, alias))).version;
    if (now === from) return post(`${path(project, alias)}/rollback`);
    toast(`${alias} was moved meanwhile, to ${now}: nothing was rolled back.`, { seconds: 10 });
  });
}

async function takeAway(button) {
  const { removeAlias: alias, project } = button.dataset;
  const text = "Predictions by its name are refused afterwards. The version stays; a later alias of this name begins a new history for rollbacks.";
  if (!(await confirm(`Remove ${alias}?`, text, { action: "Remove the alias", danger: true }))) return;
  await move(button, () => remove(path(project, alias)));
}

// Whatever came of it, the page says how the aliases are now.
async function move(button, action) {
  let problem = null;
  await withButton(button, () => action().catch((error) => (problem = error)));
  await changed();
  if (problem) showProblem(problem);
}

// The project changes when an alias of it moves; what runs in it changes nothing here.
function follow() {
  const place = one("[data-follow-aliases]");
  if (!place) return;
  const project = place.dataset.followAliases;
  const read = throttled(async () => {
    const before = place.textContent;
    await changed();
    if (place.textContent !== before) announce("Aliases have changed.");
  }, 3);
  live(["home"]).on("changed", ({ all: everything, projects = [] }) => {
    if (everything || projects.includes(project)) read();
  });
}
