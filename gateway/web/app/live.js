// What happens, as it happens: one subscription for the whole page, resumed after a break by the client of /edgemere.js.
import { edgemere } from "./api.js";
import { inAgain } from "./login.js";
import { useEffect, useState } from "./view.js";

const KEPT = 300, AGAIN_MS = 3000;
const state = { connected: false, everConnected: false, since: Date.now() };
const listeners = new Set();
const watchers = new Set();
/** The newest messages, newest first. */
export const recent = [];

/** Be told when the connection comes and goes. */
export function onConnection(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** The connection as it is now, in a component; what changes before its effects run is seen, too. */
export function useConnection() {
  const [now, setNow] = useState({ ...state });
  useEffect(() => {
    const look = () => setNow({ ...state });
    look();
    return onConnection(look);
  }, []);
  return now;
}

/** Be told of every message, each once and in order. */
export function onMessage(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function say(connected) {
  if (state.connected === connected) return;
  state.connected = connected;
  state.since = Date.now();
  if (connected) state.everConnected = true;
  for (const watcher of watchers) watcher(state);
}

function take(message) {
  recent.unshift(message);
  if (recent.length > KEPT) recent.length = KEPT;
  for (const listener of listeners) listener(message);
}

/** Connect, and stay connected. */
export function start() {
  edgemere.onConnection((now) => say(now === "connected"));
  listen();
}

function listen(after) {
  const subscription = edgemere.on("*", take, { after, onError: (error) => goOn(error, subscription.position) });
}

/** Refused is not gone: a page that stays open asks again, from where it was; where its login has ended, with the next one. */
async function goOn(error, position) {
  try {
    if (error.status === 401) await inAgain(error.detail);
    else throw error;
  } catch {
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
  listen(position);
}
