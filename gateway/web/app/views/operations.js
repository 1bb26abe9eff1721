// Operations: what takes long, and how far it is.
import { html, useAnswer, useTick, State, When, Refusal, Empty, Fact, Loading, addressOf } from "../parts.js";
import { useRows, Rows } from "../list.js";
import { Buttons } from "../forms.js";
import { onMessage } from "../live.js";
import { number } from "../format.js";
import { useEffect } from "../parts.js";

const subjectOf = (item) => {
  const noun = item.kind === "scan" ? "datasource" : item.kind, address = addressOf(noun, item.subject);
  return address ? html`<a href=${address}>${item.subject?.name || item.subject?.id}</a>` : item.subject?.name || "–";
};

const inWords = (progress) => Object.entries(progress || {}).filter(([, value]) => value !== null && typeof value !== "object")
  .map(([name, value]) => `${name.replaceAll("_", " ")} ${typeof value === "number" ? number(value) : value}`).join(", ") || "–";

const COLUMNS = [
  { name: "kind", title: "What", width: "7rem", cell: (item) => html`<a href=${addressOf("operation", item)}>${item.kind}</a>` },
  { name: "status", title: "Status", width: "7rem", cell: (item) => html`<${State} of=${item.status} />` },
  { name: "subject", below: "short", title: "About", width: "minmax(9rem, 1fr)", cell: subjectOf },
  { name: "message", below: true, title: "Where it stands", width: "minmax(12rem, 3fr)", cell: (item) => item.message },
  { name: "began", title: "Began", width: "7rem", cell: (item) => html`<${When} at=${item.created_at} />` },
];

export default function Operations({ parts }) {
  return parts.length ? html`<${Operation} id=${parts[0]} key=${parts[0]} />` : html`<${OperationList} />`;
}

function useRefreshed(rows) {
  useEffect(() => {
    let timer = null;
    const end = onMessage(() => { timer ??= setTimeout(() => { timer = null; rows.refresh(); }, 1500); });
    return () => { end(); clearTimeout(timer); };
  }, []);
}

function OperationList() {
  useTick();
  const rows = useRows("do.operation.list", {});
  useRefreshed(rows);
  return html`<h1>Operations</h1><${Rows} rows=${rows} columns=${COLUMNS} label="Operations" empty=${html`<${Empty} title="Nothing yet"><p>Requests and scans that take a while are listed here.</p></${Empty}>`} />`;
}

function Operation({ id }) {
  useTick();
  const shown = useAnswer("do.operation.show", { id }, { again: () => true, pause_ms: 1000 });
  const item = shown.data;
  if (!item) return shown.error ? html`<h1>Operation</h1><${Refusal} error=${shown.error} retry=${shown.reload} />` : html`<${Loading} />`;
  return html`<div class="title"><h1>${item.kind}</h1><${State} of=${item.status} /></div><p class="sentence" role="status">${item.message}</p>
    <${Buttons} noun="operation" object=${item} after=${shown.reload} />
    <dl class="facts"><${Fact} name="About">${subjectOf(item)}</${Fact}><${Fact} name="Progress">${inWords(item.progress)}</${Fact}>
      <${Fact} name="Began"><${When} at=${item.created_at} /></${Fact}><${Fact} name="Moved"><${When} at=${item.updated_at} /></${Fact}></dl>`;
}
