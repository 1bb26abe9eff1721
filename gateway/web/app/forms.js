// Forms of actions, made from the table: fields, checks, the refusal beside the field it names, and the lines to copy.
import { html, useState, useRef, useEffect, useSettled, Refusal, Copy } from "./parts.js";
import { action, call, linesOf, theTable } from "./api.js";
import { QueryBox } from "./query.js";
import { useRoles } from "./login.js";

/** What is typed, as the parameter it means; undefined when nothing is. Throws a SyntaxError for broken JSON. */
export function meant(field, typed) {
  if (typed === "" || typed === undefined || typed === null) return undefined;
  if (field.kind === "boolean") return typed === true || typed === "true";
  if (field.kind === "integer" || field.kind === "number") return Number.isNaN(Number(typed)) ? typed : Number(typed);
  if (field.kind === "json" || field.kind === "object" || field.kind === "array") return JSON.parse(typed);
  if (field.kind === "json_or_name") return /^\s*[{"]/.test(typed) ? JSON.parse(typed) : typed;
  return typed;
}

function shown(value) {
  return value === undefined || value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
}

const FACES = { cli: "Command line", curl: "curl", js: "JavaScript", python: "Python" };

/** "Copy as curl, CLI, JS or Python": the lines are asked for when somebody looks, and follow what is filled in. */
export function Lines({ row, parameters, choice, inline }) {
  const [open, setOpen] = useState(false), [lines, setLines] = useState(null), [error, setError] = useState(null);
  const meant = useSettled(JSON.stringify(parameters), 100);
  useEffect(() => {
    if (!open) return undefined;
    const mine = new AbortController();
    linesOf(row.name, JSON.parse(meant), mine.signal).then((found) => { setLines(found); setError(null); },
      (fault) => { if (!mine.signal.aborted) setError(fault); });
    return () => mine.abort();
  }, [open, row.name, meant]);
  return html`<details class=${inline ? "lines inline" : "lines"} onToggle=${(event) => setOpen(event.currentTarget.open)}><summary>Copy as curl, CLI, JS or Python</summary>
    ${choice}<${Refusal} error=${error} />
    ${lines ? Object.entries(FACES).map(([face, title]) => html`<div class="command" key=${face}><span>${title}</span><code>${lines[face]}</code><${Copy} text=${lines[face]} what=${`the line for ${title}`} /></div>`) : null}</details>`;
}

function Field({ field, value, set, error, id }) {
  const common = { id, "aria-invalid": error ? "true" : undefined, "aria-describedby": `${id}-about`, required: field.required };
  const input = (event) => set(event.target.value);
  let control;
  if (field.enum) {
    control = html`<select ...${common} value=${value} onChange=${input}>${field.required ? null : html`<option value="">(not said)</option>`}
      ${field.enum.filter((item) => item !== null).map((item) => html`<option value=${item}>${item}</option>`)}</select>`;
  } else if (field.kind === "boolean") {
    control = html`<select ...${common} value=${value} onChange=${input}><option value="">(not said)</option><option value="true">yes</option><option value="false">no</option></select>`;
  } else if (field.kind === "query") {
    control = html`<${QueryBox} ...${common} value=${value} onInput=${set} />`;
  } else if (["json", "object", "array", "text", "json_or_name"].includes(field.kind)) {
    control = html`<textarea ...${common} rows=${field.kind === "text" ? 6 : 2} spellcheck="false" value=${value} onInput=${input}
      placeholder=${field.kind === "text" ? "" : field.kind === "json_or_name" ? 'a name, or {"key": "value"}' : '{"key": "value"}'}></textarea>`;
  } else {
    control = html`<input ...${common} type="text" inputmode=${["integer", "number"].includes(field.kind) ? "numeric" : undefined} autocomplete="off" value=${value} onInput=${input} />`;
  }
  return html`<div class="field"><label for=${id}>${field.name}${field.required ? html` <abbr title="required">*</abbr>` : null}</label>
    ${control}<small id=${`${id}-about`} class=${error ? "wrong" : ""}>${error || field.about}</small></div>`;
}

let forms = 0;

/**
 * The form of an action. `fixed` parameters, and those `without` which it does, are not asked for; `first` names those shown before the others, which are
 * folded away. `done(answer)` is told what came of it, `changed(parameters)` what is filled in so far.
 */
export function ActionForm({ name, fixed = {}, without = [], start = {}, first, submit, done, cancel, begun, changed, wait }) {
  const row = action(name);
  const number = useRef(null);
  number.current ??= (forms += 1);
  const [typed, setTyped] = useState(() => Object.fromEntries(Object.entries(start).map(([key, value]) => [key, shown(value)])));
  const [error, setError] = useState(null), [busy, setBusy] = useState(false), [broken, setBroken] = useState({});
  const fields = row.parameters.filter((field) => !(field.name in fixed) && !without.includes(field.name));
  const wrong = { ...broken };
  for (const item of error?.errors || []) wrong[(item.pointer || "").split("/")[1]] ??= item.detail;
  let parameters = { ...fixed };
  for (const field of fields) {
    try { const value = meant(field, typed[field.name]); if (value !== undefined) parameters[field.name] = value; } catch { /* said at sending */ }
  }
  const meanings = JSON.stringify(parameters);
  useEffect(() => changed?.(JSON.parse(meanings)), [meanings]);
  const send = async (event) => {
    event.preventDefault();
    if (lacking) return;
    const faults = {};
    for (const field of fields) {
      try { meant(field, typed[field.name]); } catch (fault) { faults[field.name] = `Not valid JSON: ${fault.message}`; }
    }
    setBroken(faults);
    if (Object.keys(faults).length) return;
    setBusy(true);
    setError(null);
    begun?.();
    try { done?.(await call(name, parameters, { wait })); } catch (refused) { setError(refused); } finally { setBusy(false); }
  };
  const lacking = lacks(row, useRoles());
  const required = fields.filter((field) => field.required).length;
  const isFirst = (field) => (first ? first.includes(field.name) : required && fields.length > 4 ? field.required : fields.indexOf(field) < 5);
  const one = (field) => html`<${Field} key=${field.name} field=${field} id=${`form-${number.current}-${field.name}`} value=${typed[field.name] ?? ""} error=${wrong[field.name]}
    set=${(value) => setTyped((before) => ({ ...before, [field.name]: value }))} />`;
  const others = fields.filter((field) => !isFirst(field));
  return html`<form onSubmit=${send} novalidate>
    ${fields.filter(isFirst).map(one)}
    ${others.length ? html`<details open=${others.some((field) => wrong[field.name])}><summary>More (${others.length})</summary>${others.map(one)}</details>` : null}
    <${Refusal} error=${error} />${lacking ? html`<p class="refusal calm" id=${`form-${number.current}-lacks`}>${lacking}</p>` : null}
    <div class="buttons"><button type="submit" class=${row.confirm ? "danger" : undefined} aria-disabled=${lacking ? "true" : undefined} aria-describedby=${lacking ? `form-${number.current}-lacks` : undefined} aria-busy=${busy ? "true" : "false"} disabled=${busy}>${submit || row.path.at(-1)}</button>
      ${cancel ? html`<button type="button" class="secondary" onClick=${cancel}>Cancel</button>` : null}</div>
    <${Lines} row=${row} parameters=${parameters} />
  </form>`;
}

/** A dialog that keeps the focus inside and gives it back. */
export function Dialog({ title, close, children }) {
  const box = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog ref=${box} aria-label=${title} onCancel=${(event) => { event.preventDefault(); close(); }} onClick=${(event) => { if (event.target === box.current) close(); }}>
    <article><header><button type="button" aria-label="Close" class="close" onClick=${close}>×</button><h2>${title}</h2></header>${children}</article></dialog>`;
}

/** What an object can be told, as buttons: what its state does not allow says why not. */
export function Buttons({ noun, object, net, after, except = [] }) {
  const [asking, setAsking] = useState(null), [error, setError] = useState(null), [busy, setBusy] = useState("");
  const rows = actionsOn(noun).filter((row) => !except.includes(row.path.at(-1))), roles = useRoles();
  const press = async (row) => {
    if (row.confirm || row.parameters.some((field) => field.required && field.name !== row.positional)) { setAsking(row); return; }
    setBusy(row.name);
    setError(null);
    try { after?.(await call(row.name, { [row.positional]: object.id }), row); } catch (refused) { setError(refused); } finally { setBusy(""); }
  };
  return html`<div class="actions">
    ${rows.map((row) => {
      const why = lacks(row, roles) || whyNot(row, object, net);
      const label = row.path.at(-1);
      return html`<button type="button" class=${row.confirm ? "secondary small danger" : "secondary small"} aria-disabled=${why ? "true" : undefined} aria-busy=${busy === row.name ? "true" : undefined}
        title=${why || row.summary} onClick=${() => (why ? setError(new Error(why)) : press(row))}>${label}</button>`;
    })}
    <${Refusal} error=${error} />
    <${LinesOf} rows=${rows} object=${object} />
    ${asking ? html`<${Dialog} title=${asking.summary} close=${() => setAsking(null)}>
      <p>This is about <strong>${object.name || object.id}</strong>.</p>
      <${ActionForm} name=${asking.name} fixed=${{ [asking.positional]: object.id }} without=${["id"]} submit=${`${asking.path.at(-1)} it`} cancel=${() => setAsking(null)}
        done=${(answer) => { setAsking(null); after?.(answer, asking); }} /></${Dialog}>` : null}
  </div>`;
}

/** The lines of any of these actions, one at a time. */
function LinesOf({ rows, object }) {
  const [name, setName] = useState(rows[0]?.name);
  const row = rows.find((one) => one.name === name) || rows[0];
  if (!row) return null;
  return html`<${Lines} inline row=${row} parameters=${{ [row.positional]: object.name || object.id }}
    choice=${html`<select class="small" aria-label="Action to copy" value=${row.name} onChange=${(event) => setName(event.target.value)}>${rows.map((one) => html`<option value=${one.name}>${one.path.at(-1)}</option>`)}</select>`} />`;
}

function actionsOn(noun) {
  return theTable().actions.filter((row) => row.path[0] === noun && row.changes && row.positional && row.path.at(-1) !== "create" && row.built);
}

/** Why the role of who uses the page does not do for an action; null where it does, or is not known. */
export function lacks(row, roles) {
  if (!row.needs || !roles || row.roles.some((role) => roles.includes(role))) return null;
  return `'${row.path.at(-1)}' needs the role ${row.needs}; ${roles.length ? `yours is ${roles.join(", ")}` : "you have none"}.`;
}

/** Why an action is not possible in the object's present state; null when it is. */
export function whyNot(row, object, net) {
  const state = row.within.length ? object.status : object.state;
  if (!state || !(row.within.length || (row.move && net))) return null;
  const states = row.within.length ? row.within : net.moves.filter((move) => move.event === row.move).map((move) => move.from);
  if (states.includes(state)) return null;
  return `'${row.path.at(-1)}' is possible in ${states.join(", ")}; this is ${state}.`;
}
