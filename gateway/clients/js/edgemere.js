// Made from the action table by .ci/generate; do not change it by hand.
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
/** It cannot be parsed. */
export class Malformed extends EdgemereError {}
/** Who is calling is not known, or not believed. */
export class Unauthenticated extends EdgemereError {}
/** The caller may not do this. */
export class Denied extends EdgemereError {}
/** No such object. */
export class NotFound extends EdgemereError {}
/** The address exists, the HTTP method does not. */
export class MethodNotAllowed extends EdgemereError {}
/** The state of things forbids it; ``extra`` says what is legal or in the way. */
export class Conflict extends EdgemereError {}
/** Somebody changed the object meanwhile; another attempt reads the new version. */
export class VersionConflict extends EdgemereError {}
/** A source is full; nothing was claimed. */
export class NoCapacity extends EdgemereError {}
/** If-Match names another version. */
export class PreconditionFailed extends EdgemereError {}
/** More than the stated bound. */
export class TooLarge extends EdgemereError {}
/** Understood, and refused. */
export class Invalid extends EdgemereError {}
/** More than may be asked in this time. */
export class TooMany extends EdgemereError {}
/** On every face, and not built yet. */
export class NotYet extends EdgemereError {}
/** A part that is needed does not answer; trying again later can help. */
export class Unavailable extends EdgemereError {}
/** No answer within the time that the caller gave. */
export class DeadlineExceeded extends EdgemereError {}
const KIND_OF_STATUS = { 400: Malformed, 401: Unauthenticated, 403: Denied, 404: NotFound, 405: MethodNotAllowed, 409: Conflict, 412: PreconditionFailed, 413: TooLarge, 422: Invalid, 429: TooMany, 501: NotYet, 503: Unavailable, 504: DeadlineExceeded };

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

/** The action table: what every call above is made from. */
const ACTIONS = {
  "do.datarequest.create": {"name": "do.datarequest.create", "tree": "do", "path": ["datarequest", "create"], "address": "/edgemere/diml/dml/do/datarequest/create", "words": ["diml", "dml", "do", "datarequest", "create"], "changes": true, "answer": "object", "noun": "datarequest", "summary": "Ask for data: create a request and, unless told otherwise, start to fulfil it.", "parameters": {"name": {"about": "Its name; without one it is numbered.", "schema": {"type": "string", "minLength": 1, "maxLength": 200}}, "query": {"about": "What data is needed, as JSON or as a line.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "data_reference": {"about": "The reference to make it from.", "schema": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "additionalProperties": true}]}}, "target": {"about": "The source that receives copies; it needs parameters.writable: true.", "schema": {"type": "string", "minLength": 1}}, "action": {"about": "The action wished for.", "schema": {"type": "string", "enum": ["leave", "mount", "copy", "move", "auto"]}}, "granularity": {"about": "An instance per data or per source.", "schema": {"type": "string", "enum": ["data", "source"]}}, "select": {"about": "How candidates are chosen: {mode: all|best|first, count, minimum, distinct, prefer, max_cost, max_bytes, together, apart, expected_reads}.", "schema": {"type": "object", "additionalProperties": true}}, "wait": {"about": "Wait in Needed while nothing matches or there is no room.", "schema": {"type": "boolean"}}, "deadline": {"about": "When to give up: a time, or a duration from now.", "schema": {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}}, "lifetime": {"about": "How long the instances live after they are ready.", "schema": {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}}, "workload": {"about": "What the data is for.", "schema": {"type": "string"}}, "labels": {"about": "Free labels.", "schema": {"type": "object", "additionalProperties": true}}, "all": {"about": "Says that an empty query means everything.", "schema": {"type": "boolean"}}, "fulfill": {"about": "False leaves it in Init.", "schema": {"type": "boolean", "default": true}}, "needed_by": {"about": "When the data must be ready: a time, or a duration from now. It warns when that cannot be met.", "schema": {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}}, "standing": {"about": "Attach new matching data as it appears.", "schema": {"type": "boolean"}}, "group": {"about": "Several queries in one, all of them or none: {member: query, member: {query, select}}.", "schema": {"type": "object", "additionalProperties": true}}, "lock": {"about": "A lock that 'datarequest lock' wrote: the same bytes once more.", "schema": {"type": "object", "additionalProperties": true}}}, "example": {"name": "scans", "query": "owner:darren filetypes:csv"}, "errors": ["query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand", "query.empty", "group.invalid", "lock.malformed", "lock.altered", "lock.other_catalogue", "lock.gone", "datarequest.name_taken", "datareference.not_found", "idempotency.mismatch"], "built": true, "confirm": false, "positional": null, "wait_s": 0},
  "do.datarequest.fulfill": {"name": "do.datarequest.fulfill", "tree": "do", "path": ["datarequest", "fulfill"], "address": "/edgemere/diml/dml/do/datarequest/fulfill", "words": ["diml", "dml", "do", "datarequest", "fulfill"], "changes": true, "answer": "object", "noun": "datarequest", "summary": "Start to fulfil a request that is in Init.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "scans"}, "errors": ["datarequest.not_found", "datarequest.illegal_move"], "built": true, "confirm": false, "positional": "id", "wait_s": 0},
  "do.datarequest.list": {"name": "do.datarequest.list", "tree": "do", "path": ["datarequest", "list"], "address": "/edgemere/diml/dml/do/datarequest/list", "words": ["diml", "dml", "do", "datarequest", "list"], "changes": false, "answer": "page", "noun": "datarequest", "summary": "List the requests.", "parameters": {"attr1": {"about": "An id, a name, or a query over the object's fields.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "The id: a ULID with the prefix of its class.", "schema": {"type": "string"}}, "name": {"about": "The name, unique per class and owner.", "schema": {"type": "string"}}, "state": {"about": "The state in the net of its class.", "schema": {"type": "string"}}, "data_reference": {"about": "The reference it was made from.", "schema": {"type": "string"}}, "target": {"about": "The source that receives copies and moves.", "schema": {"type": "string"}}, "workload": {"about": "What the data is for.", "schema": {"type": "string"}}, "action": {"about": "The requester's wish: leave, mount, copy, move or auto.", "schema": {"type": "string"}}, "granularity": {"about": "An instance per data, or per source.", "schema": {"type": "string"}}, "parent": {"about": "The standing request for which this one attaches what came later.", "schema": {"type": "string"}}, "owner": {"about": "Whom it belongs to.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}}, "example": {"state": "Satisfied"}, "errors": ["query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand"], "built": true, "confirm": false, "positional": null},
  "do.datarequest.find": {"name": "do.datarequest.find", "tree": "do", "path": ["datarequest", "find"], "address": "/edgemere/diml/dml/do/datarequest/find", "words": ["diml", "dml", "do", "datarequest", "find"], "changes": false, "answer": "page", "noun": "datarequest", "summary": "Find requests by id, name or query.", "parameters": {"attr1": {"about": "An id, a name, or a query over the object's fields.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "The id: a ULID with the prefix of its class.", "schema": {"type": "string"}}, "name": {"about": "The name, unique per class and owner.", "schema": {"type": "string"}}, "state": {"about": "The state in the net of its class.", "schema": {"type": "string"}}, "data_reference": {"about": "The reference it was made from.", "schema": {"type": "string"}}, "target": {"about": "The source that receives copies and moves.", "schema": {"type": "string"}}, "workload": {"about": "What the data is for.", "schema": {"type": "string"}}, "action": {"about": "The requester's wish: leave, mount, copy, move or auto.", "schema": {"type": "string"}}, "granularity": {"about": "An instance per data, or per source.", "schema": {"type": "string"}}, "parent": {"about": "The standing request for which this one attaches what came later.", "schema": {"type": "string"}}, "owner": {"about": "Whom it belongs to.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}}, "example": {"attr1": "state:Failed"}, "errors": ["datarequest.not_found", "query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand"], "built": true, "confirm": false, "positional": "attr1"},
  "do.datarequest.show": {"name": "do.datarequest.show", "tree": "do", "path": ["datarequest", "show"], "address": "/edgemere/diml/dml/do/datarequest/show", "words": ["diml", "dml", "do", "datarequest", "show"], "changes": false, "answer": "object", "noun": "datarequest", "summary": "Show one request.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "scans"}, "errors": ["datarequest.not_found"], "built": true, "confirm": false, "positional": "id"},
  "do.datarequest.plan": {"name": "do.datarequest.plan", "tree": "do", "path": ["datarequest", "plan"], "address": "/edgemere/diml/dml/do/datarequest/plan", "words": ["diml", "dml", "do", "datarequest", "plan"], "changes": false, "answer": "document", "noun": "plan", "summary": "Say what a request would do, writing nothing: candidates, decisions, costs, room, budget, refusals.", "parameters": {"name": {"about": "Its name; without one it is numbered.", "schema": {"type": "string", "minLength": 1, "maxLength": 200}}, "query": {"about": "What data is needed, as JSON or as a line.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "data_reference": {"about": "The reference to make it from.", "schema": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "additionalProperties": true}]}}, "target": {"about": "The source that receives copies; it needs parameters.writable: true.", "schema": {"type": "string", "minLength": 1}}, "action": {"about": "The action wished for.", "schema": {"type": "string", "enum": ["leave", "mount", "copy", "move", "auto"]}}, "granularity": {"about": "An instance per data or per source.", "schema": {"type": "string", "enum": ["data", "source"]}}, "select": {"about": "How candidates are chosen: {mode: all|best|first, count, minimum, distinct, prefer, max_cost, max_bytes, together, apart, expected_reads}.", "schema": {"type": "object", "additionalProperties": true}}, "wait": {"about": "Wait in Needed while nothing matches or there is no room.", "schema": {"type": "boolean"}}, "deadline": {"about": "When to give up: a time, or a duration from now.", "schema": {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}}, "lifetime": {"about": "How long the instances live after they are ready.", "schema": {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}}, "workload": {"about": "What the data is for.", "schema": {"type": "string"}}, "labels": {"about": "Free labels.", "schema": {"type": "object", "additionalProperties": true}}, "all": {"about": "Says that an empty query means everything.", "schema": {"type": "boolean"}}, "fulfill": {"about": "False leaves it in Init.", "schema": {"type": "boolean", "default": true}}, "needed_by": {"about": "When the data must be ready: a time, or a duration from now. It warns when that cannot be met.", "schema": {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}}, "standing": {"about": "Attach new matching data as it appears.", "schema": {"type": "boolean"}}, "group": {"about": "Several queries in one, all of them or none: {member: query, member: {query, select}}.", "schema": {"type": "object", "additionalProperties": true}}, "lock": {"about": "A lock that 'datarequest lock' wrote: the same bytes once more.", "schema": {"type": "object", "additionalProperties": true}}, "limit": {"about": "How many candidates at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 20}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}}, "example": {"query": "owner:darren"}, "errors": ["query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand", "query.empty", "group.invalid", "lock.malformed", "lock.altered", "lock.other_catalogue", "lock.gone", "datarequest.name_taken", "datareference.not_found", "cursor.invalid"], "built": true, "confirm": false, "positional": null},
  "do.datarequest.explain": {"name": "do.datarequest.explain", "tree": "do", "path": ["datarequest", "explain"], "address": "/edgemere/diml/dml/do/datarequest/explain", "words": ["diml", "dml", "do", "datarequest", "explain"], "changes": false, "answer": "document", "noun": "explanation", "summary": "Explain a request: funnel, hints, every decision, what each step was caused by, what ends a wait.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}, "why_not": {"about": "A Data (id, name or path): why it is not used, or which clause, rule or replica stands against it.", "schema": {"type": "string", "minLength": 1}}, "reservation": {"about": "The reservation to show alone, with its decision record.", "schema": {"type": "string", "minLength": 1}}, "at": {"about": "A version of the request: its explanation as it was then.", "schema": {"type": "integer", "minimum": 1, "maximum": 2147483648}}, "attempt": {"about": "The end of an attempt: its explanation as it was then.", "schema": {"type": "integer", "minimum": 1, "maximum": 2147483648}}, "limit": {"about": "How many reservations at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 20}}, "cursor": {"about": "Where the reservations go on: the `reservations.next` of the page before.", "schema": {"type": "string"}}}, "example": {"id": "scans"}, "errors": ["datarequest.not_found", "explanation.not_found", "datareservation.not_found", "data.not_found", "data.ambiguous"], "built": true, "confirm": false, "positional": "id"},
  "do.datarequest.cancel": {"name": "do.datarequest.cancel", "tree": "do", "path": ["datarequest", "cancel"], "address": "/edgemere/diml/dml/do/datarequest/cancel", "words": ["diml", "dml", "do", "datarequest", "cancel"], "changes": true, "answer": "object", "noun": "datarequest", "summary": "Give up a request that is under way.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}, "because": {"about": "Why, in a sentence.", "schema": {"type": "string"}}}, "example": {"id": "scans"}, "errors": ["datarequest.not_found", "datarequest.illegal_move"], "built": true, "confirm": true, "positional": "id"},
  "do.datarequest.retry": {"name": "do.datarequest.retry", "tree": "do", "path": ["datarequest", "retry"], "address": "/edgemere/diml/dml/do/datarequest/retry", "words": ["diml", "dml", "do", "datarequest", "retry"], "changes": true, "answer": "object", "noun": "datarequest", "summary": "Start a new attempt of a failed request.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "scans"}, "errors": ["datarequest.not_found", "datarequest.illegal_move"], "built": true, "confirm": false, "positional": "id", "wait_s": 0},
  "do.datarequest.complete": {"name": "do.datarequest.complete", "tree": "do", "path": ["datarequest", "complete"], "address": "/edgemere/diml/dml/do/datarequest/complete", "words": ["diml", "dml", "do", "datarequest", "complete"], "changes": true, "answer": "object", "noun": "datarequest", "summary": "Say that the data is no longer needed: claims are released and copies removed.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "scans"}, "errors": ["datarequest.not_found", "datarequest.illegal_move", "datarequest.pinned"], "built": true, "confirm": true, "positional": "id"},
  "do.datarequest.destroy": {"name": "do.datarequest.destroy", "tree": "do", "path": ["datarequest", "destroy"], "address": "/edgemere/diml/dml/do/datarequest/destroy", "words": ["diml", "dml", "do", "datarequest", "destroy"], "changes": true, "answer": "object", "noun": "datarequest", "summary": "Remove a request that has no live instances.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "scans"}, "errors": ["datarequest.not_found", "datarequest.in_use"], "built": true, "confirm": true, "positional": "id"},
  "do.datarequest.lock": {"name": "do.datarequest.lock", "tree": "do", "path": ["datarequest", "lock"], "address": "/edgemere/diml/dml/do/datarequest/lock", "words": ["diml", "dml", "do", "datarequest", "lock"], "changes": true, "answer": "document", "noun": "lock", "summary": "Write down ids, checksums and the policy revision; 'datarequest create --lock' gives the same bytes.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "scans"}, "errors": ["datarequest.not_found", "datarequest.nothing_to_lock"], "built": true, "confirm": false, "positional": "id"},
  "do.datareference.create": {"name": "do.datareference.create", "tree": "do", "path": ["datareference", "create"], "address": "/edgemere/diml/dml/do/datareference/create", "words": ["diml", "dml", "do", "datareference", "create"], "changes": true, "answer": "object", "noun": "datareference", "summary": "Describe needed data under a name.", "parameters": {"name": {"about": "Its name.", "required": true, "schema": {"type": "string", "minLength": 1, "maxLength": 200}}, "short_name": {"about": "The name without what it belongs to.", "schema": {"type": "string"}}, "query": {"about": "What data is needed, as JSON or as a line.", "required": true, "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "connection": {"about": "How the application connects; secrets by name.", "schema": {"type": "object", "additionalProperties": true}}, "defaults": {"about": "Defaults for its requests: target, action, granularity, select, …", "schema": {"type": "object", "additionalProperties": true}}, "standing": {"about": "Attach new matching data as it appears, and say where data is cheaper.", "schema": {"type": "boolean"}}, "all": {"about": "Says that an empty query means everything.", "schema": {"type": "boolean"}}}, "example": {"name": "training", "query": "owner:darren filetypes:csv"}, "errors": ["query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand", "query.empty", "datareference.name_taken"], "built": true, "confirm": false, "positional": null},
  "do.datareference.list": {"name": "do.datareference.list", "tree": "do", "path": ["datareference", "list"], "address": "/edgemere/diml/dml/do/datareference/list", "words": ["diml", "dml", "do", "datareference", "list"], "changes": false, "answer": "page", "noun": "datareference", "summary": "List the references.", "parameters": {"attr1": {"about": "An id, a name, or a query over the object's fields.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "The id: a ULID with the prefix of its class.", "schema": {"type": "string"}}, "name": {"about": "The name, unique per class and owner.", "schema": {"type": "string"}}, "state": {"about": "The state in the net of its class.", "schema": {"type": "string"}}, "request": {"about": "The request that provisions it, the newest one.", "schema": {"type": "string"}}, "owner": {"about": "Whom it belongs to.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}}, "example": {}, "errors": ["query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand"], "built": true, "confirm": false, "positional": null},
  "do.datareference.find": {"name": "do.datareference.find", "tree": "do", "path": ["datareference", "find"], "address": "/edgemere/diml/dml/do/datareference/find", "words": ["diml", "dml", "do", "datareference", "find"], "changes": false, "answer": "page", "noun": "datareference", "summary": "Find references by id, name or query.", "parameters": {"attr1": {"about": "An id, a name, or a query over the object's fields.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "The id: a ULID with the prefix of its class.", "schema": {"type": "string"}}, "name": {"about": "The name, unique per class and owner.", "schema": {"type": "string"}}, "state": {"about": "The state in the net of its class.", "schema": {"type": "string"}}, "request": {"about": "The request that provisions it, the newest one.", "schema": {"type": "string"}}, "owner": {"about": "Whom it belongs to.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}}, "example": {"attr1": "training"}, "errors": ["datareference.not_found", "query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand"], "built": true, "confirm": false, "positional": "attr1"},
  "do.datareference.show": {"name": "do.datareference.show", "tree": "do", "path": ["datareference", "show"], "address": "/edgemere/diml/dml/do/datareference/show", "words": ["diml", "dml", "do", "datareference", "show"], "changes": false, "answer": "object", "noun": "datareference", "summary": "Show one reference.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "training"}, "errors": ["datareference.not_found"], "built": true, "confirm": false, "positional": "id"},
  "do.datareference.provision": {"name": "do.datareference.provision", "tree": "do", "path": ["datareference", "provision"], "address": "/edgemere/diml/dml/do/datareference/provision", "words": ["diml", "dml", "do", "datareference", "provision"], "changes": true, "answer": "object", "noun": "datareference", "summary": "Provision a reference anew: start a new request for its data.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}, "swap": {"about": "Keep what it has until its data is ready where it is cheapest now, then turn to that in one step.", "schema": {"type": "boolean"}}, "undo": {"about": "Turn back to the former place, within requests.swap_grace_s.", "schema": {"type": "boolean"}}}, "example": {"id": "training"}, "errors": ["datareference.not_found", "datareference.illegal_move", "datareference.nothing_to_swap", "datareference.swap_under_way", "datareference.nothing_to_undo"], "built": true, "confirm": false, "positional": "id", "wait_s": 0},
  "do.datareference.destroy": {"name": "do.datareference.destroy", "tree": "do", "path": ["datareference", "destroy"], "address": "/edgemere/diml/dml/do/datareference/destroy", "words": ["diml", "dml", "do", "datareference", "destroy"], "changes": true, "answer": "object", "noun": "datareference", "summary": "Remove a reference that has no live instances.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "training"}, "errors": ["datareference.not_found", "datareference.in_use"], "built": true, "confirm": true, "positional": "id"},
  "do.reserve": {"name": "do.reserve", "tree": "do", "path": ["reserve"], "address": "/edgemere/diml/dml/do/reserve", "words": ["diml", "dml", "do", "reserve"], "changes": true, "answer": "object", "noun": "datarequest", "summary": "Find the data that a request needs and reserve it.", "parameters": {"request": {"about": "An id, a name, or an inline request.", "required": true, "schema": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "additionalProperties": true}]}}}, "example": {"request": "scans"}, "errors": ["datarequest.not_found", "datarequest.ambiguous", "datarequest.illegal_move", "query.syntax"], "built": true, "confirm": false, "positional": "request", "wait_s": 0},
  "do.evaluate": {"name": "do.evaluate", "tree": "do", "path": ["evaluate"], "address": "/edgemere/diml/dml/do/evaluate", "words": ["diml", "dml", "do", "evaluate"], "changes": true, "answer": "object", "noun": "datarequest", "summary": "Decide how each reserved data is used, and have it provisioned.", "parameters": {"request": {"about": "An id, a name, or an inline request.", "required": true, "schema": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "additionalProperties": true}]}}}, "example": {"request": "scans"}, "errors": ["datarequest.not_found", "datarequest.ambiguous", "datarequest.illegal_move", "query.syntax"], "built": true, "confirm": false, "positional": "request", "wait_s": 0},
  "do.datareservation.list": {"name": "do.datareservation.list", "tree": "do", "path": ["datareservation", "list"], "address": "/edgemere/diml/dml/do/datareservation/list", "words": ["diml", "dml", "do", "datareservation", "list"], "changes": false, "answer": "page", "noun": "datareservation", "summary": "List the reservations.", "parameters": {"attr1": {"about": "An id, a name, or a query over the object's fields.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "The id: a ULID with the prefix of its class.", "schema": {"type": "string"}}, "name": {"about": "The name of the data that it claims.", "schema": {"type": "string"}}, "state": {"about": "The state in the net of its class.", "schema": {"type": "string"}}, "request": {"about": "The request that it belongs to.", "schema": {"type": "string"}}, "data": {"about": "The data.", "schema": {"type": "string"}}, "source": {"about": "Where the data lies.", "schema": {"type": "string"}}, "action": {"about": "What was decided: leave, mount, copy, move or reject.", "schema": {"type": "string"}}, "member": {"about": "Of a group: the member that it was reserved for.", "schema": {"type": "string"}}, "owner": {"about": "Whom it belongs to.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}}, "example": {"request": "scans"}, "errors": ["query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand"], "built": true, "confirm": false, "positional": null},
  "do.datareservation.find": {"name": "do.datareservation.find", "tree": "do", "path": ["datareservation", "find"], "address": "/edgemere/diml/dml/do/datareservation/find", "words": ["diml", "dml", "do", "datareservation", "find"], "changes": false, "answer": "page", "noun": "datareservation", "summary": "Find reservations by id, name or query.", "parameters": {"attr1": {"about": "An id, a name, or a query over the object's fields.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "The id: a ULID with the prefix of its class.", "schema": {"type": "string"}}, "name": {"about": "The name of the data that it claims.", "schema": {"type": "string"}}, "state": {"about": "The state in the net of its class.", "schema": {"type": "string"}}, "request": {"about": "The request that it belongs to.", "schema": {"type": "string"}}, "data": {"about": "The data.", "schema": {"type": "string"}}, "source": {"about": "Where the data lies.", "schema": {"type": "string"}}, "action": {"about": "What was decided: leave, mount, copy, move or reject.", "schema": {"type": "string"}}, "member": {"about": "Of a group: the member that it was reserved for.", "schema": {"type": "string"}}, "owner": {"about": "Whom it belongs to.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}}, "example": {"attr1": "state:Confirmed"}, "errors": ["datareservation.not_found", "query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand"], "built": true, "confirm": false, "positional": "attr1"},
  "do.datareservation.show": {"name": "do.datareservation.show", "tree": "do", "path": ["datareservation", "show"], "address": "/edgemere/diml/dml/do/datareservation/show", "words": ["diml", "dml", "do", "datareservation", "show"], "changes": false, "answer": "object", "noun": "datareservation", "summary": "Show one reservation with the decision that was taken.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "dres_…"}, "errors": ["datareservation.not_found"], "built": true, "confirm": false, "positional": "id"},
  "do.datareservation.confirm": {"name": "do.datareservation.confirm", "tree": "do", "path": ["datareservation", "confirm"], "address": "/edgemere/diml/dml/do/datareservation/confirm", "words": ["diml", "dml", "do", "datareservation", "confirm"], "changes": true, "answer": "object", "noun": "datareservation", "summary": "Confirm a reservation by hand.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "dres_…"}, "errors": ["datareservation.not_found", "datareservation.illegal_move"], "built": true, "confirm": false, "positional": "id"},
  "do.datareservation.free": {"name": "do.datareservation.free", "tree": "do", "path": ["datareservation", "free"], "address": "/edgemere/diml/dml/do/datareservation/free", "words": ["diml", "dml", "do", "datareservation", "free"], "changes": true, "answer": "object", "noun": "datareservation", "summary": "Give a reservation back: its claim is released.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "dres_…"}, "errors": ["datareservation.not_found", "datareservation.illegal_move", "datareservation.in_use"], "built": true, "confirm": true, "positional": "id"},
  "do.policy.list": {"name": "do.policy.list", "tree": "do", "path": ["policy", "list"], "address": "/edgemere/diml/dml/do/policy/list", "words": ["diml", "dml", "do", "policy", "list"], "changes": false, "answer": "page", "noun": "policy", "summary": "List the policy rules in their order, and what is wrong with a newer file that does not count.", "parameters": {}, "example": {}, "errors": [], "built": true, "confirm": false, "positional": null},
  "do.policy.show": {"name": "do.policy.show", "tree": "do", "path": ["policy", "show"], "address": "/edgemere/diml/dml/do/policy/show", "words": ["diml", "dml", "do", "policy", "show"], "changes": false, "answer": "object", "noun": "policy", "summary": "Show one policy rule.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "default"}, "errors": ["policy.not_found"], "built": true, "confirm": false, "positional": "id"},
  "do.policy.test": {"name": "do.policy.test", "tree": "do", "path": ["policy", "test"], "address": "/edgemere/diml/dml/do/policy/test", "words": ["diml", "dml", "do", "policy", "test"], "changes": false, "answer": "document", "noun": "policytest", "summary": "Try a policy file on past decisions: what would differ, and at what cost. Nothing is changed.", "parameters": {"file": {"about": "The policies as YAML text or an object.", "required": true, "schema": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "additionalProperties": true}]}}, "since": {"about": "How far back to look: a duration such as 30d, or a time. 30 days unless it says otherwise.", "schema": {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}}}, "example": {"file": "rules: [{name: closed, when: 'data.licence:closed', action: reject}]", "since": "2026-07-01"}, "errors": ["policy.invalid"], "built": true, "confirm": false, "positional": null},
  "do.datainstance.create": {"name": "do.datainstance.create", "tree": "do", "path": ["datainstance", "create"], "address": "/edgemere/diml/dml/do/datainstance/create", "words": ["diml", "dml", "do", "datainstance", "create"], "changes": true, "answer": "document", "noun": "provisioning", "summary": "Turn a reference into instances: find, reserve and provision its data.", "parameters": {"dataref": {"about": "An id, a name, or an inline reference {name, query, …}.", "required": true, "schema": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "additionalProperties": true}]}}}, "example": {"dataref": {"name": "training", "query": "owner:darren"}}, "errors": ["datareference.not_found", "datareference.ambiguous", "datareference.name_taken", "query.empty", "query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand"], "built": true, "confirm": false, "positional": "dataref", "wait_s": 30},
  "do.datainstance.destroy": {"name": "do.datainstance.destroy", "tree": "do", "path": ["datainstance", "destroy"], "address": "/edgemere/diml/dml/do/datainstance/destroy", "words": ["diml", "dml", "do", "datainstance", "destroy"], "changes": true, "answer": "object", "noun": "datainstance", "summary": "Destroy an instance; a copy leaves its path at once.", "parameters": {"attr1": {"about": "The id or name of the instance.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "The same, as the other actions call it.", "schema": {"type": "string", "minLength": 1}}}, "example": {"attr1": "training-0"}, "errors": ["datainstance.not_found", "datainstance.ambiguous", "datainstance.unnamed", "datainstance.pinned"], "built": true, "confirm": true, "positional": "attr1"},
  "do.datainstance.find": {"name": "do.datainstance.find", "tree": "do", "path": ["datainstance", "find"], "address": "/edgemere/diml/dml/do/datainstance/find", "words": ["diml", "dml", "do", "datainstance", "find"], "changes": false, "answer": "page", "noun": "datainstance", "summary": "Find instances by id, name or query.", "parameters": {"attr1": {"about": "An id, a name, or a query over the object's fields.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "The id: a ULID with the prefix of its class.", "schema": {"type": "string"}}, "name": {"about": "The name, unique per class and owner.", "schema": {"type": "string"}}, "state": {"about": "The state in the net of its class.", "schema": {"type": "string"}}, "reference": {"about": "The reference it was made for.", "schema": {"type": "string"}}, "request": {"about": "The request it was made for.", "schema": {"type": "string"}}, "source": {"about": "The source of its data.", "schema": {"type": "string"}}, "workload": {"about": "What the data is for.", "schema": {"type": "string"}}, "member": {"about": "Of a group: the member that it was made for.", "schema": {"type": "string"}}, "owner": {"about": "Whom it belongs to.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}}, "example": {"attr1": "state:Ready"}, "errors": ["datainstance.not_found", "query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand"], "built": true, "confirm": false, "positional": "attr1"},
  "do.datainstance.list": {"name": "do.datainstance.list", "tree": "do", "path": ["datainstance", "list"], "address": "/edgemere/diml/dml/do/datainstance/list", "words": ["diml", "dml", "do", "datainstance", "list"], "changes": false, "answer": "page", "noun": "datainstance", "summary": "List the instances.", "parameters": {"attr1": {"about": "An id, a name, or a query over the object's fields.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "The id: a ULID with the prefix of its class.", "schema": {"type": "string"}}, "name": {"about": "The name, unique per class and owner.", "schema": {"type": "string"}}, "state": {"about": "The state in the net of its class.", "schema": {"type": "string"}}, "reference": {"about": "The reference it was made for.", "schema": {"type": "string"}}, "request": {"about": "The request it was made for.", "schema": {"type": "string"}}, "source": {"about": "The source of its data.", "schema": {"type": "string"}}, "workload": {"about": "What the data is for.", "schema": {"type": "string"}}, "member": {"about": "Of a group: the member that it was made for.", "schema": {"type": "string"}}, "owner": {"about": "Whom it belongs to.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}}, "example": {"state": "Ready"}, "errors": ["query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand"], "built": true, "confirm": false, "positional": null},
  "do.datainstance.show": {"name": "do.datainstance.show", "tree": "do", "path": ["datainstance", "show"], "address": "/edgemere/diml/dml/do/datainstance/show", "words": ["diml", "dml", "do", "datainstance", "show"], "changes": false, "answer": "object", "noun": "datainstance", "summary": "Show one instance: where its data is and how to read it.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "training-0"}, "errors": ["datainstance.not_found"], "built": true, "confirm": false, "positional": "id"},
  "do.datainstance.content": {"name": "do.datainstance.content", "tree": "do", "path": ["datainstance", "content"], "address": "/edgemere/diml/dml/do/datainstance/content", "words": ["diml", "dml", "do", "datainstance", "content"], "changes": false, "answer": "content", "noun": "datainstance", "summary": "Read the bytes of one data of an instance.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}, "data": {"about": "The id, name or path of the data; needed when the instance has several.", "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "training-0"}, "errors": ["datainstance.not_found", "datainstance.not_ready", "datainstance.no_bytes", "data.not_found", "datainstance.data_needed"], "built": true, "confirm": false, "positional": "id"},
  "do.datainstance.retry": {"name": "do.datainstance.retry", "tree": "do", "path": ["datainstance", "retry"], "address": "/edgemere/diml/dml/do/datainstance/retry", "words": ["diml", "dml", "do", "datainstance", "retry"], "changes": true, "answer": "object", "noun": "datainstance", "summary": "Try a broken instance again.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "training-0"}, "errors": ["datainstance.not_found", "datainstance.illegal_move"], "built": true, "confirm": false, "positional": "id", "wait_s": 0},
  "do.datainstance.renew": {"name": "do.datainstance.renew", "tree": "do", "path": ["datainstance", "renew"], "address": "/edgemere/diml/dml/do/datainstance/renew", "words": ["diml", "dml", "do", "datainstance", "renew"], "changes": true, "answer": "object", "noun": "datainstance", "summary": "Let an instance live longer: by its own lifetime from now, for a span, or until a time.", "parameters": {"id": {"about": "The id or name of the instance.", "required": true, "schema": {"type": "string", "minLength": 1}}, "for": {"about": "How long from now; without it, its own lifetime.", "schema": {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}}, "until": {"about": "A time instead, or a duration from now.", "schema": {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}}}, "example": {"id": "training-0", "for": "2h"}, "errors": ["datainstance.not_found", "datainstance.no_end", "datainstance.not_ready", "parameter.invalid"], "built": true, "confirm": false, "positional": "id"},
  "do.datainstance.pin": {"name": "do.datainstance.pin", "tree": "do", "path": ["datainstance", "pin"], "address": "/edgemere/diml/dml/do/datainstance/pin", "words": ["diml", "dml", "do", "datainstance", "pin"], "changes": true, "answer": "object", "noun": "datainstance", "summary": "Keep an instance: it does not expire, and is neither reaped nor destroyed.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}, "owner": {"about": "Who keeps it; without it, the caller.", "schema": {"type": "string"}}, "reason": {"about": "Why, in a sentence.", "schema": {"type": "string"}}, "until": {"about": "Until when: a time, or a duration from now. Without it, until it is unpinned.", "schema": {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}}}, "example": {"id": "training-0", "reason": "figures of the paper", "until": "2027-06-30"}, "errors": ["datainstance.not_found", "datainstance.pinned", "datainstance.request_over", "parameter.invalid"], "built": true, "confirm": false, "positional": "id"},
  "do.datainstance.unpin": {"name": "do.datainstance.unpin", "tree": "do", "path": ["datainstance", "unpin"], "address": "/edgemere/diml/dml/do/datainstance/unpin", "words": ["diml", "dml", "do", "datainstance", "unpin"], "changes": true, "answer": "object", "noun": "datainstance", "summary": "No longer keep an instance: its lifetime counts again.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "training-0"}, "errors": ["datainstance.not_found"], "built": true, "confirm": false, "positional": "id"},
  "do.datainstance.undo": {"name": "do.datainstance.undo", "tree": "do", "path": ["datainstance", "undo"], "address": "/edgemere/diml/dml/do/datainstance/undo", "words": ["diml", "dml", "do", "datainstance", "undo"], "changes": true, "answer": "object", "noun": "datainstance", "summary": "Bring a destroyed instance back within its grace time; it is verified before it is Ready.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "training-0"}, "errors": ["datainstance.not_found", "datainstance.illegal_move", "datainstance.grace_over", "datainstance.name_taken", "datainstance.request_over", "datainstance.in_progress", "source.no_capacity", "datasource.not_ready"], "built": true, "confirm": false, "positional": "id", "wait_s": 0},
  "fmdm.query": {"name": "fmdm.query", "tree": "fmdm", "path": ["query"], "address": "/edgemere/diml/dml/fmdm/query", "words": ["diml", "dml", "fmdm", "query"], "changes": false, "answer": "page", "noun": "data", "summary": "Find data by its metadata, with a count of what each clause leaves.", "parameters": {"expression": {"about": "What to find, as JSON or as a line; empty is everything.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 5000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}, "funnel": {"about": "Count what each clause leaves.", "schema": {"type": "boolean", "default": true}}, "complete": {"about": "Instead of data, what a beginning may go on with: {field: \"own\"} or {value: \"dar\", of: \"owner\"}.", "schema": {"type": "object", "additionalProperties": true}}}, "example": {"expression": "owner:darren size>1MB"}, "errors": ["query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand"], "built": true, "confirm": false, "positional": "expression"},
  "fmdm.datasource.create": {"name": "fmdm.datasource.create", "tree": "fmdm", "path": ["datasource", "create"], "address": "/edgemere/diml/dml/fmdm/datasource/create", "words": ["diml", "dml", "fmdm", "datasource", "create"], "changes": true, "answer": "object", "noun": "datasource", "summary": "Register a source and scan it.", "parameters": {"name": {"about": "Its name.", "required": true, "schema": {"type": "string", "minLength": 1, "maxLength": 200}}, "adaptor": {"about": "The kind of source: file, http, fsspec, sql or simulated.", "required": true, "schema": {"type": "string"}}, "parameters": {"about": "Where it is: {rootdir, writable} for file, {url, …} for fsspec and sql; docs/sources.md has all.", "schema": {"type": "object", "additionalProperties": true}}, "capacity": {"about": "{bytes, readers}; null is unlimited.", "schema": {"type": "object", "additionalProperties": true}}, "cost": {"about": "{per_gib_out, per_gib_in, per_gib_month, per_request, latency_ms, mib_per_s}.", "schema": {"type": "object", "additionalProperties": true}}, "tags": {"about": "Free tags.", "schema": {"type": "object", "additionalProperties": true}}, "location": {"about": "Where in the world it is.", "schema": {"type": "string"}}, "access": {"about": "Who may see which of its data: [{when: query, owners, roles}], the first rule that applies decides; without one everybody.", "schema": {}}}, "example": {"name": "lab", "adaptor": "file", "parameters": {"rootdir": "/data/lab"}}, "errors": ["datasource.name_taken", "source.unknown_adaptor", "source.bad_parameters", "source.rootdir_missing", "source.rootdir_unreadable", "source.rootdir_not_allowed", "source.bad_listing", "source.address_not_allowed", "access.invalid"], "built": true, "confirm": false, "positional": null, "wait_s": 30},
  "fmdm.datasource.simulate": {"name": "fmdm.datasource.simulate", "tree": "fmdm", "path": ["datasource", "simulate"], "address": "/edgemere/diml/dml/fmdm/datasource/simulate", "words": ["diml", "dml", "fmdm", "datasource", "simulate"], "changes": true, "answer": "object", "noun": "datasource", "summary": "Make a simulated source from a listing.", "parameters": {"name": {"about": "Its name.", "required": true, "schema": {"type": "string", "minLength": 1, "maxLength": 200}}, "listing": {"about": "A mapping from path to {type, size, tags}, or its YAML text.", "required": true, "schema": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "additionalProperties": true}]}}, "capacity": {"about": "{bytes, readers}; null is unlimited.", "schema": {"type": "object", "additionalProperties": true}}, "cost": {"about": "What using it costs.", "schema": {"type": "object", "additionalProperties": true}}, "tags": {"about": "Free tags.", "schema": {"type": "object", "additionalProperties": true}}, "location": {"about": "Where in the world it is.", "schema": {"type": "string"}}, "access": {"about": "Who may see which of its data: [{when: query, owners, roles}], the first rule that applies decides; without one everybody.", "schema": {}}}, "example": {"name": "archive", "listing": {"scans/a.nii": {"type": "file", "size": 1024, "tags": {"owner": "darren"}}}}, "errors": ["datasource.name_taken", "source.bad_listing", "access.invalid"], "built": true, "confirm": false, "positional": null, "wait_s": 30},
  "fmdm.datasource.list": {"name": "fmdm.datasource.list", "tree": "fmdm", "path": ["datasource", "list"], "address": "/edgemere/diml/dml/fmdm/datasource/list", "words": ["diml", "dml", "fmdm", "datasource", "list"], "changes": false, "answer": "page", "noun": "datasource", "summary": "List the sources.", "parameters": {"attr1": {"about": "An id, a name, or a query over the object's fields.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "The id: a ULID with the prefix of its class.", "schema": {"type": "string"}}, "name": {"about": "The name, unique per class and owner.", "schema": {"type": "string"}}, "state": {"about": "The state in the net of its class.", "schema": {"type": "string"}}, "adaptor": {"about": "The kind of source: file, http, fsspec, sql or simulated.", "schema": {"type": "string"}}, "location": {"about": "Where in the world it is.", "schema": {"type": "string"}}, "owner": {"about": "Whom it belongs to.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}}, "example": {}, "errors": ["query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand"], "built": true, "confirm": false, "positional": null},
  "fmdm.datasource.show": {"name": "fmdm.datasource.show", "tree": "fmdm", "path": ["datasource", "show"], "address": "/edgemere/diml/dml/fmdm/datasource/show", "words": ["diml", "dml", "fmdm", "datasource", "show"], "changes": false, "answer": "object", "noun": "datasource", "summary": "Show one source.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "lab"}, "errors": ["datasource.not_found"], "built": true, "confirm": false, "positional": "id"},
  "fmdm.datasource.scan": {"name": "fmdm.datasource.scan", "tree": "fmdm", "path": ["datasource", "scan"], "address": "/edgemere/diml/dml/fmdm/datasource/scan", "words": ["diml", "dml", "fmdm", "datasource", "scan"], "changes": true, "answer": "object", "noun": "datasource", "summary": "Look what was added, changed or vanished at a source.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "lab"}, "errors": ["datasource.not_found", "datasource.illegal_move", "datasource.not_ready"], "built": true, "confirm": false, "positional": "id", "wait_s": 30},
  "fmdm.datasource.suspend": {"name": "fmdm.datasource.suspend", "tree": "fmdm", "path": ["datasource", "suspend"], "address": "/edgemere/diml/dml/fmdm/datasource/suspend", "words": ["diml", "dml", "fmdm", "datasource", "suspend"], "changes": true, "answer": "object", "noun": "datasource", "summary": "Take a source out of use for a while: its data no longer matches.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "lab"}, "errors": ["datasource.not_found", "datasource.illegal_move"], "built": true, "confirm": false, "positional": "id"},
  "fmdm.datasource.resume": {"name": "fmdm.datasource.resume", "tree": "fmdm", "path": ["datasource", "resume"], "address": "/edgemere/diml/dml/fmdm/datasource/resume", "words": ["diml", "dml", "fmdm", "datasource", "resume"], "changes": true, "answer": "object", "noun": "datasource", "summary": "Take a suspended source into use again.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "lab"}, "errors": ["datasource.not_found", "datasource.illegal_move"], "built": true, "confirm": false, "positional": "id"},
  "fmdm.datasource.shutdown": {"name": "fmdm.datasource.shutdown", "tree": "fmdm", "path": ["datasource", "shutdown"], "address": "/edgemere/diml/dml/fmdm/datasource/shutdown", "words": ["diml", "dml", "fmdm", "datasource", "shutdown"], "changes": true, "answer": "object", "noun": "datasource", "summary": "Take a source out of use for good.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "lab"}, "errors": ["datasource.not_found", "datasource.illegal_move"], "built": true, "confirm": true, "positional": "id"},
  "fmdm.datasource.destroy": {"name": "fmdm.datasource.destroy", "tree": "fmdm", "path": ["datasource", "destroy"], "address": "/edgemere/diml/dml/fmdm/datasource/destroy", "words": ["diml", "dml", "fmdm", "datasource", "destroy"], "changes": true, "answer": "object", "noun": "datasource", "summary": "Remove a source and its data from the catalogue; the bytes stay where they are.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "lab"}, "errors": ["datasource.not_found", "datasource.in_use"], "built": true, "confirm": true, "positional": "id"},
  "fmdm.datasource.access": {"name": "fmdm.datasource.access", "tree": "fmdm", "path": ["datasource", "access"], "address": "/edgemere/diml/dml/fmdm/datasource/access", "words": ["diml", "dml", "fmdm", "datasource", "access"], "changes": true, "answer": "object", "noun": "datasource", "summary": "Say who may see which data of a source; what is reserved already stays reserved.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}, "access": {"about": "Who may see which of its data: [{when: query, owners, roles}], the first rule that applies decides; without one everybody.", "required": true, "schema": {}}}, "example": {"id": "lab", "access": [{"when": "sensitivity:high", "owners": ["ada"], "roles": ["DataEngineer"]}]}, "errors": ["datasource.not_found", "access.invalid", "denied"], "built": true, "confirm": false, "positional": "id"},
  "fmdm.datasource.audit": {"name": "fmdm.datasource.audit", "tree": "fmdm", "path": ["datasource", "audit"], "address": "/edgemere/diml/dml/fmdm/datasource/audit", "words": ["diml", "dml", "fmdm", "datasource", "audit"], "changes": true, "answer": "object", "noun": "datasource", "summary": "Compare the catalogue with what lies at a source, both ways; report, or repair.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}, "repair": {"about": "none, catalogue (it takes over what lies there), copies (lost ones are made again), all (both), dark (nobody's copies go).", "schema": {"default": "none"}}, "verify": {"about": "Read every byte that has a known checksum, and compare: finds what changed without changing size and time.", "schema": {"type": "boolean", "default": false}}}, "example": {"id": "lab"}, "errors": ["datasource.not_found", "datasource.not_ready", "datasource.busy"], "built": true, "confirm": false, "positional": "id", "wait_s": 30},
  "fmdm.datasource.findings": {"name": "fmdm.datasource.findings", "tree": "fmdm", "path": ["datasource", "findings"], "address": "/edgemere/diml/dml/fmdm/datasource/findings", "words": ["diml", "dml", "fmdm", "datasource", "findings"], "changes": false, "answer": "page", "noun": "finding", "summary": "List what the newest audit of a source found.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}, "kind": {"about": "Only these: lost, dark, changed, corrupt, lost_copy, changed_copy, dark_copy.", "schema": {"type": "string", "enum": ["lost", "dark", "changed", "corrupt", "lost_copy", "changed_copy", "dark_copy"]}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}}, "example": {"id": "lab", "kind": "lost"}, "errors": ["datasource.not_found"], "built": true, "confirm": false, "positional": "id"},
  "fmdm.datasource.reap": {"name": "fmdm.datasource.reap", "tree": "fmdm", "path": ["datasource", "reap"], "address": "/edgemere/diml/dml/fmdm/datasource/reap", "words": ["diml", "dml", "fmdm", "datasource", "reap"], "changes": true, "answer": "document", "noun": "reaping", "summary": "Say which copies would go to free a target, the least recently used first; with apply they go.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}, "bytes": {"about": "How many bytes; without it, down to the low mark of its capacity.", "schema": {"type": "integer", "minimum": 0, "maximum": 4611686018427387904}}, "apply": {"about": "Destroy what would go. Without it nothing is written.", "schema": {"type": "boolean", "default": false}}}, "example": {"id": "results", "bytes": 1000000000}, "errors": ["datasource.not_found", "datasource.not_writable", "datasource.unbounded"], "built": true, "confirm": false, "positional": "id"},
  "fmdm.data.create": {"name": "fmdm.data.create", "tree": "fmdm", "path": ["data", "create"], "address": "/edgemere/diml/dml/fmdm/data/create", "words": ["diml", "dml", "fmdm", "data", "create"], "changes": true, "answer": "object", "noun": "data", "summary": "Register one data in a source by hand.", "parameters": {"source": {"about": "The source that holds it.", "required": true, "schema": {"type": "string", "minLength": 1}}, "path": {"about": "The place within the source.", "required": true, "schema": {"type": "string"}}, "type": {"about": "What it is.", "schema": {"type": "string", "enum": ["file", "dir", "object", "table", "stream"], "default": "file"}}, "size": {"about": "Bytes.", "schema": {"type": "integer", "minimum": 0, "maximum": 4611686018427387904}}, "media_type": {"about": "The media type.", "schema": {"type": "string"}}, "checksum": {"about": "sha256:… where known.", "schema": {"type": "string"}}, "tags": {"about": "Its metadata.", "schema": {"type": "object", "additionalProperties": true}}}, "example": {"source": "lab", "path": "scans/b.nii", "size": 2048, "tags": {"owner": "darren"}}, "errors": ["datasource.not_found", "data.path_taken"], "built": true, "confirm": false, "positional": null},
  "fmdm.data.list": {"name": "fmdm.data.list", "tree": "fmdm", "path": ["data", "list"], "address": "/edgemere/diml/dml/fmdm/data/list", "words": ["diml", "dml", "fmdm", "data", "list"], "changes": false, "answer": "page", "noun": "data", "summary": "List the data.", "parameters": {"attr1": {"about": "An id, a name, or a query over the object's fields.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "The id: a ULID with the prefix of its class.", "schema": {"type": "string"}}, "name": {"about": "The base name.", "schema": {"type": "string"}}, "path": {"about": "The place within the source.", "schema": {"type": "string"}}, "type": {"about": "file, dir, object, table or stream.", "schema": {"type": "string"}}, "media_type": {"about": "The media type.", "schema": {"type": "string"}}, "checksum": {"about": "sha256:… where known.", "schema": {"type": "string"}}, "source": {"about": "The source that holds it.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}}, "example": {}, "errors": ["query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand"], "built": true, "confirm": false, "positional": null},
  "fmdm.data.find": {"name": "fmdm.data.find", "tree": "fmdm", "path": ["data", "find"], "address": "/edgemere/diml/dml/fmdm/data/find", "words": ["diml", "dml", "fmdm", "data", "find"], "changes": false, "answer": "page", "noun": "data", "summary": "Find data by id, name or query.", "parameters": {"attr1": {"about": "An id, a name, or a query over the object's fields.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "The id: a ULID with the prefix of its class.", "schema": {"type": "string"}}, "name": {"about": "The base name.", "schema": {"type": "string"}}, "path": {"about": "The place within the source.", "schema": {"type": "string"}}, "type": {"about": "file, dir, object, table or stream.", "schema": {"type": "string"}}, "media_type": {"about": "The media type.", "schema": {"type": "string"}}, "checksum": {"about": "sha256:… where known.", "schema": {"type": "string"}}, "source": {"about": "The source that holds it.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}}, "example": {"attr1": "owner:darren"}, "errors": ["data.not_found", "query.syntax", "query.unknown_operator", "query.unknown_field", "query.bad_operand"], "built": true, "confirm": false, "positional": "attr1"},
  "fmdm.data.show": {"name": "fmdm.data.show", "tree": "fmdm", "path": ["data", "show"], "address": "/edgemere/diml/dml/fmdm/data/show", "words": ["diml", "dml", "fmdm", "data", "show"], "changes": false, "answer": "object", "noun": "data", "summary": "Show one data with its metadata.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "data_…"}, "errors": ["data.not_found", "data.ambiguous"], "built": true, "confirm": false, "positional": "id"},
  "fmdm.data.destroy": {"name": "fmdm.data.destroy", "tree": "fmdm", "path": ["data", "destroy"], "address": "/edgemere/diml/dml/fmdm/data/destroy", "words": ["diml", "dml", "fmdm", "data", "destroy"], "changes": true, "answer": "object", "noun": "data", "summary": "Remove one data from the catalogue; the bytes stay where they are.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "data_…"}, "errors": ["data.not_found", "data.in_use"], "built": true, "confirm": true, "positional": "id"},
  "do.event.list": {"name": "do.event.list", "tree": "do", "path": ["event", "list"], "address": "/edgemere/diml/dml/do/event/list", "words": ["diml", "dml", "do", "event", "list"], "changes": false, "answer": "page", "noun": "event", "summary": "List what happened, in order.", "parameters": {"after": {"about": "Only messages after this sequence.", "schema": {"type": "integer", "minimum": 0, "maximum": 4611686018427387904}}, "event": {"about": "A name, or a pattern such as datarequest.*", "schema": {"type": "string"}}, "object": {"about": "The id or name of the object.", "schema": {"type": "string"}}, "correlation_id": {"about": "Everything that belongs to one call.", "schema": {"type": "string"}}, "since": {"about": "Only messages since this time, or this long ago.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "`sequence` (oldest first) or `-sequence`.", "schema": {"type": "string"}}}, "example": {"event": "datarequest.*"}, "errors": ["parameter.invalid"], "built": true, "confirm": false, "positional": null},
  "do.event.stream": {"name": "do.event.stream", "tree": "do", "path": ["event", "stream"], "address": "/edgemere/diml/dml/do/event/stream", "words": ["diml", "dml", "do", "event", "stream"], "changes": false, "answer": "stream", "noun": "event", "summary": "Follow what happens, live; resumes from a sequence without a gap.", "parameters": {"event": {"about": "A name, or a pattern such as datarequest.*; several with commas.", "schema": {"type": "string"}}, "class": {"about": "A class of objects, such as datarequest; several with commas.", "schema": {"type": "string"}}, "object": {"about": "The id or name of the object.", "schema": {"type": "string"}}, "owner": {"about": "Whom the object belongs to.", "schema": {"type": "string"}}, "query": {"about": "A query over the object, where all messages are about one class.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "after": {"about": "Resume after this sequence.", "schema": {"type": "integer", "minimum": 0, "maximum": 4611686018427387904}}}, "example": {"event": "datarequest.*"}, "errors": [], "built": true, "confirm": false, "positional": null},
  "do.event.send": {"name": "do.event.send", "tree": "do", "path": ["event", "send"], "address": "/edgemere/diml/dml/do/event/send", "words": ["diml", "dml", "do", "event", "send"], "changes": true, "answer": "document", "noun": "event", "summary": "Send one of the messages that the product handles.", "parameters": {"event": {"about": "datareference.provisioning, datarequest.needed or datarequest.selected.", "required": true, "schema": {"type": "string"}}, "obj": {"about": "The object, its id or its name.", "required": true, "schema": {}}}, "example": {"event": "datarequest.needed", "obj": "scans"}, "errors": ["event.not_handled"], "built": true, "confirm": false, "positional": null},
  "do.event.dead.list": {"name": "do.event.dead.list", "tree": "do", "path": ["event", "dead", "list"], "address": "/edgemere/diml/dml/do/event/dead/list", "words": ["diml", "dml", "do", "event", "dead", "list"], "changes": false, "answer": "page", "noun": "deadletter", "summary": "List the messages that could not be handled, and why.", "parameters": {"attr1": {"about": "An id, a name, or a query over the object's fields.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "Its id.", "schema": {"type": "string"}}, "event": {"about": "The name of the message.", "schema": {"type": "string"}}, "queue": {"about": "The queue whose handler failed.", "schema": {"type": "string"}}, "code": {"about": "Why, as a code.", "schema": {"type": "string"}}, "owner": {"about": "Whom the message belonged to; empty: nobody, so that an Administrator alone sees it.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}}, "example": {}, "errors": [], "built": true, "confirm": false, "positional": null},
  "do.event.dead.replay": {"name": "do.event.dead.replay", "tree": "do", "path": ["event", "dead", "replay"], "address": "/edgemere/diml/dml/do/event/dead/replay", "words": ["diml", "dml", "do", "event", "dead", "replay"], "changes": true, "answer": "page", "noun": "deadletter", "summary": "Hand dead letters to their handlers again.", "parameters": {"id": {"about": "One dead letter.", "schema": {"type": "string"}}, "event": {"about": "All dead letters of this message.", "schema": {"type": "string"}}, "queue": {"about": "All dead letters of this queue.", "schema": {"type": "string"}}, "all": {"about": "Every dead letter that was not replayed yet.", "schema": {"type": "boolean"}}}, "example": {"id": "dead_…"}, "errors": ["deadletter.not_found", "deadletter.unnamed"], "built": true, "confirm": false, "positional": null},
  "do.operation.list": {"name": "do.operation.list", "tree": "do", "path": ["operation", "list"], "address": "/edgemere/diml/dml/do/operation/list", "words": ["diml", "dml", "do", "operation", "list"], "changes": false, "answer": "page", "noun": "operation", "summary": "List what is, or was, under way.", "parameters": {"status": {"about": "running, waiting, succeeded, failed or cancelled.", "schema": {"type": "string"}}, "kind": {"about": "datarequest, scan or audit.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}}, "example": {}, "errors": [], "built": true, "confirm": false, "positional": null},
  "do.operation.show": {"name": "do.operation.show", "tree": "do", "path": ["operation", "show"], "address": "/edgemere/diml/dml/do/operation/show", "words": ["diml", "dml", "do", "operation", "show"], "changes": false, "answer": "object", "noun": "operation", "summary": "Show how far something long has come.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "oper_…"}, "errors": ["operation.not_found"], "built": true, "confirm": false, "positional": "id"},
  "do.operation.cancel": {"name": "do.operation.cancel", "tree": "do", "path": ["operation", "cancel"], "address": "/edgemere/diml/dml/do/operation/cancel", "words": ["diml", "dml", "do", "operation", "cancel"], "changes": true, "answer": "object", "noun": "operation", "summary": "Stop something long.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "oper_…"}, "errors": ["operation.not_found", "operation.over", "datarequest.illegal_move"], "built": true, "confirm": true, "positional": "id"},
  "do.apikey.create": {"name": "do.apikey.create", "tree": "do", "path": ["apikey", "create"], "address": "/edgemere/diml/dml/do/apikey/create", "words": ["diml", "dml", "do", "apikey", "create"], "changes": true, "answer": "object", "noun": "apikey", "summary": "Make a key for a program or a person; its secret is shown this once.", "parameters": {"name": {"about": "What the key is for: a label, unique for its owner. Without one it is called apikey-<n>.", "schema": {"type": "string", "minLength": 1, "maxLength": 200}}, "owner": {"about": "Whom the key speaks for; another than oneself needs an Administrator.", "schema": {"type": "string", "minLength": 1, "maxLength": 200}}, "roles": {"about": "What the key may do: no more than whoever makes it. Without it the same.", "schema": {}}, "lifetime": {"about": "When the key ends by itself: 90d, 12h. Without it never.", "schema": {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}}}, "example": {"name": "nightly-report", "roles": ["DataScientist"], "lifetime": "90d"}, "errors": ["apikey.name_taken", "apikey.roles", "apikey.denied"], "built": true, "confirm": false, "positional": "name"},
  "do.apikey.list": {"name": "do.apikey.list", "tree": "do", "path": ["apikey", "list"], "address": "/edgemere/diml/dml/do/apikey/list", "words": ["diml", "dml", "do", "apikey", "list"], "changes": false, "answer": "page", "noun": "apikey", "summary": "List keys: one's own; an Administrator sees everybody's.", "parameters": {"attr1": {"about": "An id, a name, or a query over the object's fields.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "The id: a ULID with the prefix of its class.", "schema": {"type": "string"}}, "name": {"about": "What it is for; unique for its owner.", "schema": {"type": "string"}}, "kind": {"about": "key, or session: what a login on the page made of a key or token.", "schema": {"type": "string"}}, "state": {"about": "Active, Expired or Revoked.", "schema": {"type": "string"}}, "owner": {"about": "Whom it speaks for.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}}, "example": {}, "errors": [], "built": true, "confirm": false, "positional": null},
  "do.apikey.show": {"name": "do.apikey.show", "tree": "do", "path": ["apikey", "show"], "address": "/edgemere/diml/dml/do/apikey/show", "words": ["diml", "dml", "do", "apikey", "show"], "changes": false, "answer": "object", "noun": "apikey", "summary": "Show what a key may do, and when it was last used; never its secret.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "nightly-report"}, "errors": ["apikey.not_found"], "built": true, "confirm": false, "positional": "id"},
  "do.apikey.rotate": {"name": "do.apikey.rotate", "tree": "do", "path": ["apikey", "rotate"], "address": "/edgemere/diml/dml/do/apikey/rotate", "words": ["diml", "dml", "do", "apikey", "rotate"], "changes": true, "answer": "object", "noun": "apikey", "summary": "Give a key a new secret, shown this once; the one before may work on for a while.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}, "overlap": {"about": "How long the secret before goes on working, at most 30d. Without it, it ends at once.", "schema": {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}}}, "example": {"id": "nightly-report", "overlap": "1h"}, "errors": ["apikey.not_found", "apikey.over"], "built": true, "confirm": false, "positional": "id"},
  "do.apikey.revoke": {"name": "do.apikey.revoke", "tree": "do", "path": ["apikey", "revoke"], "address": "/edgemere/diml/dml/do/apikey/revoke", "words": ["diml", "dml", "do", "apikey", "revoke"], "changes": true, "answer": "object", "noun": "apikey", "summary": "End a key at once, everywhere, with the sessions that were opened with it.", "parameters": {"id": {"about": "The id or name of the object.", "required": true, "schema": {"type": "string", "minLength": 1}}}, "example": {"id": "nightly-report"}, "errors": ["apikey.not_found"], "built": true, "confirm": true, "positional": "id"},
  "do.identity.show": {"name": "do.identity.show", "tree": "do", "path": ["identity", "show"], "address": "/edgemere/diml/dml/do/identity/show", "words": ["diml", "dml", "do", "identity", "show"], "changes": false, "answer": "document", "noun": "identity", "summary": "Show who is calling: the owner, the roles, the credential that says so, and what was done with his keys.", "parameters": {}, "example": {}, "errors": [], "built": true, "confirm": false, "positional": null},
  "do.identity.seen": {"name": "do.identity.seen", "tree": "do", "path": ["identity", "seen"], "address": "/edgemere/diml/dml/do/identity/seen", "words": ["diml", "dml", "do", "identity", "seen"], "changes": true, "answer": "document", "noun": "identity", "summary": "Say that what was done with one's keys was seen: answers stop to tell it.", "parameters": {"upto": {"about": "The id of the last notice that was seen. Without it all of them.", "schema": {"type": "integer", "minimum": 0, "maximum": 4611686018427387904}}}, "example": {"upto": 12}, "errors": [], "built": true, "confirm": false, "positional": null},
  "do.person.show": {"name": "do.person.show", "tree": "do", "path": ["person", "show"], "address": "/edgemere/diml/dml/do/person/show", "words": ["diml", "dml", "do", "person", "show"], "changes": false, "answer": "document", "noun": "person", "summary": "Show what there is of a person, and until when the audit log keeps the name.", "parameters": {"owner": {"about": "Who: the name that is the owner of what is his. Without it oneself; another needs an Administrator.", "schema": {"type": "string"}}}, "example": {}, "errors": ["person.denied"], "built": true, "confirm": false, "positional": "owner"},
  "do.person.export": {"name": "do.person.export", "tree": "do", "path": ["person", "export"], "address": "/edgemere/diml/dml/do/person/export", "words": ["diml", "dml", "do", "person", "export"], "changes": false, "answer": "page", "noun": "personrow", "summary": "Give out everything that is kept of a person, row by row.", "parameters": {"owner": {"about": "Who: the name that is the owner of what is his. Without it oneself; another needs an Administrator.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 200}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}}, "example": {}, "errors": ["person.denied"], "built": true, "confirm": false, "positional": "owner"},
  "do.person.remove": {"name": "do.person.remove", "tree": "do", "path": ["person", "remove"], "address": "/edgemere/diml/dml/do/person/remove", "words": ["diml", "dml", "do", "person", "remove"], "changes": true, "answer": "document", "noun": "person", "summary": "Remove a person: his credentials end, and a pseudonym takes the place of his name in everything that is kept.", "parameters": {"owner": {"about": "Who: the name that is the owner of what is his.", "required": true, "schema": {"type": "string"}}, "preview": {"about": "Whether to say only what would be done, and what stands in the way.", "schema": {"type": "boolean", "default": false}}}, "example": {"owner": "ann", "preview": true}, "errors": ["person.in_use", "person.oneself", "person.not_found"], "built": true, "confirm": true, "positional": "owner"},
  "do.audit.list": {"name": "do.audit.list", "tree": "do", "path": ["audit", "list"], "address": "/edgemere/diml/dml/do/audit/list", "words": ["diml", "dml", "do", "audit", "list"], "changes": false, "answer": "page", "noun": "auditentry", "summary": "List who changed what, with which outcome, and whose login was refused.", "parameters": {"attr1": {"about": "An id, a name, or a query over the object's fields.", "schema": {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": true}]}}, "id": {"about": "Its id.", "schema": {"type": "string"}}, "kind": {"about": "changed (written with the change), answered (what the caller was told), login, refused (a login), read, found (data was refused), or forgotten.", "schema": {"type": "string"}}, "owner": {"about": "On whose behalf.", "schema": {"type": "string"}}, "credential": {"about": "The id of the key, or the subject of the token.", "schema": {"type": "string"}}, "address": {"about": "Where the call came from.", "schema": {"type": "string"}}, "action": {"about": "The action of the table.", "schema": {"type": "string"}}, "outcome": {"about": "ok, or the stable code of the error.", "schema": {"type": "string"}}, "correlation_id": {"about": "The call that it belongs to.", "schema": {"type": "string"}}, "limit": {"about": "How many at most in one page.", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}}, "cursor": {"about": "Where to go on: the `next` of the page before.", "schema": {"type": "string"}}, "sort": {"about": "A field, or several with commas; a minus before it turns it round.", "schema": {"type": "string"}}}, "example": {"owner": "ann", "sort": "-sequence"}, "errors": ["audit.denied"], "built": true, "confirm": false, "positional": null},
  "do.audit.verify": {"name": "do.audit.verify", "tree": "do", "path": ["audit", "verify"], "address": "/edgemere/diml/dml/do/audit/verify", "words": ["diml", "dml", "do", "audit", "verify"], "changes": false, "answer": "document", "noun": "auditcheck", "summary": "Look whether anything in the audit log was changed, taken out or put in since it was written.", "parameters": {"sequence": {"about": "The position that was noted.", "schema": {"type": "integer", "minimum": 0, "maximum": 4611686018427387904}}, "hash": {"about": "The hash that was noted with it: shows whether the end was cut off since.", "schema": {"type": "string"}}}, "example": {}, "errors": ["audit.denied"], "built": true, "confirm": false, "positional": null},
};
const STREAM = "/edgemere/diml/dml/do/event/stream";

const edgemere = connect();
export { ACTIONS, edgemere };
export default edgemere;
