// The query box: what is typed is a question in the query language; fields and values are completed from the catalogue.
import { html, useEffect, useRef, useState } from "./parts.js";
import { call, theTable } from "./api.js";

const WORD = /[^\s()]*$/;

/** The word at the caret, and what it is: a field that is begun, or a value of one. */
export function atCaret(text, caret) {
  const word = WORD.exec(text.slice(0, caret))[0];
  const found = /^(-?)([\w.]+)(:|>=|<=|>|<|=)(.*)$/.exec(word);
  if (found) return { kind: "value", field: found[2], begun: found[4], from: caret - found[4].length };
  const bare = word.replace(/^-/, "");
  return { kind: "field", begun: bare, from: caret - bare.length };
}

const FORMS = [
  ["owner:darren", "a field or a tag that is this"], ["owner:ann,darren", "or one of these"], ["-owner:darren", "and not this"], ["owner:*", "whatever it is, it has one"],
  ["name:*.csv", "a text with anything for * and one character for ?"], ['lab:"North York"', "in quotes where there are spaces"], ["size>1GB", "also <, >= and <="],
  ["modified_at>=2026-01-01", "times: a date, or a date and a time"], ["(topic:mri OR topic:eeg)", "one of them; what stands side by side must all hold"],
  ['name~"^scan_[0-9]+"', "a regular expression"], ["weather", "somewhere in the name or the path"], ['{"owner": {"$in": ["ann", "darren"]}}', "the same as JSON"],
];

/** The query language on one look, folded away. */
export function Language() {
  return html`<details class="language"><summary>How to ask</summary><dl>${FORMS.map(([form, meaning]) => html`<div><dt><code>${form}</code></dt><dd>${meaning}</dd></div>`)}</dl></details>`;
}

let boxes = 0;

/** A text field for a query. `fields` are the names to complete when the query is over a closed class. */
export function QueryBox({ id, value, onInput, fields, placeholder = "owner:darren size>1GB", rows = 1, ...rest }) {
  const box = useRef(null), number = useRef(null), [offers, setOffers] = useState([]), [at, setAt] = useState(-1), asked = useRef(null);
  number.current ??= (boxes += 1);
  const listId = `query-offers-${number.current}`;
  const offer = async () => {
    const element = box.current;
    if (!element || document.activeElement !== element || /^\s*[{]/.test(element.value)) { setOffers([]); return; }
    const place = atCaret(element.value, element.selectionStart);
    asked.current?.abort();
    const mine = (asked.current = new AbortController());
    let found = [];
    if (fields) {
      found = place.kind === "field" ? fields.filter((name) => name.startsWith(place.begun)).map((name) => ({ text: `${name}:`, about: "" })) : [];
    } else if (takesCompletion()) {
      try {
        const answer = await call("fmdm.query", { complete: { [place.kind === "field" ? "field" : "value"]: place.begun, ...(place.kind === "value" ? { of: place.field } : {}) }, limit: 1 }, { signal: mine.signal, tries: 1 });
        found = (answer.completions || []).map((item) => ({
          text: place.kind === "field" ? `${item.text}:` : quoted(item.text), about: item.count === undefined || item.count === null ? "" : `${item.count}` }));
      } catch { found = []; }
    }
    if (mine.signal.aborted) return;
    setOffers(found.slice(0, 8).filter((item) => item.text !== place.begun).map((item) => ({ ...item, ...place })));
    setAt(-1);
  };
  const take = (item) => {
    const element = box.current, caret = element.selectionStart;
    const text = element.value.slice(0, item.from) + item.text + (item.kind === "value" ? " " : "") + element.value.slice(caret).replace(/^ /, item.kind === "value" ? "" : " ");
    onInput(text);
    setOffers([]);
    requestAnimationFrame(() => {
      element.focus();
      const end = item.from + item.text.length + (item.kind === "value" ? 1 : 0);
      element.setSelectionRange(end, end);
      offer();
    });
  };
  const key = (event) => {
    if (!offers.length) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setAt((before) => (before + (event.key === "ArrowDown" ? 1 : offers.length) + (before < 0 && event.key === "ArrowUp" ? 0 : 0)) % offers.length);
    } else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) {
      event.preventDefault();
      take(offers[at]);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      setOffers([]);
    }
  };
  const timer = useRef(null);
  const typed = (event) => {
    onInput(event.target.value);
    clearTimeout(timer.current);
    timer.current = setTimeout(offer, 120);
  };
  useEffect(() => () => { clearTimeout(timer.current); asked.current?.abort(); }, []);
  return html`<div class="query-box">
    <input ...${rest} id=${id} ref=${box} type="text" class="mono" role="combobox" aria-autocomplete="list" aria-expanded=${offers.length ? "true" : "false"} aria-controls=${listId}
      aria-activedescendant=${at >= 0 ? `${listId}-${at}` : undefined} autocomplete="off" autocapitalize="off" spellcheck="false" value=${value} placeholder=${placeholder}
      onInput=${typed} onKeyDown=${key} onBlur=${() => setTimeout(() => setOffers([]), 150)} onFocus=${() => { if (value) offer(); }} />
    <ul class="offers" id=${listId} role="listbox" aria-label="Completions" hidden=${!offers.length}>
      ${offers.map((item, index) => html`<li id=${`${listId}-${index}`} role="option" aria-selected=${index === at ? "true" : "false"}
        onMouseDown=${(event) => { event.preventDefault(); take(item); }}><code>${item.text}</code><small>${item.about}</small></li>`)}
    </ul></div>`;
}

function quoted(text) { return /^[^\s"'():<>=]+$/.test(String(text)) ? String(text) : JSON.stringify(String(text)); }

function takesCompletion() { return theTable().byName["fmdm.query"]?.parameters.some((field) => field.name === "complete"); }
