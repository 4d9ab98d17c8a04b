// What is wrong with a ZIP, by its directory at the end, before it is sent.
import { call } from "../lib/api.js";

const END_BYTES = 65_557; // the end record with the longest comment
const END_RECORD = 0x06054b50;
const END_RECORD_BYTES = 22;
const ZIP64 = 0xffffffff; // the size is in another record

// Resolves to the answer of /preflight, or null where the directory is too long to be looked at.
export async function preflight(file) {
  try {
    return await send(file, await directoryBytes(file));
  } catch (error) {
    if (error.slug === "limit-exceeded") return null;
    if (error.slug !== "preflight-incomplete") throw error;
    return await send(file, error.body.needed_bytes).catch((again) => {
      if (again.slug === "limit-exceeded") return null;
      throw again;
    });
  }
}

function send(file, bytes) {
  const body = file.slice(Math.max(0, file.size - bytes));
  const headers = { "content-type": "application/octet-stream" };
  return call("POST", `/preflight?bytes=${file.size}`, { body, headers });
}

// How many bytes at the end hold the whole directory, as the end record says.
async function directoryBytes(file) {
  const start = Math.max(0, file.size - END_BYTES);
  const end = new DataView(await file.slice(start).arrayBuffer());
  for (let at = end.byteLength - END_RECORD_BYTES; at >= 0; at--) {
    if (end.getUint32(at, true) !== END_RECORD) continue;
    const directory = end.getUint32(at + 12, true);
    return directory === ZIP64 ? END_BYTES : Math.max(END_BYTES, directory + end.byteLength - at);
  }
  return END_BYTES;
}
