// Events: everything that happened, followed live, filtered, back to any point; and the messages nobody could handle.
import { html, useEffect, useState, useAnswer, Refusal, Empty, Ref, State, When, Loading, addressOf } from "../parts.js";
import { useRows, Rows } from "../list.js";
import { call, theTable, action } from "../api.js";
import { onMessage } from "../live.js";
import { Lines, lacks } from "../forms.js";
import { useRoles } from "../login.js";
import { clock } from "../format.js";
import { keep } from "../router.js";

export default function Events({ parts, query }) {
  return parts[0] === "dead" ? html`<${Dead} />` : html`<${Log} query=${query} />`;
}

const COLUMNS = [
  { name: "event", title: "Message", width: "minmax(12rem, 1fr)", cell: (item) => html`<code>${item.event}</code>` },
  { name: "time", title: "Time", width: "8rem", cell: (item) => html`<time datetime=${item.time}>${clock(item.time)}</time>` },
  { name: "sequence", title: "#", width: "5rem", number: true, below: true, cell: (item) => item.sequence },
  { name: "object", below: true, title: "About", width: "minmax(8rem, 1fr)", cell: (item) => html`<${Ref} noun=${item.event.split(".")[0]} to=${item.obj} />` },
  { name: "changed", title: "Changed", width: "minmax(9rem, 2fr)", cell: (item) => (item.changed || []).join(", ") },
  { name: "version", title: "Version", width: "4.5rem", number: true, cell: (item) => item.obj?.version },
];

function Log({ query }) {
  const event = query.event || undefined, object = query.object || undefined;
  const asked = { event, object, sort: "-sequence" };
  const rows = useRows("do.event.list", asked);
  const follow = query.follow !== "no";
  useEffect(() => {
    if (!follow) return undefined;
    let timer = null;
    const end = onMessage(() => { timer ??= setTimeout(() => { timer = null; rows.refresh(); }, 700); });
    return () => { end(); clearTimeout(timer); };
  }, [follow, event, object]);
  return html`<div class="title"><h1>Events</h1><a href="/web/events/dead">Dead letters</a></div>
    <form class="filters inline" aria-label="Search" onSubmit=${(submit) => submit.preventDefault()}>
      <div><label for="event">Message</label><input id="event" list="events" value=${query.event || ""} placeholder="datarequest.*" onInput=${(typed) => keep({ event: typed.target.value })} />
        <datalist id="events">${theTable().events.map((item) => html`<option value=${item.name}>${item.about}</option>`)}</datalist></div>
      <div><label for="object">Object</label><input id="object" value=${query.object || ""} placeholder="a name or id" onInput=${(typed) => keep({ object: typed.target.value })} /></div>
      <label class="check"><input type="checkbox" role="switch" checked=${follow} onChange=${(changed) => keep({ follow: changed.target.checked ? null : "no" })} /> Follow</label>
    </form>
    <${Rows} rows=${rows} columns=${COLUMNS} label="Events" keyOf=${(item) => item.sequence} rowHeight=${38} empty=${html`<${Empty} title="No such message yet"><p>What happens appears here.</p></${Empty}>`} />
    <${Lines} row=${action("do.event.list")} parameters=${asked} />`;
}

function Dead() {
  const dead = useAnswer("do.event.dead.list", { limit: 100 });
  const [error, setError] = useState(null), [said, setSaid] = useState(""), lacking = lacks(action("do.event.dead.replay"), useRoles());
  const replay = async (id) => {
    setError(lacking ? new Error(lacking) : null);
    if (lacking) return;
    try { await call("do.event.dead.replay", { id }); setSaid("It was sent again."); dead.reload(); } catch (refused) { setError(refused); }
  };
  return html`<div class="title"><h1>Dead letters</h1><a href="/web/events">Events</a></div>
    <p class="faint">Messages that could not be handled, with the reason. Replay one when its cause is gone.</p>
    <${Refusal} error=${dead.error || error} /><p role="status">${said}</p>
    ${dead.data ? dead.data.items.length ? html`<ul class="cards">${dead.data.items.map((item) => html`<li key=${item.id}>
      <p><code>${item.event}</code> for <code>${item.queue}</code> <${When} at=${item.time} /> <span class="faint">after ${item.attempts} ${item.attempts === 1 ? "try" : "tries"}</span></p>
      <p><code>${item.code}</code> ${(item.reason || "").replace(/^\w+: [\w.]+: /, "")}</p>
      <details><summary>Message</summary><pre class="scroll" tabindex="0">${JSON.stringify(item.body, null, 2)}</pre></details>
      <p class="buttons"><button type="button" class="small secondary" aria-disabled=${lacking ? "true" : undefined} title=${lacking || undefined} onClick=${() => replay(item.id)}>Replay</button>${item.replayed_at ? html` <span class="faint">replayed <${When} at=${item.replayed_at} /></span>` : null}</p></li>`)}</ul>`
      : html`<${Empty} title="None"><p>Every message was handled.</p></${Empty}>` : dead.error ? null : html`<${Loading} />`}`;
}
