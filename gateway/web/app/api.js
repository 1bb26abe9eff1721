// Calls of the action table for every view, by the client that programs use, too (/edgemere.js). Knows no action by name.
import { connect, errorOf, Unreachable } from "/edgemere.js";
import { setClock } from "./format.js";
import { loggedIn } from "./login.js";

/** fetch, which tells by the way what the server's clock says. */
async function timed(...asked) {
  const answer = await fetch(...asked);
  setClock(answer.headers.get("Date"));
  return answer;
}

/** The client of the server that the page came from. */
export const edgemere = connect(location.origin, { fetch: timed });

let table;
/** The action table: {version, actions[], byName{}, objects{}, nets{}, events[]}; fetched once. */
export async function loadTable() {
  const answer = await timed("/web/table.json");
  if (!answer.ok) throw new Error("The server does not give its action table.");
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

const given = (value) => value !== undefined && value !== "" && value !== null;

/**
 * Perform an action of the table. Resolves to its answer; rejects with an EdgemereError, or an AbortError when `signal`
 * ends it. `wait` is how many seconds the server may wait for the end of what it set going. Changing calls carry a key,
 * so that a call repeated after a broken connection is done once.
 */
export async function call(name, parameters = {}, { key, ...more } = {}) {
  // One key however often it is sent, also after a login in between.
  const once = { ...more, key: key || crypto.randomUUID?.() || `${Date.now()}-${Math.random()}` };
  return loggedIn(() => send(name, parameters, once));
}

async function send(name, parameters, { signal, wait, key, tries = 2 }) {
  const row = action(name);
  const options = { signal, wait: row.waits ? wait : undefined, idempotencyKey: row.changes ? key : undefined };
  const asked = Object.fromEntries(Object.entries(parameters).filter(([, value]) => given(value)));
  try {
    return await edgemere.call(name, asked, options);
  } catch (error) {
    const broken = error instanceof Unreachable && error.code === "js.unreachable";
    if (!broken || signal?.aborted || tries < 2) throw error;
    await new Promise((done) => setTimeout(done, 300));
    return send(name, parameters, { signal, wait, key, tries: tries - 1 });
  }
}

/** {curl, cli, js, python}: the lines that do the same elsewhere, as the documents have them. */
export async function linesOf(name, parameters, signal) {
  const asked = Object.fromEntries(Object.entries(parameters).filter(([, value]) => given(value)));
  const answer = await timed("/web/lines.json", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ action: name, parameters: asked, url: location.origin }), signal,
  });
  const body = await answer.json();
  if (!answer.ok) throw errorOf(body);
  return body;
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
