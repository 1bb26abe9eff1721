// How values look to people: bytes, times, numbers, refs. No element is made here.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Bytes with a binary unit: 213.9 KiB. */
export function bytes(count) {
  if (count === null || count === undefined) return "–";
  let value = count, unit = 0;
  // What would be written as 1024 is one of the next unit.
  while (value >= 1023.5 && unit < UNITS.length - 1) { value /= 1024; unit += 1; }
  return unit ? `${value.toFixed(value < 100 ? 1 : 0)} ${UNITS[unit]}` : `${count} B`;
}

export function number(value) {
  return value === null || value === undefined ? "–" : new Intl.NumberFormat("en").format(value);
}

export function cost(value) {
  if (value === null || value === undefined) return "–";
  // What is less than a thousandth is said in one form, which fits a column.
  return value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(2) : Number(value.toPrecision(4)).toString();
}

/** A span of seconds: 36 ms, 4 s, 3 min, 2 h, 5 d. */
export function span(seconds) {
  const size = Math.abs(seconds);
  if (size < 1) return `${Math.round(size * 1000)} ms`;
  if (size < 90) return `${Math.round(size)} s`;
  if (size < 5400) return `${Math.round(size / 60)} min`;
  if (size < 129600) return `${Math.round(size / 3600)} h`;
  return `${Math.round(size / 86400)} d`;
}

// A browser whose clock is off must not show times in the future: what counts is the server's clock.
let offset_ms = 0;
export function setClock(serverDate) {
  const there = Date.parse(serverDate);
  if (!Number.isNaN(there)) {
    const found = there - Date.now();
    offset_ms = Math.abs(found) > 2000 ? found : 0;
  }
}
export function now() { return Date.now() + offset_ms; }

/** How long ago a stamp was, or how far ahead it is. */
export function ago(stamp) {
  if (!stamp) return "–";
  const seconds = (now() - Date.parse(stamp)) / 1000;
  if (seconds < -1) return `in ${span(seconds)}`;
  return seconds < 1 ? "now" : `${span(seconds)} ago`;
}

export function clock(stamp) {
  return stamp ? new Date(stamp).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 }) : "–";
}

/** The hour and minute of a time in seconds since 1970, here. */
export function minuteOf(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

export function date(stamp) {
  return stamp ? new Date(stamp).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" }) : "–";
}

/** The name in a ref, an id, or a plain value. */
export function ref(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "object") return value.name ?? value.id ?? JSON.stringify(value);
  return String(value);
}

/** An association: a count in lists, refs in show. */
export function count(value) {
  if (Array.isArray(value)) return value.length;
  return value && typeof value === "object" ? value.count : value ?? 0;
}

const BARE = /^[^\s"'\\():<>=!{}[\],]+$/;
const OPERATORS = { $gt: ">", $gte: ">=", $lt: "<", $lte: "<=" };

/** A query as the one-line shorthand where that says the same, else as JSON. */
export function query(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  const parts = [];
  for (const [field, wanted] of Object.entries(value)) {
    if (field === "$or" && Array.isArray(wanted) && wanted.length > 1) {
      const ways = wanted.map(query);
      if (ways.some((way) => !way || way.startsWith("{"))) return JSON.stringify(value);
      parts.push(`(${ways.map((way, at) => (Object.keys(wanted[at]).length > 1 ? `(${way})` : way)).join(" OR ")})`);
      continue;
    }
    if (field.startsWith("$")) return JSON.stringify(value);
    const clauses = wanted !== null && typeof wanted === "object" && !Array.isArray(wanted) ? Object.entries(wanted) : [["$eq", wanted]];
    for (const [operator, operand] of clauses) {
      const pattern = operator === "$like" && /[*?]/.test(String(operand)) && !/[%_]/.test(String(operand));
      const sign = operator === "$eq" || operator === "$ne" || pattern ? ":" : OPERATORS[operator];
      if (!sign || operand === null || typeof operand === "object" || !BARE.test(field)) return JSON.stringify(value);
      const text = String(operand);
      if (!pattern && typeof operand === "string" && /[*?]/.test(text)) return JSON.stringify(value);
      const shown = BARE.test(text) ? text : JSON.stringify(text);
      parts.push(`${operator === "$ne" ? "-" : ""}${field}${sign}${shown}`);
    }
  }
  return parts.join(" ");
}
