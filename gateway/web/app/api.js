// Calls of the action table: one way to the server for every view. Knows no view and no action by name.
import { setClock } from "./format.js";
import { loggedIn } from "./login.js";

/** What the server refused: an RFC 9457 problem. */
export class Problem extends Error {
  constructor(body, status) {
    super(body.detail || body.title || "Something went wrong.");
    Object.assign(this, { problem: body, code: body.code, status, nextStep: body.next_step, errors: body.errors || [] });
  }
}

let table;
/** The action table: {version, actions[], byName{}, objects{}, nets{}, events[]}; fetched once. */
export async function loadTable() {
  const answer = await fetch("/web/table.json", { credentials: "same-origin" });
  if (!answer.ok) throw new Problem({ detail: "The server does not give its action table.", code: "unavailable" }, answer.status);
  setClock(answer.headers.get("Date"));
  table = await answer.json();
  table.byName = Object.fromEntries(table.actions.map((action) => [action.name, action]));
  return table;
}
export function theTable() { return table; }
export function action(name) {
  const found = table.byName[name];
  if (!found) throw new Error(`The table has no action ${name}.`);
  return found;
}

const LIMIT_MS = 60000;

/**
 * Perform an action of the table. Resolves to its answer; rejects with a Problem, or an AbortError when `signal` ends it.
 * `wait` is how many seconds the server may wait for the end of what it set going. Changing calls carry a key, so that a
 * call repeated after a broken connection is done once.
 */
export async function call(name, parameters = {}, { key, ...more } = {}) {
  // One key however often it is sent, also after a login in between.
  const once = { ...more, key: key || crypto.randomUUID?.() || `${Date.now()}-${Math.random()}` };
  return loggedIn(() => send(name, parameters, once));
}

async function send(name, parameters, { signal, wait, key, tries = 2 }) {
  const row = action(name);
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  if (row.changes) headers["Idempotency-Key"] = key;
  if (row.waits && wait !== undefined) headers.Prefer = `wait=${wait}`;
  const body = JSON.stringify(Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "" && value !== null)));
  const limit = AbortSignal.timeout(LIMIT_MS + (wait || 0) * 1000);
  let answer;
  try {
    answer = await fetch(row.address, {
      method: "POST", headers, body, credentials: "same-origin", signal: signal ? any([signal, limit]) : limit,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    if (tries > 1 && error.name === "TypeError") {
      await new Promise((done) => setTimeout(done, 300));
      return send(name, parameters, { signal, wait, key, tries: tries - 1 });
    }
    throw new Problem({ code: "unreachable", detail: "The server does not answer.", next_step: "The page tries again by itself when it is back." }, 0);
  }
  return read(answer);
}

async function read(answer) {
  setClock(answer.headers.get("Date"));
  const text = await answer.text();
  let body;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    body = { code: "unavailable", detail: `The server answered ${answer.status} with something that is no JSON.` };
  }
  if (answer.ok) return body;
  throw new Problem(body || {}, answer.status);
}

function any(signals) {
  if (AbortSignal.any) return AbortSignal.any(signals);
  const both = new AbortController();
  for (const signal of signals) signal.addEventListener("abort", () => both.abort(signal.reason), { once: true });
  return both.signal;
}

/** Whether the mesh is ready: {ok, services{}}; never rejects. */
export async function readiness() {
  try {
    const answer = await fetch("/health/ready", { signal: AbortSignal.timeout(8000) });
    return await answer.json();
  } catch {
    return { ok: false, services: {}, detail: "The server does not answer." };
  }
}

/** Where the bytes of one data of an instance are. */
export function contentAddress(instance, data) {
  const row = action("do.datainstance.content");
  return `${row.address}?${new URLSearchParams({ id: instance, ...(data ? { data } : {}) })}`;
}
