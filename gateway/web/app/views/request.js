// One request: where it stands and why, what it can be told, what was decided, and its instances as they come.
import { html, useState, useAnswer, useSettled, useTick, about, State, When, Ref, Refusal, Fact, Command, Bytes, Loading, addressOf } from "../parts.js";
import { theTable, action } from "../api.js";
import { Net } from "../net.js";
import { Buttons, Lines } from "../forms.js";
import { Funnel, Hints, Decision, Timeline, Warnings, WhyNot } from "../explain.js";
import { useRows, Rows } from "../list.js";
import { cost, count, number, date, query as shownQuery } from "../format.js";
import { go, to } from "../router.js";

export default function Request({ id }) {
  useTick();
  const shown = useAnswer("do.datarequest.show", { id }, { again: (message) => about("datarequest", id)(message) || about("datarequest", shown.data?.id)(message) });
  const request = shown.data;
  if (!request) return shown.error ? html`<h1>Request</h1><${Refusal} error=${shown.error} retry=${shown.reload} /><p><a href="/web/requests">All requests</a></p>` : html`<${Loading} />`;
  const net = theTable().nets.datarequest;
  const unstick = request.blocked_by?.unstick || [];
  return html`<div class="title"><h1>${request.name}</h1><${State} of=${request.state} />${request.blocked_by ? html`<${State} of="waiting" />` : null}</div>
    <p class="sentence" role="status">${request.message || "Nothing has happened yet."}</p>
    <${Refusal} error=${shown.error} />
    <${Buttons} noun="datarequest" object=${request} net=${net} after=${(answer, row) => (row.path.at(-1) === "destroy" ? go(to(["requests"])) : shown.reload())} />
    ${unstick.length ? html`<section><h2>What would help</h2>${unstick.map((line) => html`<${Command} text=${line} />`)}
      ${request.blocked_by.next_retry_at ? html`<p class="faint">It tries again <${When} at=${request.blocked_by.next_retry_at} /> ${said(request.blocked_by)}.</p>` : null}</section>` : null}
    <section aria-label="State net"><${Net} net=${net} state=${request.state} label=${`The request ${request.name}`} /></section>
    <dl class="facts">
      <${Fact} name="Question"><code>${shownQuery(request.query)}</code></${Fact}>
      <${Fact} name="Attempt">${request.attempt}</${Fact}><${Fact} name="Cost">${cost(request.cost)}</${Fact}>
      <${Fact} name="Reservations"><a href=${to(["reservations"], { request: request.id })}>${number(count(request.reservations))}</a></${Fact}>
      <${Fact} name="Instances"><a href=${to(["instances"], { request: request.id })}>${number(count(request.instances))}</a></${Fact}>
      ${request.target ? html`<${Fact} name="Target"><${Ref} noun="datasource" to=${request.target} /></${Fact}>` : null}
      ${request.data_reference ? html`<${Fact} name="Reference"><${Ref} noun="datareference" to=${request.data_reference} /></${Fact}>` : null}
      ${request.workload ? html`<${Fact} name="Workload">${request.workload}</${Fact}>` : null}
      ${request.deadline ? html`<${Fact} name="Deadline">${date(request.deadline)}</${Fact}>` : null}
      ${request.expires_at ? html`<${Fact} name="Lifetime ends"><${When} at=${request.expires_at} /></${Fact}>` : null}
      <${Fact} name="Created"><${When} at=${request.created_at} /></${Fact}><${Fact} name="Owner">${request.owner}</${Fact}>
    </dl>
    <${Instances} request=${request} />
    <${Why} request=${request} />
    <${Lines} row=${action("do.datarequest.show")} parameters=${{ id: request.name }} />`;
}

/** How often it was tried again, and its place in line, in parentheses; nothing where there is neither. */
function said({ retries, position }) {
  const facts = [retries ? `tried again ${retries === 1 ? "once" : `${retries} times`}` : "", position ? `position ${position} in the queue` : ""].filter(Boolean);
  return facts.length ? ` (${facts.join(", ")})` : "";
}

function Instances({ request }) {
  const rows = useRows("do.datainstance.list", { request: request.id, sort: "name" }, "datainstance");
  const [state, setState] = useState(request.state);
  if (state !== request.state) { setState(request.state); rows.refresh(); }
  if (!rows.items.length) return null;
  const columns = [
    { name: "name", title: "Instance", width: "minmax(9rem, 2fr)", cell: (item) => html`<a href=${addressOf("datainstance", item)}>${item.name}</a>` },
    { name: "state", title: "State", width: "8rem", cell: (item) => html`<${State} of=${item.state} />` },
    { name: "bytes", below: "short", title: "Bytes", width: "minmax(8rem, 1fr)", cell: (item) => html`<${Bytes} done=${item.bytes_done} total=${item.bytes_total} state=${item.state} />` },
    { name: "path", below: true, title: "Where", width: "minmax(12rem, 4fr)", cell: (item) => html`<code>${item.access?.[0]?.path || item.access?.[0]?.uri || "–"}</code>` },
  ];
  return html`<section><h2>Instances</h2><${Rows} rows=${rows} columns=${columns} label="Instances of this request" tall=${300} /></section>`;
}

function Why({ request }) {
  const [data, setData] = useState(""), asked = useSettled(data.trim(), 400);
  const explained = useAnswer("do.datarequest.explain", { id: request.id, why_not: asked || undefined }, { again: about("datarequest", request.id), pause_ms: 600 });
  const frame = explained.data;
  if (!frame) return explained.error && !asked ? html`<${Refusal} error=${explained.error} retry=${explained.reload} />` : html`<${Loading} what="Asking why" />`;
  const decided = frame.items;
  return html`<section><h2>Why</h2><p class="sentence">${frame.sentence}</p><${Warnings} warnings=${frame.warnings} />
      ${frame.funnel ? html`<h3>What the question left</h3><${Funnel} funnel=${frame.funnel} />` : null}
      <${Hints} hints=${frame.hints} use=${frame.request.group ? null : (line) => go(to(["new"], { q: line }))} />
      ${decided.length ? html`<h3>What was decided</h3>${decided.map((item) => html`<details class="reservation" key=${item.reservation.id}>
        <summary><${State} of=${item.reservation.state} /> ${item.reservation.name} <span class="faint">at</span> ${item.source?.name} <span class="faint">→</span> ${item.action || "undecided"}${item.target ? ` to ${item.target.name}` : ""} ${item.reservation.state === "Rejected" ? null : html`<span class="number">${cost(item.cost)}</span>`}${item.status === "standby" ? html` <${State} of="standby" />` : null}</summary>
        <${Decision} decision=${item.decision} action=${item.action} costs=${item.cost_parts} /></details>`)}
        ${frame.next ? html`<p><a href=${to(["reservations"], { request: request.id })}>All ${number(frame.total)} reservations</a></p>` : null}` : null}
      <div class="field"><label for="why-not">Why is this Data not used?</label><input id="why-not" value=${data} onInput=${(event) => setData(event.target.value)} placeholder="a name, a path or an id" autocomplete="off" /></div>
      <div aria-live="polite">${asked ? explained.error ? html`<${Refusal} error=${explained.error} />` : html`<${WhyNot} found=${frame.why_not} />` : null}</div>
      <h3>Timeline</h3><${Timeline} steps=${frame.timeline} />
      ${frame.attempts?.length > 1 ? html`<p class="faint">Attempts: ${frame.attempts.map((one) => `${one.attempt} (${one.state}${one.reason?.code ? `, ${one.reason.code}` : ""})`).join(", ")}</p>` : null}
      ${frame.permalink ? html`<p class="faint"><a href=${frame.permalink}>This frame as JSON</a>, at an address that keeps it.</p>` : null}</section>`;
}
