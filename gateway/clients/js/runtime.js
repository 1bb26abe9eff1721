// The client of edgemere for browsers and Node 18 or newer: one module, no dependencies.
//
//   import edgemere from "http://127.0.0.1:3000/edgemere.js";             // in a page of the server
//   import { connect } from "./edgemere.js";                              // in Node, or for another server
//   const request = await edgemere.diml.dml.do.datarequest.create({ query: "owner:darren" }, { wait: 30 });
//   const heard = edgemere.on("datarequest.*", (message) => console.log(message.event, message.obj.name));

const TIMEOUT_MS = 60_000;
const LONG_ADDRESS = 8000;
const QUIET_MS = 50_000;
const PAUSES_MS = [100, 250, 500, 1000, 2000, 5000];

/** An error of the server: `problem` is its RFC 9457 document, `code` is stable. */
export class EdgemereError extends Error {
  constructor(problem) {
    super([problem.detail || problem.title, problem.next_step].filter(Boolean).join(" "));
    this.name = new.target.name;
    this.problem = problem;
    this.status = problem.status ?? 0;
    this.code = problem.code ?? "unknown";
    this.detail = problem.detail ?? "";
    this.nextStep = problem.next_step ?? "";
    this.errors = problem.errors ?? [];
    this.requestId = problem.request_id ?? "";
  }
}
/** The server could not be reached, or its answer ended too early: what it did is not known. */
export class Unreachable extends EdgemereError {}
/* KINDS */

/** The error object of a problem document. */
export function errorOf(problem) {
  return new (KIND_OF_STATUS[problem.status] ?? EdgemereError)(problem);
}

const abouts = new WeakMap();
/** What HTTP said beside an answer: `{status, requestId, location, version, operation}`. */
export const about = (answer) => abouts.get(answer);

/** A client of the server at `url`: `{diml: {dml: {do, fmdm}}, do, fmdm, on, events, …}`. */
export function connect(url = ownUrl(), options = {}) {
  const server = new Server(url, options);
  const trees = {};
  for (const row of Object.values(ACTIONS)) {
    let node = (trees[row.tree] ??= {});
    for (const word of row.path.slice(0, -1)) node = node[word] ??= {};
    const word = row.path.at(-1);
    node[word] = Object.assign((parameters, more) => server.call(row, parameters, more), node[word]);
  }
  return {
    url: server.url,
    diml: { dml: trees },
    ...trees,
    call: (name, parameters, more) => server.call(rowOf(name), parameters, more),
    on: (event, listener, more) => server.channels.on(event, listener, more),
    events: (more) => server.channels.iterate(more),
    onConnection: (listener) => server.channels.watch(listener),
    close: () => server.channels.close(),
  };
}

function ownUrl() {
  if (/^https?:/.test(import.meta.url)) return new URL(".", import.meta.url).href;
  return globalThis.process?.env?.EDGEMERE_URL || "http://127.0.0.1:3000";
}

function rowOf(name) {
  const row = ACTIONS[name] ?? Object.values(ACTIONS).find((one) => `edgemere.diml.dml.${one.name}` === name);
  if (!row) throw new TypeError(`There is no action '${name}'.`);
  return row;
}

class Server {
  /** `key` or `token` is what one logs in with, in Node else EDGEMERE_KEY; a page of the server itself has its session. */
  constructor(url, { fetch = globalThis.fetch.bind(globalThis), timeoutMs = TIMEOUT_MS, WebSocket = globalThis.WebSocket, key, token } = {}) {
    this.url = String(url).replace(/\/+$/, "");
    this.credential = key ?? token ?? globalThis.process?.env?.EDGEMERE_KEY ?? "";
    if (this.credential && !isSafe(this.url) && globalThis.process?.env?.EDGEMERE_INSECURE !== "1") {
      throw new EdgemereError({ status: 0, code: "js.insecure", detail: `The key is not sent to ${this.url}: without TLS everybody on the way could read it.`, next_step: "Use the server's https address." });
    }
    this.fetch = (address, { headers, ...more }) => fetch(address, { ...more, headers: this.credential ? { ...headers, Authorization: `Bearer ${this.credential}` } : headers });
    this.timeoutMs = timeoutMs;
    this.WebSocket = WebSocket;
    this.channels = new Channels(this);
  }

  /** One action. `more`: {wait, respondAsync, signal, timeoutMs, idempotencyKey, ifMatch, requestId, range}. */
  async call(row, parameters = {}, more = {}) {
    if (row.answer === "stream") return this.channels.iterate({ ...parameters, signal: more.signal });
    const given = Object.fromEntries(Object.entries(parameters ?? {}).filter(([, value]) => value !== undefined && value !== null));
    const [method, address, body] = requestOf(row, given);
    const headers = { Accept: "application/json" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const preferred = [more.wait !== undefined && `wait=${Math.ceil(more.wait)}`, more.respondAsync && "respond-async"].filter(Boolean);
    if (preferred.length) headers.Prefer = preferred.join(", ");
    if (more.idempotencyKey !== undefined) headers["Idempotency-Key"] = more.idempotencyKey;
    if (more.ifMatch !== undefined) headers["If-Match"] = `"${more.ifMatch}"`;
    if (more.requestId) headers["X-Request-Id"] = more.requestId;
    if (more.range) headers.Range = `bytes=${more.range[0]}-${more.range[1]}`;
    const limit = more.timeoutMs ?? this.timeoutMs + 1000 * (more.wait ?? row.wait_s ?? 0);
    const ended = deadline(limit, more.signal);
    try {
      const response = await this.fetch(this.url + address, { method, headers, body, signal: ended.signal });
      if (row.answer === "content" && response.ok) {
        // Its bytes are read by the caller, in the caller's own time; the signal still ends that.
        ended.clear(false);
        return response;
      }
      const answer = await read(response);
      if (answer !== null && typeof answer === "object") abouts.set(answer, aboutOf(response, answer));
      ended.clear(true);
      return answer;
    } catch (error) {
      ended.clear(true);
      throw this.lost(error, more.signal, ended, limit);
    }
  }

  lost(error, signal, ended, limit) {
    if (error instanceof EdgemereError || signal?.aborted) return error;
    const [code, detail] = ended.expired ? ["js.timeout", `${this.url} did not answer within ${limit} ms.`]
      : ["js.unreachable", `No server answers at ${this.url} (${error.cause?.code ?? error.message}).`];
    return new Unreachable({ status: 0, code, detail, next_step: "Whether it was done is not known: look before you try again." });
  }
}

function deadline(limit, signal) {
  const control = new AbortController();
  const state = { signal: control.signal, expired: false };
  const abort = () => control.abort(signal.reason);
  const timer = setTimeout(() => { state.expired = true; control.abort(); }, limit);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  state.clear = (whole) => {
    clearTimeout(timer);
    if (whole) signal?.removeEventListener("abort", abort);
  };
  return state;
}

/** [method, address, body] that ask for an action; questions of plain values that are not long are GETs. */
export function requestOf(row, parameters) {
  const plain = Object.values(parameters).every((value) => typeof value !== "object");
  if (!row.changes && (plain || row.answer === "content")) {
    const query = textOf(parameters);
    if (query.length <= LONG_ADDRESS || row.answer === "content") return ["GET", query ? `${row.address}?${query}` : row.address, undefined];
  }
  return ["POST", row.address, JSON.stringify(parameters)];
}

async function read(response) {
  const text = await response.text();
  let body;
  try {
    body = text.trim() ? JSON.parse(text) : null;
  } catch {
    throw new EdgemereError({ status: response.status, code: "js.not_json", detail: "What answers there does not speak JSON.", next_step: "Look whether the address is that of an edgemere server." });
  }
  if (response.ok) return body;
  throw errorOf({ status: response.status, detail: `The server answered ${response.status}.`, ...(body ?? {}) });
}

function aboutOf(response, answer) {
  const version = /^(?:W\/)?"(\d+)"$/.exec(response.headers.get("ETag") ?? "");
  const location = response.headers.get("Location");
  return {
    status: response.status,
    requestId: response.headers.get("X-Request-Id"),
    location,
    version: version ? Number(version[1]) : answer.version,
    operation: response.status === 202 && location ? new URL(location, "http://x").searchParams.get("id") : null,
  };
}

// ---- Events. A channel is one connection with one filter and one position; it resumes from there until it is closed.

class Channels {
  constructor(server) {
    this.server = server;
    this.watchers = new Set();
    this.open = new Set();
    this.shared = null;
  }

  /**
   * Call `listener(message)` for every message from now on, or after the sequence `after`, each once and in order.
   * `event`: names or patterns, joined by commas, "*" for all. `more`: {class, object, owner, query, after, signal,
   * onError}; `onError(error)` is called when the server refuses what is asked for. Returns {close(), position}.
   */
  on(event, listener, { signal, after, onError, ...filter } = {}) {
    const patterns = event && event !== "*" ? event.split(",").map((part) => part.trim()).filter(Boolean) : [];
    const chosen = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined && value !== null));
    // What has a filter or a past of its own has a connection of its own; all others share one.
    const own = after !== undefined || Object.keys(chosen).length > 0;
    const channel = own ? new Channel(this, chosen, after) : (this.shared ??= new Channel(this, {}, undefined));
    const entry = { patterns, listener, onError };
    channel.add(entry);
    const close = () => {
      signal?.removeEventListener("abort", close);
      channel.remove(entry);
    };
    signal?.addEventListener("abort", close);
    if (signal?.aborted) close();
    return { close, get position() { return channel.position; } };
  }

  /** The messages as an async iterable: `for await (const message of edgemere.events({event: "datarequest.*"}))`. */
  async *iterate({ event = "*", signal, ...more } = {}) {
    const waiting = [];
    let wake = () => {};
    let over = signal?.aborted ?? false;
    const put = (item) => { waiting.push(item); wake(); };
    const end = () => { over = true; wake(); };
    signal?.addEventListener("abort", end);
    const subscription = this.on(event, put, { ...more, onError: put });
    try {
      while (!over) {
        if (!waiting.length) await new Promise((resolve) => { wake = resolve; });
        while (waiting.length && !over) {
          const next = waiting.shift();
          if (next instanceof Error) throw next;
          yield next;
        }
      }
    } finally {
      signal?.removeEventListener("abort", end);
      subscription.close();
    }
  }

  /** Call `listener(state)` with "connected", "reconnecting" or "refused"; returns a function that ends it. */
  watch(listener) {
    this.watchers.add(listener);
    return () => this.watchers.delete(listener);
  }

  tell(state) {
    for (const watcher of [...this.watchers]) watcher(state);
  }

  close() {
    for (const channel of [...this.open]) channel.close();
  }
}

class Channel {
  constructor(channels, filter, after) {
    this.channels = channels;
    this.server = channels.server;
    this.filter = filter;
    this.position = after;
    this.entries = new Set();
    this.closed = false;
    this.failures = 0;
    this.restart = new AbortController();
    channels.open.add(this);
  }

  add(entry) {
    this.entries.add(entry);
    this.narrow();
  }

  remove(entry) {
    if (!this.entries.delete(entry)) return;
    if (this.entries.size) this.narrow();
    else this.close();
  }

  /** Ask for what the listeners want together; when that changes the channel goes on from its position. */
  narrow() {
    const lists = [...this.entries].map((entry) => entry.patterns);
    const event = lists.some((patterns) => !patterns.length) ? undefined : [...new Set(lists.flat())].sort().join(",");
    if (this.running && this.filter.event === event) return;
    if (event === undefined) delete this.filter.event;
    else this.filter.event = event;
    if (this.running) this.restart.abort();
    // Listeners that are added in one turn are asked for together.
    this.running ??= Promise.resolve().then(() => this.run());
  }

  close() {
    this.closed = true;
    this.restart.abort();
    this.channels.open.delete(this);
    if (this.channels.shared === this) this.channels.shared = null;
  }

  async run() {
    while (!this.closed) {
      const { signal } = (this.restart = new AbortController());
      try {
        await (this.server.WebSocket ? this.overSocket(signal) : this.overStream(signal));
      } catch (error) {
        if (!signal.aborted && isRefusal(error)) return this.refuse(error);
      }
      if (signal.aborted) continue;
      this.channels.tell("reconnecting");
      const pause = PAUSES_MS[Math.min(this.failures++, PAUSES_MS.length - 1)];
      await new Promise((resolve) => setTimeout(resolve, pause * (0.75 + Math.random() / 2)));
    }
  }

  refuse(error) {
    const entries = [...this.entries];
    this.close();
    this.channels.tell("refused");
    for (const { onError = report } of entries) onError(error);
  }

  /** The connection stands, and what comes is after `position`. */
  began(position) {
    // A log that was restored from an older state ends before the position that was asked for.
    this.position = this.position === undefined ? position : Math.min(this.position, position);
    this.failures = 0;
    this.channels.tell("connected");
  }

  hand(message) {
    if (message.sequence <= this.position) return;
    this.position = message.sequence;
    for (const { patterns, listener } of [...this.entries]) {
      if (patterns.length && !patterns.some((pattern) => fits(pattern, message.event))) continue;
      try {
        listener(message);
      } catch (error) {
        // A listener that fails must not cost the others their messages.
        report(error);
      }
    }
  }

  /** A message of the stream, or why it ends. */
  take(message) {
    if (message.sequence === undefined && message.code) throw errorOf(message);
    this.hand(message);
  }

  /** Server-sent events over fetch, which reads them in Node, too. */
  async overStream(signal) {
    const control = new AbortController();
    const abort = () => control.abort();
    signal.addEventListener("abort", abort);
    const quiet = alarm(QUIET_MS, abort);
    try {
      const query = textOf({ ...this.filter, after: this.position });
      const response = await this.server.fetch(`${this.server.url}${STREAM}?${query}`, { headers: { Accept: "text/event-stream" }, signal: control.signal });
      if (!response.ok) await read(response);
      const decoder = new TextDecoder();
      const reader = response.body.getReader();
      let begun = false;
      let frame = { data: [] };
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        quiet.again(QUIET_MS);
        const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
        rest = lines.pop();
        for (const line of lines) {
          if (line.startsWith("id:")) frame.id = Number(line.slice(3));
          else if (line.startsWith("data:")) frame.data.push(line.slice(5));
          else if (line === "" && frame.id !== undefined) {
            if (!begun) this.began(frame.data.length ? frame.id - 1 : frame.id);
            begun = true;
            if (frame.data.length) this.take(JSON.parse(frame.data.join("\n")));
            // A heartbeat says how far the log is, also where the filter lets nothing through.
            else this.position = Math.max(this.position, frame.id);
            frame = { data: [] };
          }
        }
      }
    } finally {
      quiet.off();
      signal.removeEventListener("abort", abort);
      control.abort();
    }
  }

  /** socket.io over a WebSocket: as many as one likes, where a browser has six streams for a server. */
  overSocket(signal) {
    return new Promise((resolve, reject) => {
      const socket = new this.server.WebSocket(`${this.server.url.replace(/^http/, "ws")}/web/socket.io/?EIO=4&transport=websocket`);
      const end = (error) => {
        quiet.off();
        signal.removeEventListener("abort", end);
        socket.onmessage = socket.onclose = socket.onerror = null;
        socket.close();
        if (error instanceof Error) reject(error);
        else resolve();
      };
      let patience = QUIET_MS;
      const quiet = alarm(patience, end);
      signal.addEventListener("abort", end);
      socket.onclose = socket.onerror = end;
      socket.onmessage = ({ data }) => {
        quiet.again(patience);
        if (data === "2") {
          socket.send("3");
        } else if (data.startsWith("0")) {
          const { pingInterval, pingTimeout } = JSON.parse(data.slice(1));
          patience = pingInterval + pingTimeout;
          socket.send(this.server.credential ? `40${JSON.stringify({ token: this.server.credential })}` : "40");
        } else if (data.startsWith("40")) {
          socket.send(`420${JSON.stringify(["subscribe", { ...this.filter, after: this.position }])}`);
        } else if (data.startsWith("44")) {
          const { data: problem, message } = JSON.parse(data.slice(2));
          end(errorOf(problem ?? { status: 401, detail: message }));
        } else if (data.startsWith("430")) {
          const [answer, problem] = JSON.parse(data.slice(3));
          if (problem) end(errorOf(problem));
          else this.began(answer.after);
        } else if (data.startsWith("42")) {
          const [name, message] = JSON.parse(data.slice(2));
          if (name === "edgemere.dropped") end(ENDED.has(message.code) ? errorOf({ status: 401, ...message }) : undefined);
          else this.hand(message);
        }
      };
    });
  }
}

/** Why a connection ends that would not be let in again. */
const ENDED = new Set(["login_over", "not_logged_in"]);

function isSafe(url) {
  return /^https:/.test(url) || /^http:\/\/(localhost|127(\.\d+){3}|\[::1\])(:|\/|$)/.test(url);
}

/** Whether asking again would be of no use. */
function isRefusal(error) {
  return error instanceof EdgemereError && error.status >= 400 && error.status < 500 && error.status !== 429;
}

function alarm(after, ring) {
  let timer = setTimeout(ring, after);
  return { off: () => clearTimeout(timer), again: (later) => { clearTimeout(timer); timer = setTimeout(ring, later); } };
}

function report(error) {
  if (globalThis.reportError) globalThis.reportError(error);
  else console.error(error);
}

function textOf(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null);
  return new URLSearchParams(given.map(([name, value]) => [name, typeof value === "object" ? JSON.stringify(value) : String(value)])).toString();
}

function fits(pattern, name) {
  return new RegExp(`^${pattern.split("*").map((part) => part.replace(/[.\\+?^${}()|[\]]/g, "\\$&")).join(".*")}$`).test(name);
}

/* ACTIONS */

const edgemere = connect();
export { ACTIONS, edgemere };
export default edgemere;
