// The camera: frames are sent one after the other, the newest one each time; never two at once.
import { Problem } from "../lib/api.js";
import { pause } from "./requests.js";

const MOST_PX = 1280; // of the longer side of a frame that is sent
const QUALITY = 0.85;
const AVERAGED = 12; // frames

const PROBLEMS = {
  NotAllowedError: ["The camera was not allowed", "Allow this page to use the camera: in most browsers by the sign left of the address. Then start it again."],
  NotFoundError: ["There is no camera", "This computer has none, or it is not connected. An image works without one."],
  NotReadableError: ["The camera is in use", "Another program, or another tab, has it. Close that and start it again."],
  OverconstrainedError: ["The camera has no such resolution", "Choose another camera in the browser."],
};

export class Camera {
  #stream = null;
  #stop = null;

  get isOn() {
    return this.#stop !== null;
  }

  // `show(stream)` resolves to the video; `answer(blob, signal)` to when the boxes are drawn; `report({fps, lag})`.
  // Resolves once it is stopped. Rejects with a Problem.
  async run({ show, answer, report }) {
    if (!navigator.mediaDevices?.getUserMedia) {
      const detail = `Browsers give the camera to pages by https and on this computer itself (localhost) alone. This page came by ${location.origin}: put https before it, or forward its port to your computer: ssh -L 8000:localhost:${location.port || 80} ${location.hostname}`;
      throw new Problem({ title: "No camera without https", detail }, 0);
    }
    const stop = new AbortController();
    this.#stop = stop;
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "environment" } });
      if (stop.signal.aborted) return;
      const [track] = this.#stream.getVideoTracks();
      track.addEventListener("ended", () => this.stop());
      await this.#frames(await show(this.#stream), answer, report, stop.signal);
    } catch (error) {
      if (error.name === "AbortError" && stop.signal.aborted) return;
      if (error instanceof Problem || !(error instanceof DOMException)) throw error;
      const [title, detail] = PROBLEMS[error.name] ?? ["The camera does not start", `The browser says: ${error.message}`];
      throw new Problem({ title, detail }, 0);
    } finally {
      this.#release();
      if (this.#stop === stop) this.#stop = null;
    }
  }

  stop() {
    this.#stop?.abort();
    this.#release();
  }

  #release() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
  }

  async #frames(video, answer, report, signal) {
    const canvas = document.createElement("canvas");
    const ends = [];
    while (!signal.aborted) {
      await newFrame(video, signal);
      const taken = performance.now();
      const blob = await frameOf(video, canvas);
      if (!blob) {
        await pause(50, signal);
        continue;
      }
      await answer(blob, signal);
      if (signal.aborted) return;
      ends.push(performance.now());
      if (ends.length > AVERAGED) ends.shift();
      const fps = ends.length > 1 ? (1000 * (ends.length - 1)) / (ends.at(-1) - ends[0]) : null;
      report({ fps, lag: (performance.now() - taken) / 1000 });
    }
  }
}

function newFrame(video, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new DOMException("Stopped", "AbortError"));
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    const next = () => {
      signal.removeEventListener("abort", stop);
      resolve();
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(next);
    else requestAnimationFrame(next);
  });
}

async function frameOf(video, canvas) {
  if (!video.videoWidth) return null;
  const scale = Math.min(1, MOST_PX / Math.max(video.videoWidth, video.videoHeight));
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d", { alpha: false }).drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}
