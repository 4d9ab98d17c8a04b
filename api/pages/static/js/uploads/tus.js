// One resumable upload (tus 1.0.0) of a file: pieces with checksums, retries with back-off, pause, continue after a reload.
import { Problem, call, newKey } from "../lib/api.js";

const VERSION = { "tus-resumable": "1.0.0" };
const FIRST_PIECE = 2 ** 20;
const LEAST_PIECE = 2 ** 18;
const MOST_PIECE = 32 * 2 ** 20; // in memory for its checksum
const QUICK_MS = 1500; // a piece that is stored sooner: the next one is larger
const SLOW_MS = 5000; // one that takes longer: smaller, since a lost piece is sent again as a whole
const MOST_DELAY_MS = 30_000;
const SPEED_MS = 6000; // the speed is that of this time
const STORED = "darkroom-uploads";
const PASSING = [0, 408, 423, 460, 425, 429, 500, 502, 503, 504]; // by another try it may work
const PASSING_CONFLICTS = ["upload-offset-differs", "upload-locked", "request-in-flight"];

// The file is the same when it is chosen again.
export const fingerprintOf = (file, target = "") => [file.name, file.size, file.lastModified, target].join("|");

const isPassing = (error) => PASSING.includes(error.status) || PASSING_CONFLICTS.includes(error.slug);

export function interrupted() {
  try {
    return JSON.parse(localStorage.getItem(STORED)) ?? {};
  } catch {
    return {}; // switched off, or not ours: uploads begin anew
  }
}

export function forget(fingerprint) {
  const known = interrupted();
  delete known[fingerprint];
  keep(known);
}

function keep(known) {
  try {
    localStorage.setItem(STORED, JSON.stringify(known));
  } catch {
    // as above
  }
}

// `state`: waiting, sending, retrying, paused, finishing, done, failed, cancelled. `onChange()` after each change.
export class Upload {
  state = "waiting";
  sent = 0; // bytes that are stored, and of the piece under way
  jobId = null;
  error = null;
  retryAt = 0;
  #id = null;
  #stored = 0;
  #piece = FIRST_PIECE;
  #request = null;
  #samples = [];
  #wake = null;
  #key = newKey();

  constructor(file, { metadata, target = "", onChange }) {
    this.file = file;
    this.metadata = metadata;
    this.fingerprint = fingerprintOf(file, target);
    this.onChange = onChange;
  }

  // Bytes a second; 0 while it is not known.
  get speed() {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    return first && last.at > first.at ? (1000 * (last.sent - first.sent)) / (last.at - first.at) : 0;
  }

  get isActive() {
    return ["sending", "retrying", "finishing"].includes(this.state);
  }

  // Resolves when it is done, has failed, or is paused or cancelled.
  async run() {
    this.#set("sending");
    let delay = 1000;
    while (this.isActive) {
      const before = this.#stored;
      try {
        await this.#advance();
      } catch (error) {
        if (!this.isActive) return;
        if (!(error instanceof Problem)) throw error;
        if (!isPassing(error)) return this.#fail(error);
        delay = this.#stored > before ? 1000 : Math.min(MOST_DELAY_MS, 2 * delay);
        await this.#wait(delay * (0.75 + Math.random() / 2));
        await this.#catchUp();
      }
    }
  }

  pause() {
    if (this.state !== "sending" && this.state !== "retrying") return;
    this.#set("paused");
    this.#stop();
  }

  async cancel() {
    const id = this.#id;
    this.#set("cancelled");
    this.#stop();
    forget(this.fingerprint);
    if (id) await call("DELETE", `/uploads/${id}`, { headers: VERSION }).catch(() => {}); // it expires by itself
  }

  #stop() {
    this.#request?.abort();
    this.#wake?.();
    this.#samples = [];
    this.sent = this.#stored;
  }

  async #advance() {
    if (!this.#id && !(await this.#continued())) await this.#create();
    while (this.isActive && this.#stored < this.file.size) await this.#sendPiece();
    if (this.isActive) await this.#finish();
  }

  // Whether an earlier page has begun it.
  async #continued() {
    const known = interrupted()[this.fingerprint];
    if (!known) return false;
    try {
      const found = await call("GET", `/uploads/${known.id}`);
      if (found.state === "refused") throw new Problem({}, 410);
      this.#id = known.id;
      this.#moveTo(found.offset);
      return true;
    } catch (error) {
      if (isPassing(error)) throw error;
      forget(this.fingerprint);
      return false;
    }
  }

  async #create() {
    const pairs = Object.entries({ filename: this.file.name, ...this.metadata }).filter(([, value]) => value !== "");
    const headers = {
      ...VERSION,
      "upload-length": String(this.file.size),
      "upload-metadata": pairs.map(([name, value]) => `${name} ${base64(new TextEncoder().encode(value))}`).join(","),
    };
    const made = await call("POST", "/uploads", { headers, key: this.#key });
    this.#id = made.upload_id;
    this.#moveTo(made.offset);
    const about = { id: this.#id, name: this.file.name, size: this.file.size, project: this.metadata.project ?? "" };
    keep({ ...interrupted(), [this.fingerprint]: about });
  }

  async #sendPiece() {
    const from = this.#stored;
    const piece = this.file.slice(from, from + this.#piece);
    const headers = { ...VERSION, "content-type": "application/offset+octet-stream", "upload-offset": String(from) };
    if (crypto.subtle) headers["upload-checksum"] = `sha256 ${await sha256(piece)}`; // on https and loopback only
    if (!this.isActive) return;
    if (this.state === "retrying") this.#set("sending");
    const began = performance.now();
    const answer = await this.#patch(piece, headers, from);
    this.#moveTo(Number(answer.offset));
    this.jobId = answer.jobId;
    const took = performance.now() - began;
    if (took < QUICK_MS) this.#piece = Math.min(MOST_PIECE, 2 * this.#piece);
    else if (took > SLOW_MS) this.#piece = Math.max(LEAST_PIECE, this.#piece / 2);
  }

  #patch(piece, headers, from) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest(); // fetch does not say how much is sent
      this.#request = request;
      request.open("PATCH", `/uploads/${this.#id}`);
      for (const [name, value] of Object.entries({ accept: "application/json", ...headers })) request.setRequestHeader(name, value);
      request.upload.addEventListener("progress", (event) => this.#report(from + event.loaded));
      request.addEventListener("load", () => {
        const header = (name) => request.getResponseHeader(name);
        if (request.status === 204) resolve({ offset: header("upload-offset"), jobId: header("darkroom-job-id") });
        else reject(new Problem(parsed(request), request.status));
      });
      request.addEventListener("error", () => reject(new Problem({ title: "The connection was lost" }, 0)));
      request.addEventListener("abort", () => reject(new Problem({ title: "Stopped" }, 0)));
      request.send(piece);
    });
  }

  // The last byte is stored; the job is made of it.
  async #finish() {
    this.#set("finishing");
    while (!this.jobId && this.isActive) {
      const found = await call("GET", `/uploads/${this.#id}`);
      if (found.state === "refused") return this.#fail(new Problem(found.problem, 422));
      this.jobId = found.job_id;
      if (!this.jobId) await this.#pause(1000);
    }
    if (!this.jobId) return;
    forget(this.fingerprint);
    this.#set("done");
  }

  // Where the service is by now; what cannot be read is found out by the next try.
  async #catchUp() {
    if (!this.#id || !this.isActive) return;
    try {
      this.#moveTo((await call("GET", `/uploads/${this.#id}`)).offset);
    } catch (error) {
      if (error.status === 404) this.#restart();
    }
  }

  #restart() {
    forget(this.fingerprint);
    this.#id = null;
    this.#key = newKey();
    this.#moveTo(0);
  }

  #moveTo(offset) {
    this.#stored = offset;
    this.#report(offset);
  }

  #report(sent) {
    this.sent = sent;
    const at = performance.now();
    this.#samples.push({ at, sent });
    while (this.#samples.length > 2 && at - this.#samples[0].at > SPEED_MS) this.#samples.shift();
    this.onChange();
  }

  async #wait(milliseconds) {
    this.sent = this.#stored;
    this.#samples = [];
    this.retryAt = Date.now() + milliseconds;
    this.#set("retrying");
    const online = () => this.#wake?.();
    addEventListener("online", online);
    await this.#pause(milliseconds);
    removeEventListener("online", online);
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #fail(error) {
    this.error = error;
    if (error.status !== 401) forget(this.fingerprint);
    this.#set("failed");
  }

  #set(state) {
    this.state = state;
    this.onChange();
  }
}

function parsed(request) {
  try {
    return JSON.parse(request.responseText);
  } catch {
    return { title: "The answer of the service was not understood", detail: `It answered ${request.status}.` };
  }
}

async function sha256(blob) {
  return base64(new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer())));
}

function base64(bytes) {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
