// Requests for predictions: what is asked, the answer, and the same request for other programs.
import { call, Problem } from "../lib/api.js";

const TRIES = 30; // of a model that is loaded first, or a full queue
const NOTICED_MS = 300; // an answer of a model in memory is there by then
const WAITED_FOR = new Set(["queue-full", "model-loading"]);

// `options`: {confidence, iou, top, tile}, each left out or a value. The order is that of the copied requests.
export function query(model, options, more = {}) {
  const all = { model, ...options, ...more };
  return new URLSearchParams(Object.entries(all).filter(([, value]) => value !== undefined && value !== null));
}

// Resolves to {answer, seconds} or, with `annotated`, to the Response. `onWait(problem)`: it is asked again after a while.
export async function predict(asked, blob, { signal, onWait = () => {}, raw = false } = {}) {
  for (let left = TRIES; ; left--) {
    const begun = performance.now();
    try {
      const headers = { "content-type": blob.type || "application/octet-stream" };
      const answer = await call("POST", `/predict/image?${asked}`, { body: blob, headers, signal, raw });
      return raw ? answer : { answer, seconds: (performance.now() - begun) / 1000 };
    } catch (error) {
      if (!(error instanceof Problem && WAITED_FOR.has(error.slug) && left > 1)) throw error;
      onWait(error);
      await pause(1000 * (error.retryAfter ?? 1), signal);
    }
  }
}

export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("Stopped", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

// The requests that were made, as {darkroom, curl, Python}; the token is named, never written.
export function texts(asked, file, type, needsToken) {
  const parts = asked.map((each) => ({ each, model: each.get("model"), rest: [...each].filter(([name]) => name !== "model") }));
  const origin = location.origin;
  const token = needsToken ? ' \\\n  -H "Authorization: Bearer $DARKROOM_API_TOKEN"' : "";
  return {
    darkroom: parts
      .map(({ model, rest }) => [`darkroom predict ${shell(model)} ${shell(path(file))}`, ...rest.map(([name, value]) => `--${name} ${value}`), `--url ${origin}`].join(" \\\n  "))
      .join("\n"),
    curl: parts
      .map(({ each }) => `curl --data-binary ${shell(`@${file}`)} \\\n  -H ${shell(`Content-Type: ${type}`)}${token} \\\n  ${shell(`${origin}/predict/image?${each}`)}`)
      .join("\n"),
    Python: [
      "from darkroom import Client",
      "",
      `with Client(${JSON.stringify(origin)}) as client:${needsToken ? "  # the token: DARKROOM_API_TOKEN, or `darkroom login`" : ""}`,
      ...parts.map(({ model, rest }) => {
        const options = rest.map(([name, value]) => `, ${name}=${value}`).join("");
        return `    prediction = client.predict_from_image_path(${python(model)}, ${python(file)}${options})\n    print(prediction)`;
      }),
    ].join("\n"),
  };
}

// Calls `say` where an answer takes longer than usual because the model of this name is not in memory yet. Returns what
// ends that.
export function noticeLoading(name, say) {
  let ended = false;
  const timer = setTimeout(async () => {
    try {
      const { items } = await call("GET", "/serving/models");
      if (!ended && !items.some((each) => each.names.includes(name))) say();
    } catch (error) {
      if (!(error instanceof Problem)) throw error; // what the prediction meets is said
    }
  }, NOTICED_MS);
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}

const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
const path = (file) => (file.startsWith("-") ? `./${file}` : file); // no option of the command
const python = (text) => JSON.stringify(text);

// Saves `blob` as a file of the person.
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
