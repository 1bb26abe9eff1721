// References: named descriptions of needed data, and what is provisioned from them.
import { html, useState, useAnswer, useTick, about, State, When, Ref, Refusal, Empty, Fact, Loading, addressOf } from "../parts.js";
import { useRows, Rows } from "../list.js";
import { theTable } from "../api.js";
import { Net } from "../net.js";
import { ActionForm, Buttons, Dialog } from "../forms.js";
import { count, number, query as shownQuery } from "../format.js";
import { go, keep, to } from "../router.js";

export default function References({ parts, query }) {
  return parts.length ? html`<${Reference} id=${parts[0]} key=${parts[0]} />` : html`<${ReferenceList} query=${query} />`;
}

const COLUMNS = [
  { name: "name", title: "Name", width: "minmax(10rem, 2fr)", cell: (item) => html`<a href=${addressOf("datareference", item)}>${item.name}</a>` },
  { name: "state", title: "State", width: "9rem", cell: (item) => html`<${State} of=${item.state} />` },
  { name: "query", below: true, title: "Question", width: "minmax(12rem, 4fr)", cell: (item) => html`<code>${shownQuery(item.query)}</code>` },
  { name: "instances", below: "short", title: "Instances", width: "5.5rem", number: true, cell: (item) => count(item.instances) },
  { name: "request", title: "Request", width: "minmax(8rem, 1fr)", cell: (item) => html`<${Ref} noun="datarequest" to=${item.request} />` },
  { name: "updated", title: "Changed", width: "7rem", cell: (item) => html`<${When} at=${item.updated_at} />` },
];

function ReferenceList({ query }) {
  useTick();
  const rows = useRows("do.datareference.list", { sort: "name" }, "datareference");
  return html`<div class="title"><h1>References</h1><button type="button" class="small" onClick=${() => keep({ new: 1 })}>New reference</button></div>
    <p class="faint">A reference describes needed data under a name, so that an application can ask for it again and again.</p>
    <${Rows} rows=${rows} columns=${COLUMNS} label="References" empty=${html`<${Empty} title="No reference yet"><p>Give a question a name, and provision its data whenever it is needed.</p></${Empty}>`} />
    ${query.new ? html`<${Dialog} title="New reference" close=${() => keep({ new: null })}><${ActionForm} name="do.datareference.create" cancel=${() => keep({ new: null })}
      done=${(made) => go(addressOf("datareference", made))} /></${Dialog}>` : null}`;
}

function Reference({ id }) {
  useTick();
  const shown = useAnswer("do.datareference.show", { id }, { again: (message) => about("datareference", id)(message) || about("datareference", shown.data?.id)(message) });
  const reference = shown.data;
  if (!reference) return shown.error ? html`<h1>Reference</h1><${Refusal} error=${shown.error} retry=${shown.reload} />` : html`<${Loading} />`;
  const net = theTable().nets.datareference;
  return html`<div class="title"><h1>${reference.name}</h1><${State} of=${reference.state} /></div>
    ${reference.reason ? html`<p class="sentence">${reference.reason.message || reference.reason.detail || html`Its data could not be made available: <code>${reference.reason.code}</code>. The request <${Ref} noun="datarequest" to=${reference.request} /> says why, and what would help.`}</p>` : null}
    <${Refusal} error=${shown.error} />
    <${Buttons} noun="datareference" object=${reference} net=${net} after=${(_, row) => (row.path.at(-1) === "destroy" ? go(to(["references"])) : shown.reload())} />
    <section aria-label="State net"><${Net} net=${net} state=${reference.state} label=${`The reference ${reference.name}`} /></section>
    <dl class="facts"><${Fact} name="Question"><code>${shownQuery(reference.query)}</code></${Fact}>
      <${Fact} name="Request"><${Ref} noun="datarequest" to=${reference.request} /></${Fact}>
      <${Fact} name="Instances"><a href=${to(["instances"], { reference: reference.id })}>${number(count(reference.instances))}</a></${Fact}>
      <${Fact} name="Defaults"><code>${JSON.stringify(reference.defaults || {})}</code></${Fact}>
      <${Fact} name="Created"><${When} at=${reference.created_at} /></${Fact}><${Fact} name="Owner">${reference.owner}</${Fact}></dl>`;
}
