// What happens, as it happens: one socket for the whole page, resumed after a break without a gap and without a double.

const KEPT = 300;
const state = { connected: false, everConnected: false, since: Date.now(), sequence: null };
const listeners = new Set();
const watchers = new Set();
/** The newest messages, newest first. */
export const recent = [];
let socket;

export function connection() { return state; }

/** Be told when the connection comes and goes. */
export function onConnection(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** Be told of every message; one that was told already is not told again. */
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

function take(name, message) {
  if (!message || typeof message.sequence !== "number") return;
  if (state.sequence !== null && message.sequence <= state.sequence) return;
  state.sequence = message.sequence;
  recent.unshift(message);
  if (recent.length > KEPT) recent.length = KEPT;
  for (const listener of listeners) listener(message);
}

/** Connect, and stay connected. */
export async function start() {
  const { io } = await import("../vendor/socket.io/socket.io.js");
  socket = io({ path: "/web/socket.io", transports: ["websocket"], reconnectionDelay: 300, reconnectionDelayMax: 4000, timeout: 8000 });
  socket.onAny(take);
  socket.on("connect", () => {
    socket.emit("subscribe", state.sequence === null ? {} : { after: state.sequence }, (answer, problem) => {
      if (problem) { socket.disconnect().connect(); return; }
      // A log that begins anew, behind a server made anew, has lower positions.
      if (typeof answer?.after === "number" && (state.sequence === null || answer.after < state.sequence)) state.sequence = answer.after;
      say(true);
    });
  });
  socket.on("disconnect", (reason) => {
    say(false);
    // The server let the page go (too slow, or it stops): socket.io leaves it to us to come back.
    if (reason === "io server disconnect") setTimeout(() => socket.connect(), 500);
  });
  // Nobody is logged in any more: it is tried again by hand, after the login that the next call asks for.
  socket.on("connect_error", (error) => { say(false); if (error.data?.data?.status === 401) setTimeout(() => socket.connect(), 2000); });
  socket.io.on("error", () => say(false));
}
