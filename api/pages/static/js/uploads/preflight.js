// What is wrong with a ZIP, by its directory at the end, before it is sent.
import { call } from "../lib/api.js";

const END_BYTES = 65_557; // the end record with the longest comment

// Resolves to the answer of /preflight, or null where the directory is too long to be looked at.
export async function preflight(file, { signal } = {}) {
  const ask = (bytes) => {
    const body = file.slice(Math.max(0, file.size - bytes));
    const headers = { "content-type": "application/octet-stream" };
    return call("POST", `/preflight?bytes=${file.size}`, { body, headers, signal });
  };
  let needed;
  try {
    return await ask(END_BYTES);
  } catch (error) {
    if (error.slug === "limit-exceeded") return null;
    if (error.slug !== "preflight-incomplete") throw error;
    needed = error.body.needed_bytes;
  }
  try {
    return await ask(needed);
  } catch (error) {
    if (["limit-exceeded", "preflight-incomplete"].includes(error.slug)) return null;
    throw error;
  }
}
