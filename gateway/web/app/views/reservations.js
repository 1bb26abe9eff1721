// Reservations: which data each request claims, what was decided of it, and what that costs.
import { html, useAnswer, useTick, about, State, Ref, When, Refusal, Fact, Empty, Loading, addressOf } from "../parts.js";
import { useRows, Rows } from "../list.js";
import { theTable } from "../api.js";
import { Net } from "../net.js";
import { Buttons } from "../forms.js";
import { Decision } from "../explain.js";
import { cost } from "../format.js";
import { keep } from "../router.js";

const COLUMNS = [
  { name: "data", title: "Data", width: "minmax(10rem, 2fr)", cell: (item) => html`<a href=${addressOf("datareservation", item)}>${item.name}</a>` },
  { name: "state", title: "State", width: "8rem", cell: (item) => html`<${State} of=${item.state} />${item.standby ? html` <${State} of="standby" />` : null}` },
  { name: "request", below: true, title: "Request", width: "minmax(8rem, 1fr)", cell: (item) => html`<${Ref} noun="datarequest" to=${item.request} />` },
  { name: "source", title: "Source", width: "minmax(7rem, 1fr)", cell: (item) => html`<${Ref} noun="datasource" to=${item.source} />` },
  { name: "action", below: "short", title: "Action", width: "5.5rem", cell: (item) => item.action || "–" },
  { name: "target", title: "Target", width: "minmax(6rem, 1fr)", cell: (item) => html`<${Ref} noun="datasource" to=${item.target} />` },
  { name: "rule", title: "Rule", width: "minmax(6rem, 1fr)", cell: (item) => html`<code>${item.rule || "–"}</code>` },
  { name: "cost", title: "Cost", width: "5rem", number: true, cell: (item) => cost(item.cost) },
];

export default function Reservations({ parts, query }) {
  return parts.length ? html`<${Reservation} id=${parts[0]} key=${parts[0]} />` : html`<${ReservationList} query=${query} />`;
}

function ReservationList({ query }) {
  const rows = useRows("do.datareservation.list", { request: query.request, source: query.source, state: query.state, sort: "-created_at" }, "datareservation");
  return html`<h1>Reservations</h1>
    ${query.request ? html`<p>Of one request. <button type="button" class="link" onClick=${() => keep({ request: null })}>Show all</button></p>` : null}
    <${Rows} rows=${rows} columns=${COLUMNS} label="Reservations" empty=${html`<${Empty} title="No reservation"><p>A request reserves the data that match it. <a href="/web/new">Ask for some</a>.</p></${Empty}>`} />`;
}

function Reservation({ id }) {
  useTick();
  const shown = useAnswer("do.datareservation.show", { id }, { again: about("datareservation", id) });
  const item = shown.data;
  if (!item) return shown.error ? html`<h1>Reservation</h1><${Refusal} error=${shown.error} />` : html`<${Loading} />`;
  const net = theTable().nets.datareservation;
  return html`<div class="title"><h1>${item.name}</h1><${State} of=${item.state} /></div>
    ${item.reason ? html`<p class="sentence">${item.reason.because || item.reason.code}</p>` : null}
    <${Buttons} noun="datareservation" object=${item} net=${net} after=${shown.reload} />
    <section aria-label="State net"><${Net} net=${net} state=${item.state} label="The reservation" /></section>
    <dl class="facts"><${Fact} name="Request"><${Ref} noun="datarequest" to=${item.request} /></${Fact}><${Fact} name="Data"><${Ref} noun="data" to=${item.data} /></${Fact}>
      <${Fact} name="Source"><${Ref} noun="datasource" to=${item.source} /></${Fact}><${Fact} name="Cost">${cost(item.cost)}</${Fact}>
      <${Fact} name="Claim ends"><${When} at=${item.expires_at} /></${Fact}></dl>
    <h2>What was decided</h2><${Decision} decision=${item.decision} action=${item.action} costs=${item.cost_parts} />`;
}
