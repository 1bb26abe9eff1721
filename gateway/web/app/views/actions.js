// Every action of the product, with its form, its answer and the lines to copy. Made from the table alone.
import { html, useState, Empty } from "../parts.js";
import { theTable } from "../api.js";
import { ActionForm, Dialog } from "../forms.js";
import { keep, to } from "../router.js";

export default function Actions({ parts, query }) {
  const row = theTable().byName[parts[0]];
  return row ? html`<${One} row=${row} key=${row.name} />` : html`<${All} query=${query} />`;
}

function All({ query }) {
  const wanted = (query.q || "").toLowerCase();
  const rows = theTable().actions.filter((row) => `${row.words.join(" ")} ${row.summary}`.toLowerCase().includes(wanted));
  return html`<h1>All actions</h1><p class="faint">The same on the page, over HTTP, on the command line, in JavaScript and Python.</p>
    <form class="filters" aria-label="Search" onSubmit=${(event) => event.preventDefault()}><label for="search">Find an action</label><input id="search" value=${query.q || ""} onInput=${(event) => keep({ q: event.target.value })} placeholder="cancel" /></form>
    ${rows.length ? html`<ul class="cards dense">${rows.map((row) => html`<li key=${row.name}><p><a href=${to(["actions", row.name])}><code>${row.words.slice(2).join(" ")}</code></a>${row.built ? null : html` <span class="faint">not built yet</span>`}</p><p>${row.summary}</p></li>`)}</ul>` : html`<${Empty} title="No such action" />`}`;
}

function One({ row }) {
  const [answer, setAnswer] = useState(undefined), [sure, setSure] = useState(!row.confirm), [wait, setWait] = useState("");
  if (row.answer === "stream" || row.answer === "content") {
    return html`<h1>${row.path.join(" ")}</h1><p>${row.summary}</p><p><a href=${row.answer === "stream" ? "/web/events" : "/web/instances"}>The page shows this here</a>; its address is <code>${row.address}</code>.</p>`;
  }
  return html`<div class="title"><h1>${row.path.join(" ")}</h1><a href="/web/actions">All actions</a></div><p>${row.summary}</p>
    ${row.waits && sure ? html`<div class="field"><label for="wait-s">Seconds to wait for the end</label><input id="wait-s" type="text" inputmode="numeric" value=${wait} onInput=${(event) => setWait(event.target.value)} />
      <small>Without it the answer comes as soon as the work has begun, or after the usual wait of this action.</small></div>` : null}
    ${sure ? html`<${ActionForm} name=${row.name} wait=${/^\d+$/.test(wait) ? Number(wait) : undefined} begun=${() => setAnswer(undefined)} done=${setAnswer} submit=${row.changes ? "Do it" : "Ask"} />`
      : html`<p>This cannot be taken back by itself. <button type="button" class="small secondary" onClick=${() => setSure(true)}>Show the form</button></p>`}
    ${answer !== undefined ? html`<section aria-live="polite"><h2>Answer</h2><pre class="scroll" tabindex="0">${JSON.stringify(answer, null, 2)}</pre></section>` : null}`;
}
