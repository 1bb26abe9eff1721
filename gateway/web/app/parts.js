// Small parts that many views use: states, refs, problems, progress, copying, loading.
import { html, useEffect, useRef, useState, useCallback } from "./view.js";
import { bytes, ago, date, ref as refName } from "./format.js";
import { call, theTable } from "./api.js";
import { onMessage, onConnection } from "./live.js";
import { to } from "./router.js";

export { html, useEffect, useRef, useState, useCallback };

const VIEWS = {
  datarequest: "requests", datareference: "references", datainstance: "instances", datasource: "sources",
  datareservation: "reservations", data: "data", operation: "operations",
};
/** The address of the view of an object, or null when its class has none. */
export function addressOf(noun, ref) {
  const name = typeof ref === "object" && ref ? ref.id ?? ref.name : ref;
  return VIEWS[noun] && name ? to([VIEWS[noun], name]) : null;
}

export function Ref({ noun, to: ref }) {
  if (!ref) return html`<span class="faint">–</span>`;
  const address = addressOf(noun, ref);
  return address ? html`<a href=${address}>${refName(ref)}</a>` : html`<span>${refName(ref)}</span>`;
}

const TONE = {
  Ready: "good", Satisfied: "good", Provisioned: "good", Confirmed: "good", succeeded: "good", Completed: "calm", done: "good",
  Failed: "bad", Broken: "bad", FailedProvision: "bad", Rejected: "bad", failed: "bad", Shutdown: "calm", Destroyed: "calm", cancelled: "calm",
  Needed: "busy", Selected: "busy", Evaluated: "busy", Provisioning: "busy", Created: "busy", running: "busy",
  Suspended: "warn", waiting: "warn",
};
export function State({ of }) {
  return html`<span class=${`state ${TONE[of] || "calm"}`}>${of || "–"}</span>`;
}

export function When({ at }) {
  return at ? html`<time datetime=${at} title=${date(at)}>${ago(at)}</time>` : html`<span class="faint">–</span>`;
}

/** A refusal as people read it: what, where, and the next step. */
export function Refusal({ error, retry }) {
  if (!error) return null;
  const said = error.problem || {};
  const details = (error.errors || []).filter((item) => item.detail && item.detail !== said.detail);
  return html`<div class="refusal" role="alert">
    <p><strong>${error.detail || error.message}</strong>${error.code ? html` <a class="code" href=${`/docs#${error.code}`}>${error.code}</a>` : null}</p>
    ${details.length ? html`<ul>${details.map((item) => html`<li><code>${item.pointer || "/"}</code> ${item.detail}</li>`)}</ul>` : null}
    ${error.nextStep ? html`<p>${error.nextStep}</p>` : null}
    ${retry ? html`<button type="button" class="secondary small" onClick=${retry}>Try again</button>` : null}
  </div>`;
}

export function Bar({ done, total, label, busy }) {
  if (total === null || total === undefined) return html`<span class="faint">${label || "–"}</span>`;
  const part = total ? Math.min(100, (100 * done) / total) : 100;
  return html`<span class="progress"><progress value=${part} max="100" aria-label=${label}></progress>
    <span class="progress-text">${label}${busy ? " …" : ""}</span></span>`;
}

export function Bytes({ done, total, state }) {
  if (done === total || state !== "Provisioning") return html`<span class="number">${bytes(total)}</span>`;
  return html`<${Bar} done=${done} total=${total} label=${`${bytes(done)} of ${bytes(total)}`} />`;
}

export function Copy({ text, label = "Copy", what = "" }) {
  const [said, setSaid] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      setSaid("Select it and copy by hand");
    }
    setTimeout(() => setSaid(""), 1800);
  };
  return html`<button type="button" class="secondary small" onClick=${copy} aria-label=${what ? `${label} ${what}` : undefined}>${said || label}</button>
    <span class="hidden" role="status">${said}</span>`;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><p class="lead">${title}</p>${children}</div>`;
}

/** A command line to copy, as one types it. */
export function Command({ text }) {
  return html`<div class="command"><code>${text}</code><${Copy} text=${text} what="the command" /></div>`;
}

export function Fact({ name, long, children }) {
  return html`<div class=${long ? "fact long" : "fact"}><dt>${name}</dt><dd>${children}</dd></div>`;
}

export function Loading({ what = "Loading" }) {
  return html`<p class="faint" role="status">${what} …</p>`;
}

/**
 * The answer of an action, asked for again when `again` says so of a message, and after a break.
 * {data, error, loading, reload}. Keeps showing what it has while it asks.
 */
export function useAnswer(name, parameters, { again, pause_ms = 250, skip = false } = {}) {
  const [found, setFound] = useState({ loading: true });
  const key = JSON.stringify([name, parameters, skip]);
  const timer = useRef(null), running = useRef(null), wanted = useRef(again);
  wanted.current = again;
  const load = useCallback(async () => {
    running.current?.abort();
    if (skip) { setFound({ loading: false }); return; }
    const mine = new AbortController();
    running.current = mine;
    try {
      const data = await call(name, parameters, { signal: mine.signal });
      if (!mine.signal.aborted) setFound({ data, loading: false });
    } catch (error) {
      if (!mine.signal.aborted) setFound((before) => ({ data: error.status === 404 ? undefined : before.data, error, loading: false }));
    }
  }, [key]);
  useEffect(() => {
    setFound((before) => ({ ...before, loading: true, error: undefined }));
    load();
    const soon = () => {
      if (timer.current === null) timer.current = setTimeout(() => { timer.current = null; load(); }, pause_ms);
    };
    const ends = [onMessage((message) => { if (wanted.current?.(message)) soon(); }),
                  onConnection((state) => { if (state.connected) soon(); })];
    return () => {
      ends.forEach((end) => end());
      clearTimeout(timer.current);
      timer.current = null;
      running.current?.abort();
    };
  }, [load]);
  return { ...found, reload: load };
}

/** Whether a message is about an object of this class (and of this id or name, or of a ref to it). */
export function about(noun, ref) {
  return (message) => {
    if (!message.event.startsWith(`${noun}.`)) return false;
    return !ref || [message.obj?.id, message.obj?.name].includes(ref);
  };
}

/** A value that follows another after a pause, for what is typed. */
export function useSettled(value, pause_ms = 120) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), pause_ms);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/** Re-render now and then, so that "3 s ago" stays true. */
export function useTick(every_ms = 5000) {
  const [, set] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => { if (!document.hidden) set((n) => n + 1); }, every_ms);
    return () => clearInterval(timer);
  }, []);
}

export function attributesOf(noun) { return theTable().objects[noun]?.attributes || []; }
