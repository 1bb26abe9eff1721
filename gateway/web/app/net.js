// A state net as a drawing: the states of the table, the way through them, the present state lit.
import { html, useEffect, useRef } from "./parts.js";

const WIDTH = 118, HEIGHT = 34, ACROSS = 196, DOWN = 84, EDGE = 10;

/** Where each state stands: by how many moves it is from the first one, states of the same distance below each other. */
export function placed(net) {
  const depth = new Map([[net.initial, 0]]);
  let open = [net.initial];
  while (open.length) {
    const following = [];
    for (const state of open) {
      for (const move of net.moves) {
        if (move.from === state && !depth.has(move.to)) { depth.set(move.to, depth.get(state) + 1); following.push(move.to); }
      }
    }
    open = following;
  }
  for (const state of net.states) if (!depth.has(state)) depth.set(state, 0);
  // Where one event leads from many states (Failed, Destroyed) stands below, out of the way of the main line.
  const ways = new Map();
  for (const move of net.moves) ways.set(`${move.event}>${move.to}`, [...(ways.get(`${move.event}>${move.to}`) || []), move.to]);
  const below = new Set([...ways.values()].filter((ends) => ends.length > 2).map((ends) => ends[0]));
  const used = new Map(), at = new Map();
  const place = (state, column, row) => at.set(state, { x: EDGE + column * ACROSS, y: EDGE + 14 + row * DOWN });
  for (const state of net.states.filter((name) => !below.has(name))) {
    const column = depth.get(state), row = used.get(column) || 0;
    used.set(column, row + 1);
    place(state, column, row);
  }
  const lowest = Math.max(1, ...used.values());
  [...below].forEach((state, at_) => place(state, Math.max(1, depth.get(state)) + 1 + at_, lowest));
  return at;
}

export function Net({ net, state, label }) {
  const at = placed(net);
  const places = [...at.values()];
  const width = Math.max(...places.map((place) => place.x)) + WIDTH + EDGE + 4;
  const height = Math.max(...places.map((place) => place.y)) + HEIGHT + EDGE;
  const arrows = new Map();
  for (const move of net.moves) {
    const key = `${move.from}>${move.to}`;
    arrows.set(key, { ...move, event: arrows.has(key) ? `${arrows.get(key).event}, ${move.event}` : move.event });
  }
  const ways = net.moves.filter((move) => move.from === state).map((move) => `${move.event} to ${move.to}`);
  const said = `${label}: ${state}. ${ways.length ? `From here: ${ways.join("; ")}.` : "Nothing leads on from here."}`;
  const box = useRef(null);
  useEffect(() => {
    // On a narrow screen the present state is what is looked at first.
    box.current.scrollLeft = at.get(state) ? at.get(state).x - (box.current.clientWidth - WIDTH) / 2 : 0;
  }, [state]);
  return html`<div class="net" ref=${box} tabindex="0" role="region" aria-label="State net, can be scrolled"><svg viewBox=${`0 0 ${width} ${height}`} width=${width} height=${height} role="img" aria-label=${said}>
    <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" class="tip" /></marker></defs>
    ${[...arrows.values()].map((move) => html`<${Arrow} move=${move} at=${at} lit=${move.from === state} />`)}
    ${net.states.map((name) => html`<g class=${name === state ? "node lit" : "node"}>
      <rect x=${at.get(name).x} y=${at.get(name).y} width=${WIDTH} height=${HEIGHT} rx="8" />
      <text x=${at.get(name).x + WIDTH / 2} y=${at.get(name).y + 22}>${name}</text></g>`)}
  </svg></div>`;
}

function Arrow({ move, at, lit }) {
  const a = at.get(move.from), b = at.get(move.to);
  let path, x, y;
  if (a.y === b.y && b.x > a.x) {
    const straight = b.x - a.x === ACROSS;
    const from = { x: a.x + WIDTH, y: a.y + HEIGHT / 2 }, end = { x: b.x - 1, y: b.y + HEIGHT / 2 };
    path = straight ? `M${from.x} ${from.y}H${end.x}` : `M${a.x + WIDTH / 2} ${a.y}C${a.x + WIDTH} ${a.y - 26} ${b.x} ${b.y - 26} ${b.x + WIDTH / 2} ${b.y - 1}`;
    [x, y] = [(from.x + end.x) / 2, straight ? from.y - 6 : a.y - 20];
  } else if (a.y === b.y) {
    path = `M${a.x + WIDTH / 2} ${a.y}C${a.x + WIDTH / 2 - 20} ${a.y - 22} ${b.x + WIDTH / 2 + 20} ${b.y - 22} ${b.x + WIDTH / 2} ${b.y - 1}`;
    [x, y] = [(a.x + b.x + WIDTH) / 2, a.y - 12];
  } else {
    const down = b.y > a.y;
    const from = { x: a.x + WIDTH / 2 + (down ? 14 : -14), y: down ? a.y + HEIGHT : a.y };
    const end = { x: b.x + WIDTH / 2 + (down ? (b.x > a.x ? -20 : 20) : -14), y: down ? b.y - 1 : b.y + HEIGHT + 1 };
    path = `M${from.x} ${from.y}L${end.x} ${end.y}`;
    [x, y] = [(from.x + end.x) / 2, (from.y + end.y) / 2];
  }
  return html`<g class=${lit ? "arrow lit" : "arrow"}><path d=${path} marker-end="url(#tip)" />${lit || a.y === b.y ? html`<text x=${x} y=${y}>${move.event}</text>` : null}</g>`;
}
