// A look into data: the beginning of a table, a text or a picture; never more than a bounded part is fetched.
import { html, useEffect, useState, Refusal, Loading } from "./parts.js";
import { contentAddress } from "./api.js";
import { bytes, number } from "./format.js";

const HEAD_BYTES = 64 * 1024;
const PICTURE_BYTES = 16 * 1024 * 1024;
const PARQUET_BYTES = 16 * 1024 * 1024;
const ROWS = 50;

/** Which kind of look a data allows, by media type and name. */
export function kindOf(entry) {
  const type = entry.media_type || "", name = (entry.name || "").toLowerCase();
  if (/^image\/(png|jpe?g|gif|webp|avif|bmp|svg\+xml)$/.test(type)) return "picture";
  if (name.endsWith(".parquet") || type.includes("parquet")) return "parquet";
  if (type === "text/csv" || type === "text/tab-separated-values" || /\.(csv|tsv)$/.test(name)) return "table";
  if (/json/.test(type) || /\.(json|geojson|jsonl|ndjson)$/.test(name)) return "json";
  if (type.startsWith("text/") || /\.(txt|md|ya?ml|toml|ini|log|py|js|sql|xml)$/.test(name)) return "text";
  return null;
}

export function Preview({ instance, entry }) {
  const [found, setFound] = useState(null), [error, setError] = useState(null);
  const kind = kindOf(entry), address = contentAddress(instance.id, entry.data?.id);
  useEffect(() => {
    const mine = new AbortController();
    let made;
    setFound(null);
    setError(null);
    (kind ? LOOKS[kind](address, entry, mine.signal) : Promise.resolve({ note: "There is no preview of this kind of data." })).then((look) => {
      made = look;
      if (!mine.signal.aborted) setFound(look); else look.end?.();
    }, (fault) => { if (!mine.signal.aborted) setError(fault); });
    return () => { mine.abort(); made?.end?.(); };
  }, [address]);
  if (error) return html`<${Refusal} error=${error} />`;
  if (!found) return html`<${Loading} what="Looking into it" />`;
  return html`<div class="preview">
    ${found.note ? html`<p class="faint">${found.note}</p>` : null}
    ${found.picture ? html`<img src=${found.picture} alt=${`What ${entry.name} looks like`} />` : null}
    ${found.rows ? html`<div class="scroll" tabindex="0" role="region" aria-label=${`The first rows of ${entry.name}`}><table><thead><tr>${found.rows[0].map((cell) => html`<th scope="col">${cell}</th>`)}</tr></thead>
      <tbody>${found.rows.slice(1).map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table></div>` : null}
    ${found.text !== undefined ? html`<pre class="scroll" tabindex="0">${found.text}</pre>` : null}</div>`;
}

async function head(address, entry, signal) {
  if (entry.size === 0) return { data: new Uint8Array(), whole: true };
  const answer = await fetch(address, { headers: { Range: `bytes=0-${HEAD_BYTES - 1}` }, signal });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || `The bytes cannot be read (${answer.status}).`);
  // A server that does not know ranges would send all of it.
  const reader = answer.body.getReader(), parts = [];
  let size = 0;
  while (size < HEAD_BYTES) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
  }
  reader.cancel().catch(() => {});
  const data = new Uint8Array(await new Blob(parts).arrayBuffer()).slice(0, HEAD_BYTES);
  return { data, whole: entry.size !== null && entry.size <= data.length };
}

function asText(data) {
  if (data.subarray(0, 4096).includes(0)) return null;
  return new TextDecoder("utf-8").decode(data);
}

const part = (entry, whole) => (whole ? "" : `The first ${bytes(HEAD_BYTES)} of ${bytes(entry.size)}.`);

const LOOKS = {
  async text(address, entry, signal) {
    const { data, whole } = await head(address, entry, signal);
    const text = asText(data);
    if (text === "") return { note: "It is empty." };
    return text === null ? { note: "This is not text, whatever its name says." } : { text, note: part(entry, whole) };
  },
  async json(address, entry, signal) {
    const { data, whole } = await head(address, entry, signal);
    const text = asText(data);
    if (text === null) return { note: "This is not text, whatever its name says." };
    if (!whole) return { text, note: part(entry, whole) };
    try { return { text: JSON.stringify(JSON.parse(text), null, 2) }; } catch { return { text, note: "Shown as it is: it is not one JSON value." }; }
  },
  async table(address, entry, signal) {
    const { data, whole } = await head(address, entry, signal);
    const text = asText(data);
    if (text === null) return { note: "This is not a CSV file, whatever its name says." };
    if (text === "") return { note: "It is empty." };
    const Papa = await papa();
    const parsed = Papa.parse(text, { preview: ROWS + 1, skipEmptyLines: true });
    const rows = parsed.data;
    const widths = new Set(rows.slice(0, -1).map((row) => row.length));
    if (rows.length < 1 || (rows.length > 2 && widths.size > 3) || (rows[0]?.length || 0) < 2) return { text, note: `This does not look like a table. ${part(entry, whole)}` };
    return { rows, note: `The first ${number(rows.length - 1)} rows${whole && rows.length <= ROWS ? "" : ` of ${bytes(entry.size)}`}.` };
  },
  async picture(address, entry, signal) {
    if (entry.size > PICTURE_BYTES) return { note: `The picture has ${bytes(entry.size)}; up to ${bytes(PICTURE_BYTES)} are shown. Download it instead.` };
    const answer = await fetch(address, { signal });
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || `The bytes cannot be read (${answer.status}).`);
    const picture = URL.createObjectURL(new Blob([await answer.blob()], { type: entry.media_type }));
    return { picture, end: () => URL.revokeObjectURL(picture) };
  },
  async parquet(address, entry, signal) {
    const { parquetMetadataAsync, parquetReadObjects } = await import("../vendor/hyparquet/index.js");
    let read = 0;
    const file = { byteLength: entry.size, async slice(from, end = entry.size) {
      read += end - from;
      if (read > PARQUET_BYTES) throw new Error(`more than ${bytes(PARQUET_BYTES)} would have to be read`);
      const answer = await fetch(address, { headers: { Range: `bytes=${from}-${end - 1}` }, signal });
      if (!answer.ok) throw new Error(`The bytes cannot be read (${answer.status}).`);
      return answer.arrayBuffer();
    } };
    let metadata;
    try { metadata = await parquetMetadataAsync(file); } catch (fault) {
      if (signal.aborted) throw fault;
      return { note: `This cannot be read as Parquet, whatever its name says: ${fault.message}.` };
    }
    const shown = (value) => (value === null || value === undefined ? "" : value instanceof Date ? value.toISOString() : typeof value === "object" ? JSON.stringify(value, (_, item) => (typeof item === "bigint" ? String(item) : item)) : String(value));
    const names = metadata.schema.slice(1).filter((item) => !item.num_children).map((item) => item.name);
    try {
      const objects = await parquetReadObjects({ file, metadata, rowStart: 0, rowEnd: Math.min(ROWS, Number(metadata.num_rows)) });
      const columns = objects.length ? Object.keys(objects[0]) : names;
      return { rows: [columns, ...objects.map((object) => columns.map((name) => shown(object[name])))], note: `The first ${number(objects.length)} of ${number(Number(metadata.num_rows))} rows.` };
    } catch (fault) {
      return { note: `${number(Number(metadata.num_rows))} rows with the columns ${names.join(", ")}. Their values cannot be shown here: ${fault.message}` };
    }
  },
};

let promise;
function papa() {
  promise ??= new Promise((done, fail) => {
    document.head.append(Object.assign(document.createElement("script"), { src: "/web/vendor/papaparse/papaparse.js", onload: () => done(window.Papa), onerror: () => fail(new Error("A part of the page could not be fetched.")) }));
  });
  return promise;
}
