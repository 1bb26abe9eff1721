// A list of any length: only the rows in sight are in the page, further ones are fetched as they come near.
import { html, useEffect, useRef, useState, Refusal } from "./parts.js";
import { call } from "./api.js";
import { onMessage, onConnection } from "./live.js";
import { number } from "./format.js";

// The first page is what fits on a screen, since it is asked for at each key typed; further ones are larger.
const FIRST = 60, PAGE = 200;
const AHEAD = 12;
// Below this width a row is two lines: the first two columns, and the rest below them.
const NARROW_PX = 560, NARROW_HEIGHT = 66;

/**
 * The rows of a list action, page by page. Rows of class `noun` that a message tells of are put in place at once;
 * new ones are counted, and fetched when `refresh` is called.
 */
export function useRows(name, parameters, noun) {
  const [found, setFound] = useState({ items: [], total: null, loading: true, newer: 0, answers: 0 });
  const asked = useRef(null), store = useRef(null);
  const key = JSON.stringify([name, parameters]);

  const load = async (more) => {
    if (more && (!store.current?.next || store.current.busy)) return;
    asked.current?.abort();
    const mine = new AbortController();
    asked.current = mine;
    if (store.current) store.current.busy = true;
    try {
      const answer = await call(name, { ...parameters, limit: more ? PAGE : FIRST, cursor: more ? store.current.next : undefined }, { signal: mine.signal });
      if (mine.signal.aborted) return;
      const items = more ? [...store.current.items, ...answer.items] : answer.items;
      store.current = { items, next: answer.next, busy: false, ids: new Map(items.map((item, at) => [item.id ?? item.name, at])) };
      setFound((before) => ({ items, total: answer.total, estimate: answer.total_is_estimate, next: answer.next, loading: false, newer: 0, answers: before.answers + 1 }));
    } catch (error) {
      if (mine.signal.aborted) return;
      if (store.current) store.current.busy = false;
      setFound((before) => ({ ...before, error, loading: false }));
    }
  };

  useEffect(() => {
    // What is shown stays until the answer is there: a list that empties at each key typed cannot be read.
    setFound((before) => ({ ...before, loading: true, error: undefined }));
    store.current = null;
    load(false);
    let pending = new Map(), newer = 0, timer = null;
    const flush = () => {
      timer = null;
      const kept = store.current;
      if (!kept) return;
      if (newer && !kept.items.length) {
        // Where nothing is read, nothing can be torn from under a reader: the first ones appear by themselves.
        newer = 0;
        load(false);
        return;
      }
      const items = kept.items.slice();
      for (const [id, obj] of pending) {
        const at = kept.ids.get(id);
        if (at !== undefined && !(items[at].version > obj.version)) items[at] = { ...items[at], ...obj };
      }
      pending = new Map();
      store.current = { ...kept, items };
      setFound((before) => ({ ...before, items, newer: before.newer + newer }));
      newer = 0;
    };
    const end = noun ? onMessage((message) => {
      if (!message.event.startsWith(`${noun}.`) || !message.obj?.id) return;
      if (store.current?.ids.has(message.obj.id)) pending.set(message.obj.id, message.obj);
      else if (message.event === `${noun}.create`) newer += 1;
      else return;
      timer ??= setTimeout(flush, 200);
    }) : () => {};
    const back = onConnection((state) => { if (state.connected) load(false); });
    return () => { end(); back(); clearTimeout(timer); asked.current?.abort(); };
  }, [key]);
  return { ...found, more: () => load(true), refresh: () => load(false) };
}

/**
 * A table of rows in a grid of its own; `columns` are {name, title, cell(item), width, number, below}. Where it is narrow, a row
 * is the first two columns and, under them, those that are `below` (else the two after the first); a "short" one is never cut.
 */
export function Rows({ rows, columns, label, rowHeight: wideHeight = 44, empty, keyOf = (item) => item.id ?? item.name, tall = 640 }) {
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, height: tall, width: innerWidth });
  const narrow = view.width < NARROW_PX;
  const rowHeight = narrow ? NARROW_HEIGHT : wideHeight;
  const { items, total, next, loading, error } = rows;
  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    let frame = 0;
    const look = () => {
      frame = 0;
      setView({ top: element.scrollTop, height: element.clientHeight, width: element.clientWidth });
    };
    const scrolled = () => { frame ||= requestAnimationFrame(look); };
    element.addEventListener("scroll", scrolled, { passive: true });
    const watcher = new ResizeObserver(scrolled);
    watcher.observe(element);
    return () => { element.removeEventListener("scroll", scrolled); watcher.disconnect(); cancelAnimationFrame(frame); };
  }, []);
  const first = Math.max(0, Math.floor(view.top / rowHeight) - AHEAD);
  const last = Math.min(items.length, Math.ceil((view.top + view.height) / rowHeight) + AHEAD);
  // After each answer: one that begins anew may be the same as the one before, whose further rows it has cut off.
  useEffect(() => { if (next && last >= items.length - AHEAD && !loading) rows.more(); }, [last, rows.answers, next, loading]);
  const template = columns.map((column) => column.width || "minmax(6rem, 1fr)").join(" ");
  // Head and rows are grids of their own: with one least width they have the same columns.
  const least = columns.reduce((sum, column) => sum + parseFloat((column.width || "6rem").replace("minmax(", "")) + 0.9, 0.9);
  const grid = narrow ? {} : { gridTemplateColumns: template, minWidth: `${least}rem` };
  const cell = (column, item) => html`<span role="cell" class=${[column.number && "number", column.below === "short" && "short"].filter(Boolean).join(" ")} data-title=${column.title}>${column.cell(item)}</span>`;
  const chosen = columns.slice(2).filter((column) => column.below), below = chosen.length ? chosen : columns.slice(2, 4);
  const height = Math.max(items.length, next && total ? Math.min(total, 200000) : 0) * rowHeight;
  if (!items.length && !loading && !error && empty) return empty;
  return html`
    ${error ? html`<${Refusal} error=${error} retry=${rows.refresh} />` : null}
    <div class=${narrow ? "rows narrow" : "rows"} aria-busy=${loading ? "true" : "false"}>
      <div class="rows-scroll" ref=${box} tabindex="0" role="table" aria-label=${label} aria-rowcount=${total ?? -1}>
        <div role="rowgroup" class="rows-head"><div class="row head" role="row" style=${grid}>
          ${columns.map((column) => html`<span role="columnheader" class=${column.number ? "number" : ""}>${column.title}</span>`)}
        </div></div>
        <div class="rows-space" role="rowgroup" style=${{ height: `${height}px`, minWidth: narrow ? "" : `${least}rem` }}>
          ${items.slice(first, last).map((item, at) => html`
            <div class="row" role="row" key=${keyOf(item)} aria-rowindex=${first + at + 1}
                 style=${{ ...grid, top: `${(first + at) * rowHeight}px`, height: `${rowHeight}px` }}>
              ${narrow ? html`<span class="line" role="presentation">${columns.slice(0, 2).map((column) => cell(column, item))}</span>
                <span class="line below" role="presentation">${below.map((column) => cell(column, item))}</span>` : columns.map((column) => cell(column, item))}
            </div>`)}
        </div>
      </div>
      <p class="rows-foot" role="status">${loading && !items.length ? "Loading …"
        : `${number(items.length)} of ${rows.estimate ? "about " : ""}${number(total ?? items.length)}`}
        ${rows.newer ? html` · <button type="button" class="link" onClick=${rows.refresh}>${rows.newer} new: show</button>` : null}</p>
    </div>`;
}
