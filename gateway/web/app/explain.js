// Why: the funnel of a query, hints, decisions, costs and the timeline, as the explanation and the plan have them.
import { html, State, Ref, Command, addressOf } from "./parts.js";
import { number, cost, clock, span, ref as refName } from "./format.js";

/** How many Data were left after each clause, as bars. */
export function Funnel({ funnel }) {
  if (!funnel) return null;
  const steps = [{ clause: "everything", remaining: funnel.base }, ...(funnel.steps || [])];
  const most = Math.max(1, funnel.base);
  return html`<figure class="funnel" aria-label="How many Data each clause leaves">
    ${steps.map((step, at) => {
      const lost = at ? steps[at - 1].remaining - step.remaining : 0;
      return html`<div class=${step.remaining ? "step" : "step none"}><code>${step.clause}</code>
        <svg class="bar-line" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width=${(100 * step.remaining) / most} height="8" rx="0" /></svg>
        <span class="number">${number(step.remaining)}</span><small>${lost ? `−${number(lost)}` : ""}</small></div>`;
    })}
    ${funnel.estimate ? html`<figcaption>The counts are estimates.</figcaption>` : null}</figure>`;
}

/** What to change, each with a way to take it: `use` is given the changed question; without it there is the command, as of a group. */
export function Hints({ hints, use }) {
  if (!hints?.length) return null;
  return html`<h3>What would match instead</h3><ul class="hints plain">${hints.map((hint) => html`<li>
    <strong class="number">${hint.exact === false ? "about " : ""}${number(hint.matches)}</strong> ${hint.sentence}
    ${use ? html` <button type="button" class="link" onClick=${() => use(hint.line || "")}>Use this</button>` : hint.command ? html`<br /><code>${hint.command}</code>` : null}</li>`)}</ul>`;
}

const ANSWERS = { used: "good", standby: "busy", later: "busy", not_yet: "busy" };

/** Why one Data is not used by a request. */
export function WhyNot({ found }) {
  if (!found) return null;
  return html`<div class="refusal calm"><p><span class=${`state ${ANSWERS[found.answer] || "calm"}`}>${found.answer}</span> ${found.sentence}</p>
    ${found.clauses?.length ? html`<ul>${found.clauses.map((clause) => html`<li><code>${clause.clause}</code> ${clause.holds ? "holds" : "does not hold"}: ${clause.field} is ${clause.said ?? JSON.stringify(clause.value ?? null)}</li>`)}</ul>` : null}
    ${found.beaten_by ? html`<p>Taken instead: ${refName(found.beaten_by.data || found.beaten_by)}${found.beaten_by.source ? ` at ${refName(found.beaten_by.source)}` : ""}.</p>` : null}</div>`;
}

export function Warnings({ warnings }) {
  if (!warnings?.length) return null;
  return html`<div role="status"><ul class="warnings">${warnings.map((warning) => html`<li>${warning.detail || warning.code}</li>`)}</ul></div>`;
}

const PARTS = ["transfer", "storage", "requests", "time"];

/** One decision: what was chosen, what the others would have cost, and which rules were tried. */
export function Decision({ decision, action, costs }) {
  if (!decision) return html`<p class="faint">Nothing is decided yet.</p>`;
  const scores = Object.entries(decision.scores || {});
  return html`<div class="decision">
    <p><strong>${action}</strong> by <code>${decision.rule}</code>${decision.because ? html`: ${decision.because}` : null}
      ${decision.policy && decision.policy !== "none" ? html` <small>(policies ${decision.policy})</small>` : null}</p>
    ${scores.length ? html`<div class="scroll" tabindex="0" role="region" aria-label="Costs of every action"><table><thead><tr><th>Action</th><th class="number">Cost</th>${PARTS.map((part) => html`<th class="number">${part}</th>`)}<th>Possible</th></tr></thead>
      <tbody>${scores.map(([name, score]) => html`<tr class=${name === action ? "lit" : ""}><th scope="row">${name}${score.via ? ` (${score.via})` : ""}</th><td class="number">${cost(score.cost)}</td>
        ${PARTS.map((part) => html`<td class="number">${cost(score.parts?.[part] ?? null)}</td>`)}<td>${score.possible === false ? score.why_not || "no" : score.via_why ? `yes; no path: ${score.via_why}` : "yes"}</td></tr>`)}</tbody></table></div>`
      : costs ? html`<p class="faint">${Object.entries(costs).map(([part, value]) => `${part} ${cost(value)}`).join(", ")}</p>` : null}
    ${decision.margin !== null && decision.margin !== undefined ? html`<p>${decision.margin === 0 && decision.runner_up ? `As good would be ${decision.runner_up}.` : `It won by ${cost(decision.margin)}${decision.runner_up ? ` over ${decision.runner_up}` : ""}.`}</p>` : null}
    ${decision.replicas?.length > 1 ? html`<p>Replicas: ${decision.replicas.map((one, at) => html`${at ? ", " : ""}<${Ref} noun="datasource" to=${one.source} /> ${cost(one.cost)}${one.chosen ? " (chosen)" : ""}`)}</p>` : null}
    ${decision.tried?.length ? html`<details><summary>Rules tried (${decision.tried.length})</summary><ul class="plain">${decision.tried.map((rule) => html`<li>
      <code>${rule.rule}</code> ${rule.matched ? "applies" : "does not apply"}
      ${rule.clauses?.length ? html`<ul>${rule.clauses.map((clause) => html`<li><code>${clause.clause}</code> ${clause.holds ? "holds" : "does not hold"}: ${clause.field} is <code>${JSON.stringify(clause.value ?? null)}</code></li>`)}</ul>` : null}</li>`)}</ul></details>` : null}
  </div>`;
}

export function Timeline({ steps, noun = "datarequest" }) {
  if (!steps?.length) return null;
  const first = Date.parse(steps[0].time);
  return html`<ol class="timeline">${steps.map((step) => {
    const after = (Date.parse(step.time) - first) / 1000;
    const address = step.object ? addressOf(step.class || noun, step.object) : null;
    const what = step.object ? refName(step.object) : `${number(step.count)} ${step.class}${step.count === 1 ? "" : "s"}`;
    return html`<li><time datetime=${step.time}>${clock(step.time)}</time> <small>${after ? `+${span(after)}` : ""}</small>
      <span>${address ? html`<a href=${address}>${what}</a>` : what} ${step.event}: ${step.from || "–"} → <${State} of=${step.to} />
      ${step.detail?.code ? html` <code>${step.detail.code}</code>` : null}
      ${step.cause?.name ? html` <small>after ${step.cause.name}</small>` : null}</span></li>`;
  })}</ol>`;
}
