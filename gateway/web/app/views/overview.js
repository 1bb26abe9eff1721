// What runs, what waits and why, what failed, how much gets done, and what happens right now.
import { html, useEffect, useRef, useState, useAnswer, useTick, State, When, Refusal, Empty, Command, Loading } from "../parts.js";
import { onMessage, recent } from "../live.js";
import { number, clock, minuteOf, now } from "../format.js";
import { to } from "../router.js";
import { addressOf } from "../parts.js";

const ofRequests = (message) => message.event.startsWith("datarequest.");
// What waits is blocked by something; it is not under way.
const UNDER_WAY = '{"state": {"$in": ["Needed", "Selected", "Evaluated"]}, "blocked_by": {"$exists": false}}';

export default function Overview() {
  useTick();
  const running = useAnswer("do.datarequest.find", { attr1: UNDER_WAY, sort: "-updated_at", limit: 8 }, { again: ofRequests });
  const waiting = useAnswer("do.datarequest.find", { attr1: '{"blocked_by": {"$exists": true}, "state": "Needed"}', sort: "updated_at", limit: 8 }, { again: ofRequests });
  const failed = useAnswer("do.datarequest.find", { attr1: "state:Failed", sort: "-updated_at", limit: 6 }, { again: ofRequests });
  const satisfied = useAnswer("do.datarequest.find", { attr1: "state:Satisfied", limit: 1 }, { again: ofRequests });
  const instances = useAnswer("do.datainstance.find", { attr1: "state:Ready", limit: 1 }, { again: (message) => message.event.startsWith("datainstance."), pause_ms: 1000 });
  const sources = useAnswer("fmdm.datasource.list", { limit: 1 }, { again: (message) => message.event.startsWith("datasource."), pause_ms: 1000 });
  const all = useAnswer("do.datarequest.list", { limit: 1 }, { again: ofRequests });
  const fresh = sources.data?.total === 0 || all.data?.total === 0;
  return html`<h1>Overview</h1>
    <${Refusal} error=${running.error} retry=${running.reload} />
    ${fresh ? html`<${FirstSteps} sources=${sources.data?.total} />` : null}
    <div class="figures">
      <${Figure} title="Under way" answer=${running} to=${to(["requests"], { q: UNDER_WAY })} />
      <${Figure} title="Waiting" answer=${waiting} tone="warn" to=${to(["requests"], { q: '{"blocked_by": {"$exists": true}}' })} />
      <${Figure} title="Satisfied" answer=${satisfied} tone="good" to=${to(["requests"], { state: "Satisfied" })} />
      <${Figure} title="Failed" answer=${failed} tone="bad" to=${to(["requests"], { state: "Failed" })} />
      <${Figure} title="Instances ready" answer=${instances} to=${to(["instances"], { state: "Ready" })} />
      <${Figure} title="Sources" answer=${sources} to=${to(["sources"])} />
    </div>
    <div class="columns">
      <section><h2>Waiting, and why</h2>
        ${waiting.loading && !waiting.data ? html`<${Loading} />` : waiting.data?.items.length ? html`<ul class="cards">${waiting.data.items.map((item) => html`<li key=${item.id}>
          <p><a href=${addressOf("datarequest", item)}>${item.name}</a> <code>${item.blocked_by?.code}</code> since <${When} at=${item.blocked_by?.since} /></p>
          <p>${item.message}</p>${(item.blocked_by?.unstick || []).slice(0, 1).map((line) => html`<${Command} text=${line} />`)}</li>`)}</ul>` : html`<p class="faint">Nothing waits.</p>`}
        <h2>Under way</h2><${Short} answer=${running} nothing="Nothing is under way." />
        <h2>Failed</h2><${Short} answer=${failed} nothing="Nothing has failed." />
      </section>
      <section><h2>Requests satisfied, by minute</h2><${Throughput} />
        <h2>What happens</h2><${Feed} /></section>
    </div>`;
}

function Figure({ title, answer, tone = "", to: address }) {
  const total = answer.data?.total;
  return html`<a class=${`figure ${total ? tone : ""}`} href=${address}><strong>${number(total)}</strong><span>${title}</span></a>`;
}

function Short({ answer, nothing }) {
  if (answer.loading && !answer.data) return html`<${Loading} />`;
  if (!answer.data?.items.length) return html`<p class="faint">${nothing}</p>`;
  return html`<ul class="cards">${answer.data.items.map((item) => html`<li key=${item.id}>
    <p><a href=${addressOf("datarequest", item)}>${item.name}</a> <${State} of=${item.state} /> <${When} at=${item.updated_at} /></p>
    ${item.message ? html`<p>${item.message}</p>` : null}</li>`)}</ul>`;
}

function FirstSteps({ sources }) {
  return html`<${Empty} title=${sources ? "Ask your first question" : "Nothing is registered yet"}>
    ${sources ? html`<p>Say what data you need, as a question about its metadata.</p><p><a role="button" href="/web/new">New request</a></p>`
      : html`<p>A source is a place that holds data, such as a folder. Register one, and everything in it can be asked for.</p>
        <p><a role="button" href="/web/sources?new=1">Register a source</a></p><p>Or on the command line:</p>
        <${Command} text=${`edgemere fmdm datasource create --name mine --adaptor file --parameters '{"rootdir": "/path/to/a/folder"}'`} />`}
  </${Empty}>`;
}

const FED = 30;

function Feed() {
  const before = useAnswer("do.event.list", { sort: "-sequence", limit: FED });
  const [heard, setHeard] = useState(recent.slice(0, FED));
  useEffect(() => {
    let frame = 0;
    const show = () => { frame = 0; setHeard(recent.slice(0, FED)); };
    const end = onMessage(() => { frame ||= requestAnimationFrame(show); });
    show();
    return () => { end(); cancelAnimationFrame(frame); };
  }, []);
  const first = heard.at(-1)?.sequence ?? Infinity;
  const messages = [...heard, ...(before.data?.items || []).filter((message) => message.sequence < first)].slice(0, FED);
  if (!messages.length) return html`<p class="faint">Quiet so far. What happens from now on appears here.</p>`;
  return html`<ol class="feed" aria-label="Newest messages">${messages.map((message) => {
    const noun = message.event.split(".")[0], address = addressOf(noun, message.obj);
    return html`<li key=${message.sequence}><time datetime=${message.time}>${clock(message.time)}</time> <code>${message.event}</code> ${" "}
      ${address ? html`<a href=${address}>${message.obj?.name || message.obj?.id}</a>` : message.obj?.name}</li>`;
  })}</ol>`;
}

const MINUTES = 60;

function Throughput() {
  const box = useRef(null);
  const since = useRef(new Date(now() - MINUTES * 60000).toISOString());
  const answer = useAnswer("do.event.list", { event: "datarequest.satisfied", sort: "-sequence", limit: 1000 },
    { again: (message) => message.event === "datarequest.satisfied", pause_ms: 2000 });
  const items = (answer.data?.items || []).filter((item) => item.time >= since.current);
  useEffect(() => {
    if (!answer.data) return undefined;
    let chart, over = false, watcher;
    library().then((UPlot) => {
      if (over || !box.current) return;
      const last = Math.floor(now() / 60000), counts = new Map();
      for (const item of items) {
        const minute = Math.floor(Date.parse(item.time) / 60000);
        counts.set(minute, (counts.get(minute) || 0) + 1);
      }
      const minutes = Array.from({ length: MINUTES }, (_, at) => last - MINUTES + 1 + at);
      const style = getComputedStyle(document.documentElement), ink = style.getPropertyValue("--ink-faint"), line = style.getPropertyValue("--accent");
      const axis = { stroke: ink, grid: { stroke: style.getPropertyValue("--line"), width: 1 }, ticks: { show: false } };
      box.current.replaceChildren();
      chart = new UPlot({ width: box.current.clientWidth, height: 150, legend: { show: false }, cursor: { show: false },
        scales: { y: { range: (_, least, most) => [0, Math.max(4, most)] } }, axes: [{ ...axis, values: (_, times) => times.map(minuteOf) }, { ...axis, size: 36, incrs: [1, 2, 5, 10, 20, 50, 100, 500, 1000] }],
        series: [{}, { stroke: line, fill: `color-mix(in srgb, ${line} 25%, transparent)`, width: 2, points: { show: false } }] },
        [minutes.map((minute) => minute * 60), minutes.map((minute) => counts.get(minute) || 0)], box.current);
      watcher = new ResizeObserver(() => chart.setSize({ width: box.current.clientWidth, height: 150 }));
      watcher.observe(box.current);
    });
    return () => { over = true; watcher?.disconnect(); chart?.destroy(); };
  }, [answer.data]);
  return html`<div class="chart" ref=${box} role="img" aria-label=${`${items.length} requests were satisfied in the last hour.`}></div>
    <p class="faint">${number(items.length)} in the last hour${answer.data?.next && items.length >= 1000 ? " or more" : ""}.</p>`;
}

let promise;
function library() {
  promise ??= new Promise((done, fail) => {
    const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "/web/vendor/uplot/uplot.css" });
    const script = Object.assign(document.createElement("script"), { src: "/web/vendor/uplot/uplot.js", onload: () => done(window.uPlot), onerror: fail });
    document.head.append(style, script);
  });
  return promise;
}
