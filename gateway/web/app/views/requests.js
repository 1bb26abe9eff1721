// The list of requests, live; and one request with everything that is known of it.
import { html, useState, useSettled, useTick, State, When, Ref, Refusal, Empty } from "../parts.js";
import { useRows, Rows } from "../list.js";
import { QueryBox } from "../query.js";
import { theTable } from "../api.js";
import { cost, count, query as shownQuery } from "../format.js";
import { keep, to } from "../router.js";
import { Lines } from "../forms.js";
import { action } from "../api.js";
import { addressOf } from "../parts.js";
import Request from "./request.js";

const COLUMNS = {
  name: { title: "Name", width: "minmax(10rem, 2fr)", cell: (item) => html`<a href=${addressOf("datarequest", item)}>${item.name}</a>` },
  state: { title: "State", width: "10.5rem", cell: (item) => html`<${State} of=${item.state} />${item.blocked_by ? html` <${State} of="waiting" />` : null}` },
  query: { title: "Question", width: "minmax(10rem, 3fr)", cell: (item) => html`<code>${shownQuery(item.query)}</code>` },
  message: { below: true, title: "Where it stands", width: "minmax(12rem, 3fr)", cell: (item) => item.message },
  instances: { title: "Instances", width: "5.5rem", number: true, cell: (item) => count(item.instances) },
  cost: { title: "Cost", width: "5rem", number: true, cell: (item) => cost(item.cost) },
  target: { title: "Target", width: "8rem", cell: (item) => item.target || "–" },
  data_reference: { title: "Reference", width: "8rem", cell: (item) => html`<${Ref} noun="datareference" to=${item.data_reference} />` },
  attempt: { title: "Attempt", width: "4.5rem", number: true, cell: (item) => item.attempt },
  owner: { title: "Owner", width: "7rem", cell: (item) => item.owner },
  created_at: { title: "Created", width: "7rem", cell: (item) => html`<${When} at=${item.created_at} />` },
  updated_at: { below: "short", title: "Changed", width: "7rem", cell: (item) => html`<${When} at=${item.updated_at} />` },
};
const USUAL = "name,state,query,message,instances,updated_at";

export default function Requests({ parts, query }) {
  return parts.length ? html`<${Request} id=${parts[0]} key=${parts[0]} query=${query} />` : html`<${RequestList} query=${query} />`;
}

function RequestList({ query }) {
  useTick();
  const typed = query.q || "";
  const settled = useSettled(typed, 8);
  const states = (query.state || "").split(",").filter(Boolean);
  const asked = { attr1: combined(settled, states), sort: query.sort || "-created_at" };
  const rows = useRows("do.datarequest.list", asked, "datarequest");
  const columns = (query.columns || USUAL).split(",").filter((name) => COLUMNS[name]).map((name) => ({ name, ...COLUMNS[name] }));
  const fields = theTable().objects.datarequest.attributes.map((attribute) => attribute.name);
  const empty = typed || states.length ? html`<${Empty} title="Nothing matches"><p>No request is like this. <button type="button" class="link" onClick=${() => keep({ q: null, state: null })}>Show all</button></p></${Empty}>`
    : html`<${Empty} title="No request yet"><p>Say what data you need, and it is found, checked and made available.</p><p><a role="button" href="/web/new">New request</a></p></${Empty}>`;
  return html`<div class="title"><h1>Requests</h1><a role="button" class="small" href="/web/new">New request</a></div>
    <form class="filters" aria-label="Search" onSubmit=${(event) => event.preventDefault()}>
      <label for="search">Search in the query language</label>
      <${QueryBox} id="search" fields=${fields} value=${typed} onInput=${(value) => keep({ q: value })} placeholder="state:Failed name:scan*" />
      <div class="chips" role="toolbar" aria-label="States">${theTable().nets.datarequest.states.map((state) => html`
        <button type="button" class="chip" aria-pressed=${states.includes(state) ? "true" : "false"}
          onClick=${() => keep({ state: (states.includes(state) ? states.filter((name) => name !== state) : [...states, state]).join(",") })}>${state}</button>`)}
      </div>
      <details class="columns-choice"><summary>Columns</summary><div class="chips" role="toolbar" aria-label="Columns">${Object.entries(COLUMNS).map(([name, column]) => {
        const shown = columns.some((item) => item.name === name);
        return html`<button type="button" class="chip" aria-pressed=${shown ? "true" : "false"} onClick=${() => keep({
          columns: Object.keys(COLUMNS).filter((other) => (other === name ? !shown : columns.some((item) => item.name === other))).join(",") })}>${column.title}</button>`;
      })}</div></details>
    </form>
    <${Rows} rows=${rows} columns=${columns} label="Requests" empty=${empty} />
    <${Lines} row=${action("do.datarequest.list")} parameters=${asked} />`;
}

/** A question that is typed and states that are pressed, as one query. */
export function combined(typed, states) {
  const text = typed.trim();
  if (!states.length) return text || undefined;
  const clause = { state: { $in: states } };
  if (!text) return JSON.stringify(clause);
  if (text.startsWith("{")) {
    try { return JSON.stringify({ $and: [JSON.parse(text), clause] }); } catch { return text; }
  }
  return `(${text}) state:${states.join(",")}`;
}
