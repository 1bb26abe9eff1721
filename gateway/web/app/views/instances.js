// Instances: data made usable. Where it is, how far it has come, and a look into it.
import { html, useState, useAnswer, useTick, about, State, When, Ref, Refusal, Empty, Fact, Bytes, Copy, Loading, addressOf } from "../parts.js";
import { useRows, Rows } from "../list.js";
import { theTable, contentAddress } from "../api.js";
import { Net } from "../net.js";
import { Buttons } from "../forms.js";
import { Preview, kindOf } from "../preview.js";
import { QueryBox } from "../query.js";
import { combined } from "./requests.js";
import { bytes, ref } from "../format.js";
import { keep } from "../router.js";

const COLUMNS = [
  { name: "name", title: "Name", width: "minmax(9rem, 2fr)", cell: (item) => html`<a href=${addressOf("datainstance", item)}>${item.name}</a>` },
  { name: "state", title: "State", width: "8rem", cell: (item) => html`<${State} of=${item.state} />` },
  { name: "bytes", below: "short", title: "Bytes", width: "minmax(8rem, 1fr)", cell: (item) => html`<${Bytes} done=${item.bytes_done} total=${item.bytes_total} state=${item.state} />` },
  { name: "action", title: "Action", width: "5.5rem", cell: (item) => item.access?.[0]?.action || "–" },
  { name: "source", title: "Source", width: "minmax(7rem, 1fr)", cell: (item) => html`<${Ref} noun="datasource" to=${item.source} />` },
  { name: "request", title: "Request", width: "minmax(7rem, 1fr)", cell: (item) => html`<${Ref} noun="datarequest" to=${item.request} />` },
  { name: "where", below: true, title: "Where", width: "minmax(12rem, 4fr)", cell: (item) => html`<code>${item.access?.[0]?.path || item.access?.[0]?.uri || "–"}</code>` },
  { name: "age", title: "Changed", width: "7rem", cell: (item) => html`<${When} at=${item.updated_at} />` },
];
const KEPT = ["request", "reference", "source", "workload"];

export default function Instances({ parts, query }) {
  return parts.length ? html`<${Instance} id=${parts[0]} key=${parts[0]} />` : html`<${InstanceList} query=${query} />`;
}

function InstanceList({ query }) {
  useTick();
  const states = (query.state || "").split(",").filter(Boolean);
  const asked = { attr1: combined(query.q || "", states), sort: "-created_at", ...Object.fromEntries(KEPT.map((name) => [name, query[name]])) };
  const rows = useRows("do.datainstance.list", asked, "datainstance");
  const only = KEPT.filter((name) => query[name]);
  return html`<h1>Instances</h1>
    <form class="filters" aria-label="Search" onSubmit=${(event) => event.preventDefault()}><label for="search">Search in the query language</label>
      <${QueryBox} id="search" fields=${theTable().objects.datainstance.attributes.map((attribute) => attribute.name)} value=${query.q || ""} onInput=${(value) => keep({ q: value })} placeholder="state:Ready bytes_total>1MB" />
      <div class="chips" role="toolbar" aria-label="States">${theTable().nets.datainstance.states.filter((state) => state !== "Init").map((state) => html`
        <button type="button" class="chip" aria-pressed=${states.includes(state) ? "true" : "false"} onClick=${() => keep({ state: (states.includes(state) ? states.filter((name) => name !== state) : [...states, state]).join(",") })}>${state}</button>`)}
        ${only.map((name) => html`<button type="button" class="chip" aria-pressed="true" onClick=${() => keep({ [name]: null })}>${name} ${query[name]} ×</button>`)}</div></form>
    <${Rows} rows=${rows} columns=${COLUMNS} label="Instances" empty=${html`<${Empty} title="No instance here"><p>Instances are what a request gives: data that can be opened. <a href="/web/new">Make a request</a>.</p></${Empty}>`} />`;
}

function Instance({ id }) {
  useTick();
  const shown = useAnswer("do.datainstance.show", { id }, { again: (message) => about("datainstance", id)(message) || about("datainstance", shown.data?.id)(message) });
  const instance = shown.data;
  const [open, setOpen] = useState(null);
  if (!instance) return shown.error ? html`<h1>Instance</h1><${Refusal} error=${shown.error} retry=${shown.reload} />` : html`<${Loading} />`;
  const net = theTable().nets.datainstance;
  const entries = Array.isArray(instance.access) ? instance.access : [];
  return html`<div class="title"><h1>${instance.name}</h1><${State} of=${instance.state} /></div>
    ${instance.reason ? html`<p class="sentence" role="status">${instance.reason.detail || instance.reason.code}</p>` : null}
    <${Buttons} noun="datainstance" object=${instance} net=${net} after=${shown.reload} />
    <section aria-label="State net"><${Net} net=${net} state=${instance.state} label=${`The instance ${instance.name}`} /></section>
    <dl class="facts"><${Fact} name="Bytes"><${Bytes} done=${instance.bytes_done} total=${instance.bytes_total} state=${instance.state} /></${Fact}>
      <${Fact} name="Source"><${Ref} noun="datasource" to=${instance.source} /></${Fact}><${Fact} name="Request"><${Ref} noun="datarequest" to=${instance.request} /></${Fact}>
      ${instance.reference ? html`<${Fact} name="Reference"><${Ref} noun="datareference" to=${instance.reference} /></${Fact}>` : null}
      ${instance.expires_at ? html`<${Fact} name="Ends"><${When} at=${instance.expires_at} /></${Fact}>` : null}
      ${instance.pinned ? html`<${Fact} name="Pinned">${typeof instance.pinned === "object" ? instance.pinned.reason || "yes" : "yes"}</${Fact}>` : null}
      <${Fact} name="Owner">${instance.owner}</${Fact}></dl>
    <h2>Data</h2>
    <ul class="cards">${entries.map((entry, at) => html`<li key=${ref(entry.data)}>
      <p><strong>${entry.name}</strong> <${State} of=${entry.state} /> ${bytes(entry.size)} <span class="faint">${entry.action}, verified by ${entry.verified || "nothing yet"}</span></p>
      ${entry.path || entry.uri ? html`<div class="command"><code>${entry.path || entry.uri}</code><${Copy} text=${entry.path || entry.uri} label="Copy path" /></div>` : null}
      ${entry.attempts?.length ? html`<p class="faint">Tried before: ${entry.attempts.map((attempt) => `${ref(attempt.source)} (${attempt.error?.code || attempt.error || ""})`).join(", ")}</p>` : null}
      ${instance.state === "Ready" && entry.verified !== "simulated" ? html`<p class="buttons"><a role="button" class="secondary small" href=${contentAddress(instance.id, entry.data?.id)} download=${entry.name}>Download</a>
        <button type="button" class="secondary small" aria-expanded=${open === at ? "true" : "false"} onClick=${() => setOpen(open === at ? null : at)}>${kindOf(entry) ? "Preview" : "What is it?"}</button></p>` : null}
      ${entry.verified === "simulated" ? html`<p class="faint">It lies in a simulated source and has no bytes.</p>` : null}
      ${open === at ? html`<${Preview} instance=${instance} entry=${entry} />` : null}</li>`)}</ul>`;
}
