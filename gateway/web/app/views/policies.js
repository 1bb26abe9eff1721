// Policies: the rules in their order, and what a draft would change before it counts.
import { html, useState, useAnswer, Refusal, Loading, Empty, Ref } from "../parts.js";
import { action } from "../api.js";
import { ActionForm } from "../forms.js";
import { number, cost, ref, query as shownQuery } from "../format.js";

const DRAFT = `rules:
  - name: large-stays
    when: {data.size: {$gt: 10000000000}}
    action: leave
    because: Large data is not copied.
`;

export default function Policies() {
  const rules = useAnswer("do.policy.list", {});
  const tests = action("do.policy.test");
  const [outcome, setOutcome] = useState(null);
  return html`<h1>Policies</h1><p class="faint">The first rule that applies decides what is done with data.</p>
    <${Refusal} error=${rules.error} retry=${rules.reload} />
    ${rules.data ? html`<p>Revision <code>${rules.data.items[0]?.revision}</code></p>
      <div class="scroll" tabindex="0" role="region" aria-label="Rules"><table><thead><tr><th class="number">#</th><th>Rule</th><th>When</th><th>Action</th><th>Target</th><th>Because</th></tr></thead>
      <tbody>${rules.data.items.map((rule) => html`<tr><td class="number">${rule.position + 1}</td><th scope="row">${rule.name}</th><td><code>${Object.keys(rule.when || {}).length ? shownQuery(rule.when) : "always"}</code></td>
        <td>${rule.action}${rule.enforce === false ? " (only noted)" : ""}</td><td>${rule.target || "–"}</td><td>${rule.because}</td></tr>`)}</tbody></table></div>` : rules.error ? null : html`<${Loading} />`}
    <h2>Test a draft</h2>
    ${tests.built ? html`<p class="faint">Past decisions are made again with the draft; nothing is changed.</p>
      <${ActionForm} name="do.policy.test" start=${{ file: DRAFT, since: "30d" }} submit="Test it" done=${setOutcome} />
      ${outcome ? html`<${Outcome} of=${outcome} />` : null}` : html`<${Empty} title="Not built yet"><p>Testing a draft comes with a later release.</p></${Empty}>`}`;
}

function Outcome({ of }) {
  return html`<section aria-live="polite"><h3>What would change</h3>
    <p class="sentence">${number(of.differ)} of ${number(of.decisions)} decisions would be other ones${of.truncated ? " (only the newest were looked at)" : ""}; the cost would change by ${cost(of.cost?.change ?? of.cost_change ?? 0)}.</p>
    ${of.items?.length ? html`<div class="scroll" tabindex="0" role="region" aria-label="Decisions that would differ"><table><thead><tr><th>Data</th><th>Request</th><th>Was</th><th>Would be</th></tr></thead>
      <tbody>${of.items.map((item) => html`<tr><td>${item.name || ref(item.data)}</td><td><${Ref} noun="datarequest" to=${item.request} /></td><td>${said(item.was ?? item.before)}</td><td>${said(item.would_be ?? item.now ?? item.after)}</td></tr>`)}</tbody></table></div>` : null}
    <details><summary>The whole answer</summary><pre class="scroll" tabindex="0">${JSON.stringify(of, null, 2)}</pre></details></section>`;
}

function said(decision) {
  if (!decision || typeof decision !== "object") return decision ?? "–";
  return `${decision.action}${decision.target ? ` to ${ref(decision.target)}` : ""} by ${decision.rule} (${cost(decision.cost)})`;
}
