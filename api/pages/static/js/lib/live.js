// What moves: one stream of server-sent events for the page, which reopens by itself and continues where it was.
//
//   const stream = live(["run_...", "home"]);
//   stream.on("epoch", (data, event) => ...);   // data: the event's own; event: {topic, seq, type, data}
//   stream.on("*", (data, event) => ...);       // every event
//   stream.onState((state) => ...);             // "open", "waiting" (reconnecting), "paused" (tab hidden), "ended"
//
// A browser opens six connections to a host at most: while the tab is hidden there is none.

const FIRST_DELAY_MS = 1000;
const MOST_DELAY_MS = 30_000;
// A browser hands over only events of types that are listened to.
const TYPES = ["message", "state", "stop", "stage", "progress", "epoch", "checkpoint", "note", "system", "begin", "changed", "end"];

// `last`: the position that the page was rendered at; the stream begins with what came after it.
export function live(topics, { last = "" } = {}) {
  return new Live([...topics], last);
}

class Live {
  #topics;
  #source = null;
  #last = "";
  #delay = FIRST_DELAY_MS;
  #timer = 0;
  #handlers = new Map();
  #watchers = [];
  #ended = new Set();
  #state = "waiting";
  #types = new Set(TYPES);

  constructor(topics, last) {
    this.#topics = topics;
    this.#last = last;
    document.addEventListener("visibilitychange", this.#onVisibility);
    addEventListener("pagehide", this.#drop);
    addEventListener("pageshow", this.#onVisibility);
    if (document.hidden) this.#report("paused");
    else this.#open();
  }

  on(type, handler) {
    if (!this.#handlers.has(type)) this.#handlers.set(type, []);
    this.#handlers.get(type).push(handler);
    if (type !== "*") this.#listenTo(type);
    return this;
  }

  onState(watcher) {
    this.#watchers.push(watcher);
    watcher(this.#state);
    return this;
  }

  // For good.
  close() {
    document.removeEventListener("visibilitychange", this.#onVisibility);
    removeEventListener("pagehide", this.#drop);
    removeEventListener("pageshow", this.#onVisibility);
    this.#drop();
    this.#report("ended");
  }

  #open() {
    if (this.#source || this.#state === "ended") return;
    const query = new URLSearchParams({ topics: this.#topics.join(",") });
    if (this.#last) query.set("last", this.#last);
    const source = new EventSource(`/ui/events?${query}`);
    this.#source = source;
    source.addEventListener("open", () => {
      this.#delay = FIRST_DELAY_MS;
      this.#report("open");
    });
    for (const type of this.#types) source.addEventListener(type, this.#receive);
    // The browser tries again by itself only after a lost connection; after 204, 401 or 5xx the stream is closed.
    source.addEventListener("error", () => {
      if (source !== this.#source) return;
      this.#report("waiting");
      if (source.readyState === EventSource.CLOSED) this.#reopenLater();
    });
  }

  #listenTo(type) {
    if (this.#types.has(type)) return;
    this.#types.add(type);
    this.#source?.addEventListener(type, this.#receive);
  }

  #receive = (message) => {
    if (message.lastEventId) this.#last = message.lastEventId;
    if (!message.data) return;
    const event = JSON.parse(message.data);
    for (const name of [event.type ?? message.type, "*"]) {
      for (const handler of this.#handlers.get(name) ?? []) handler(event.data, event);
    }
    if (event.type === "end") this.#end(event.topic);
  };

  #end(topic) {
    this.#ended.add(topic);
    if (this.#topics.every((each) => this.#ended.has(each))) this.close();
  }

  #reopenLater() {
    this.#drop();
    const spread = 0.75 + Math.random() / 2; // not all pages at the same moment
    this.#timer = setTimeout(() => this.#open(), this.#delay * spread);
    this.#delay = Math.min(MOST_DELAY_MS, 2 * this.#delay);
  }

  #drop = () => {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  };

  #onVisibility = () => {
    if (document.hidden) {
      this.#drop();
      this.#report("paused");
    } else if (!this.#source) {
      clearTimeout(this.#timer);
      this.#delay = FIRST_DELAY_MS;
      this.#open();
    }
  };

  #report(state) {
    if (state === this.#state) return;
    this.#state = state;
    for (const watcher of this.#watchers) watcher(state);
  }
}
