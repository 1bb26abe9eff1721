// Data: what the catalogue knows, to browse and to search.
import { html, useAnswer, useTick, useSettled, State, When, Ref, Refusal, Empty, Fact, Loading, addressOf } from "../parts.js";
import { useRows, Rows } from "../list.js";
import { action } from "../api.js";
import { QueryBox } from "../query.js";
import { Lines, Buttons } from "../forms.js";
import { bytes } from "../format.js";
import { keep, to } from "../router.js";

const COLUMNS = [
  { name: "path", title: "Path", width: "minmax(12rem, 3fr)", cell: (item) => html`<a href=${addressOf("data", item)}>${item.path}</a>` },
  { name: "size", title: "Size", width: "6rem", number: true, cell: (item) => bytes(item.size) },
  { name: "type", below: true, title: "Type", width: "minmax(7rem, 1fr)", cell: (item) => item.media_type || item.type },
  { name: "source", below: true, title: "Source", width: "minmax(6rem, 1fr)", cell: (item) => html`<${Ref} noun="datasource" to=${item.source} />` },
  { name: "tags", title: "Tags", width: "minmax(10rem, 3fr)", cell: (item) => html`<span class="tags">${Object.entries(item.tags || {}).slice(0, 6).map(([key, value]) => html`<code>${key}:${typeof value === "object" ? JSON.stringify(value) : String(value)}</code> `)}</span>` },
  { name: "modified", title: "Modified", width: "7rem", cell: (item) => html`<${When} at=${item.modified_at} />` },
];

export default function Data({ parts, query }) {
  return parts.length ? html`<${One} id=${parts[0]} key=${parts[0]} />` : html`<h1>Data</h1><${DataRows} query=${query} fixed=${query.source ? { source: query.source } : {}} />`;
}

export function DataRows({ query, fixed }) {
  const typed = query.q || "";
  const settled = useSettled(typed, 60);
  const asked = { ...fixed, attr1: settled || undefined };
  const rows = useRows("fmdm.data.list", asked, "data");
  return html`<form class="filters" aria-label="Search" onSubmit=${(event) => event.preventDefault()}><label for="search">Search in the query language</label>
      <${QueryBox} id="search" value=${typed} onInput=${(value) => keep({ q: value })} /></form>
    <${Rows} rows=${rows} columns=${COLUMNS} label="Data" empty=${html`<${Empty} title="No data here"><p>${typed ? "Nothing matches this question." : "Register a source, and what it holds appears here."}</p></${Empty}>`} />
    ${typed ? html`<p><a role="button" class="small" href=${to(["new"], { q: typed })}>Ask for these</a></p>` : null}
    <${Lines} row=${action("fmdm.data.list")} parameters=${asked} />`;
}

function One({ id }) {
  useTick();
  const shown = useAnswer("fmdm.data.show", { id });
  const item = shown.data;
  if (!item) return shown.error ? html`<h1>Data</h1><${Refusal} error=${shown.error} retry=${shown.reload} />` : html`<${Loading} />`;
  const question = `source:${item.source?.name} path:"${item.path}"`;
  return html`<h1>${item.name}</h1><${Buttons} noun="data" object=${item} after=${shown.reload} />
    <dl class="facts"><${Fact} name="Path"><code>${item.path}</code></${Fact}><${Fact} name="Source"><${Ref} noun="datasource" to=${item.source} /></${Fact}>
      <${Fact} name="Size">${bytes(item.size)}</${Fact}><${Fact} name="Kind">${item.media_type || item.type}</${Fact}><${Fact} name="Modified"><${When} at=${item.modified_at} /></${Fact}>
      <${Fact} name="Checksum"><code>${item.checksum || "not known"}</code></${Fact}><${Fact} name="Address"><code>${item.uri || "–"}</code></${Fact}></dl>
    <h2>Tags</h2>${Object.keys(item.tags || {}).length ? html`<dl class="facts">${Object.entries(item.tags).map(([key, value]) => html`<${Fact} name=${key}><code>${typeof value === "object" ? JSON.stringify(value) : String(value)}</code></${Fact}>`)}</dl>` : html`<p class="faint">None.</p>`}
    <p><a role="button" class="small" href=${to(["new"], { q: question })}>Ask for this</a></p>`;
}
