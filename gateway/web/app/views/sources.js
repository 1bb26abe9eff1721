// Sources: the places that hold data, how full they are, what their scans found, and what is in them.
import { html, useAnswer, useTick, about, State, When, Refusal, Empty, Fact, Bar, Loading, addressOf } from "../parts.js";
import { useRows, Rows } from "../list.js";
import { theTable } from "../api.js";
import { Net } from "../net.js";
import { ActionForm, Buttons, Dialog } from "../forms.js";
import { bytes, number } from "../format.js";
import { go, keep, to } from "../router.js";
import { DataRows } from "./data.js";

export default function Sources({ parts, query }) {
  return parts.length ? html`<${Source} id=${parts[0]} key=${parts[0]} query=${query} />` : html`<${SourceList} query=${query} />`;
}

function Room({ source, kind }) {
  const most = source.capacity?.[kind], used = source.used?.[kind] || 0;
  const shown = kind === "bytes" ? bytes : number;
  if (most === null || most === undefined) return html`<span class="number">${shown(used)} used</span>`;
  return html`<${Bar} done=${used} total=${most} label=${`${shown(used)} of ${shown(most)}`} />`;
}

const scanning = (source) => ["running", "waiting"].includes(source.scan?.state);

const COLUMNS = [
  { name: "name", title: "Name", width: "minmax(9rem, 2fr)", cell: (item) => html`<a href=${addressOf("datasource", item)}>${item.name}</a>` },
  { name: "state", title: "State", width: "7rem", cell: (item) => html`<${State} of=${item.state} />` },
  { name: "adaptor", title: "Kind", width: "6rem", cell: (item) => item.adaptor },
  { name: "data", below: "short", title: "Data", width: "6rem", number: true, cell: (item) => html`<a href=${to(["data"], { source: item.id })}>${number(item.data_count)}</a>` },
  { name: "size", title: "Size", width: "6rem", number: true, cell: (item) => bytes(item.data_bytes) },
  { name: "readers", title: "Readers", width: "minmax(8rem, 1fr)", cell: (item) => html`<${Room} source=${item} kind="readers" />` },
  { name: "bytes", title: "Room", width: "minmax(9rem, 1fr)", cell: (item) => html`<${Room} source=${item} kind="bytes" />` },
  { name: "scan", below: true, title: "Newest scan", width: "minmax(10rem, 2fr)", cell: (item) => (item.scan ? html`${scanning(item) ? html`<${State} of="running" /> ` : null}${item.scan.message || item.scan.state}` : "–") },
];

function SourceList({ query }) {
  useTick();
  const rows = useRows("fmdm.datasource.list", { sort: "name" }, "datasource");
  return html`<div class="title"><h1>Sources</h1><span class="buttons"><button type="button" class="small" onClick=${() => keep({ new: 1 })}>Register a source</button>
      <button type="button" class="small secondary" onClick=${() => keep({ new: "simulated" })}>Simulate one</button></span></div>
    <${Rows} rows=${rows} columns=${COLUMNS} label="Sources" empty=${html`<${Empty} title="No source yet"><p>A source is a place that holds data: a folder, a web server, an object store. Register one, and what is in it can be asked for.</p></${Empty}>`} />
    ${query.new ? html`<${Dialog} title=${query.new === "simulated" ? "Simulate a source" : "Register a source"} close=${() => keep({ new: null })}>
      ${query.new === "simulated" ? html`<${ActionForm} name="fmdm.datasource.simulate" first=${["name", "listing"]} wait=${5} submit="Simulate it" cancel=${() => keep({ new: null })} done=${(made) => go(addressOf("datasource", made))} />`
        : html`<${ActionForm} name="fmdm.datasource.create" start=${{ adaptor: "file", parameters: { rootdir: "" } }} first=${["name", "adaptor", "parameters"]} wait=${5} submit="Register it" cancel=${() => keep({ new: null })} done=${(made) => go(addressOf("datasource", made))} />`}</${Dialog}>` : null}`;
}

function Source({ id, query }) {
  useTick();
  const shown = useAnswer("fmdm.datasource.show", { id }, { again: (message) => about("datasource", id)(message) || about("datasource", shown.data?.id)(message) });
  const source = shown.data;
  if (!source) return shown.error ? html`<h1>Source</h1><${Refusal} error=${shown.error} retry=${shown.reload} />` : html`<${Loading} />`;
  const net = theTable().nets.datasource, scan = source.scan;
  return html`<div class="title"><h1>${source.name}</h1><${State} of=${source.state} /></div>
    <${Buttons} noun="datasource" object=${source} net=${net} after=${(_, row) => (row.path.at(-1) === "destroy" ? go(to(["sources"])) : shown.reload())} />
    <section aria-label="State net"><${Net} net=${net} state=${source.state} label=${`The source ${source.name}`} /></section>
    <dl class="facts"><${Fact} name="Kind">${source.adaptor}</${Fact}><${Fact} name="Data">${number(source.data_count)}, ${bytes(source.data_bytes)}</${Fact}>
      <${Fact} name="Readers"><${Room} source=${source} kind="readers" /></${Fact}><${Fact} name="Room"><${Room} source=${source} kind="bytes" /></${Fact}>
      ${source.location ? html`<${Fact} name="Location">${source.location}</${Fact}>` : null}
      <${Fact} name="Parameters" long><code>${JSON.stringify(source.parameters)}</code></${Fact}>
      ${Object.keys(source.cost || {}).length ? html`<${Fact} name="Prices"><code>${JSON.stringify(source.cost)}</code></${Fact}>` : null}</dl>
    ${scan ? html`<section><h2>Newest scan</h2><p>${scanning(source) ? html`<${Bar} done=${0} total=${null} label=${`${number(scan.files)} found so far, ${bytes(scan.bytes)}`} />` : scan.message} <span class="faint"><${When} at=${scan.ended_at || scan.started_at} /></span></p>
      ${scan.problems?.length ? html`<details><summary>${number(scan.problem_count ?? scan.problems.length)} could not be used</summary><ul class="plain">${scan.problems.map((problem) => html`<li><code>${problem.path}</code> ${problem.detail}</li>`)}</ul></details>` : null}</section>` : null}
    <h2>What is in it</h2><${DataRows} query=${query} fixed=${{ source: source.id }} />`;
}
