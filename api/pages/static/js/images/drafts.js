// Corrections of images, kept by the API as drafts.
import { call, get, post } from "../lib/api.js";
import { confirm } from "../lib/dialog.js";

const AUTHOR = "darkroom-author";
const AT_ONCE = 1000; // of one request

export function author() {
  try {
    return localStorage.getItem(AUTHOR) ?? "";
  } catch {
    return "";
  }
}

export function setAuthor(name) {
  try {
    localStorage.setItem(AUTHOR, name.trim().slice(0, 200));
  } catch {
    // Storage may be switched off: drafts have no author then.
  }
}

// `corrections`: as the API takes them. Resolves to the number of drafts of the dataset.
export async function saveDrafts(job, corrections, { newClasses = false } = {}) {
  let answer = { drafts: 0 };
  for (let at = 0; at < corrections.length; at += AT_ONCE) {
    const part = corrections.slice(at, at + AT_ONCE);
    const body = { corrections: part, author: author(), ...(newClasses ? { new_classes: true } : {}) };
    answer = await post(`/datasets/${job}/corrections`, body);
  }
  return answer.drafts;
}

// Of one image. Where somebody has saved another draft since the page was read, it asks first; false: nothing was saved.
export async function saveDraft(job, correction, { seenAt = "", newClasses = false } = {}) {
  const { items } = await get(`/datasets/${job}/corrections?state=draft&image=${encodeURIComponent(correction.image)}`);
  const [other] = items;
  if (other && other.updated_at !== seenAt) {
    const text = `${other.author || "Somebody"} has saved a draft of this image since it was opened here. Yours would take its place; reload the page to see it.`;
    if (!(await confirm("Replace the other draft?", text, { action: "Replace it", danger: true }))) return false;
  }
  await saveDrafts(job, [correction], { newClasses });
  return true;
}

export const discardDraft = (job, id) => call("DELETE", `/datasets/${job}/corrections/${id}`);
