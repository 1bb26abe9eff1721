// What happens, as it happens: one subscription for the whole page, resumed after a break by the client of /edgemere.js.
import { edgemere } from "./api.js";

const KEPT = 300, AGAIN_MS = 3000;
const state = { connected: false, everConnected: false, since: Date.now() };
const listeners = new Set();
const watchers = new Set();
/** The newest messages, newest first. */
export const recent = [];

export function connection() { return state; }

/** Be told when the connection comes and goes. */
export function onConnection(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
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
  // Refused is not gone: a page that stays open asks again, from where it was.
  const subscription = edgemere.on("*", take, { after, onError: () => setTimeout(() => listen(subscription.position), AGAIN_MS) });
}
