// A new request: the question with its count as it is typed, what it would cost, then asked.
import { html, useState, useAnswer, useSettled, Refusal, Loading, Empty, Fact, State } from "../parts.js";
import { action } from "../api.js";
import { ActionForm } from "../forms.js";
import { Language, QueryBox } from "../query.js";
import { Funnel, Hints, Warnings, Decision } from "../explain.js";
import { number, bytes, cost, span } from "../format.js";
import { go, keep } from "../router.js";
import { addressOf } from "../parts.js";

export default function NewRequest({ query }) {
  const typed = query.q || "";
  const settled = useSettled(typed, 80);
  const found = useAnswer("fmdm.query", { expression: settled, limit: 5 }, { again: (message) => message.event.startsWith("data."), pause_ms: 1500 });
  const answer = found.data, lost = answer?.total === 0 && answer.funnel?.base > 0 && !found.error;
  return html`<h1>New request</h1>
    <div class="field"><label for="question">What data do you need?</label>
      <${QueryBox} id="question" value=${typed} onInput=${(value) => keep({ q: value })} placeholder="owner:darren filetypes:csv modified_at>=2026-01-01" aria-describedby="question-help" />
      <small id="question-help">A question in the query language: <code>field:value</code>, <code>size>1GB</code>, <code>-tag:x</code>, <code>(a OR b)</code>, or JSON.</small></div>
    <${Language} />
    <div class="columns">
      <section aria-live="polite"><h2>${answer && !found.error ? `${number(answer.total)} Data match` : "What matches"}</h2>
        <${Refusal} error=${found.error} />
        ${answer && !found.error ? html`<${Warnings} warnings=${answer.warnings} /><${Funnel} funnel=${answer.funnel} />
          ${lost ? html`<${Instead} question=${settled} />` : null}
          ${answer.items.length ? html`<ul class="plain">${answer.items.map((item) => html`<li><a href=${addressOf("data", item)}>${item.name}</a> <small>${bytes(item.size)}, ${item.source?.name}</small></li>`)}</ul>` : null}
          ${answer.funnel?.base === 0 ? html`<${Empty} title="The catalogue is empty"><p><a role="button" href="/web/sources?new=1">Register a source</a></p></${Empty}>` : null}` : null}</section>
      <section><h2>How you want it</h2><${Wishes} question=${typed} hinted=${lost} /></section>
    </div>`;
}

/** What to change in a question that nothing matches, where its author reads that nothing does. */
function Instead({ question }) {
  const settled = useSettled(question, 300);
  const found = useAnswer("do.datarequest.plan", { query: settled, limit: 1 });
  return html`<${Hints} hints=${found.data?.hints} use=${(line) => keep({ q: line })} />`;
}

const FIRST = ["name", "action", "target", "wait", "lifetime"];

function Wishes({ question, hinted }) {
  const [planned, setPlanned] = useState(false), [wishes, setWishes] = useState({});
  const plans = action("do.datarequest.plan").built;
  return html`<${ActionForm} name="do.datarequest.create" fixed=${{ query: question }} first=${FIRST} submit="Ask for it" wait=${2} changed=${setWishes}
      done=${(made) => go(addressOf("datarequest", made))} />
    ${plans && question.trim() ? html`<details onToggle=${(event) => setPlanned(event.target.open)}><summary>What would happen, with no change</summary>
      ${planned ? html`<${Plan} question=${question} wishes=${wishes} hinted=${hinted} />` : null}</details>` : null}`;
}

function Plan({ question, wishes, hinted }) {
  const settled = useSettled(JSON.stringify({ ...wishes, query: question, limit: 10 }), 250);
  const found = useAnswer("do.datarequest.plan", JSON.parse(settled));
  if (!found.data) return found.error ? html`<${Refusal} error=${found.error} />` : html`<${Loading} what="Planning" />`;
  const plan = found.data, counts = Object.entries(plan.counts || {}).filter(([, count]) => count && typeof count === "number");
  return html`<${Refusal} error=${found.error} /><p class="sentence"><${State} of=${plan.outcome} /> ${plan.sentence}</p><${Warnings} warnings=${plan.warnings} />
    <dl class="facts"><${Fact} name="Cost">${cost(plan.cost)}</${Fact}>${plan.bytes?.moved ? html`<${Fact} name="Bytes to move">${bytes(plan.bytes.moved)}</${Fact}>` : null}
      ${plan.ready_in_s ? html`<${Fact} name="Ready in about">${span(plan.ready_in_s)}</${Fact}>` : null}
      ${counts.length ? html`<${Fact} name="Data">${counts.map(([name, count]) => `${number(count)} ${name.replaceAll("_", " ")}`).join(", ")}</${Fact}>` : null}</dl>
    ${hinted ? null : html`<${Hints} hints=${plan.hints} use=${(line) => keep({ q: line })} />`}
    ${(plan.items || []).map((item) => html`<details class="reservation"><summary>${item.name || item.data?.name} <span class="faint">at</span> ${item.source?.name} <span class="faint">→</span> ${item.action || item.status} <span class="number">${cost(item.cost)}</span></summary>
      <${Decision} decision=${item.decision} action=${item.action} costs=${item.cost_parts} /></details>`)}
    ${plan.next ? html`<p class="faint">and ${number(plan.total - plan.items.length)} more</p>` : null}`;
}
