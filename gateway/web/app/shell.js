// The frame around every view: where one can go, whether the page is connected, and the view of the present address.
import { html, useEffect, useState, Empty, Refusal } from "./parts.js";
import { Component } from "./view.js";
import { useConnection } from "./live.js";
import { here, onChange, to } from "./router.js";
import { Who } from "./login.js";
import { Notices } from "./notices.js";
import { readiness } from "./api.js";

const VIEWS = [
  ["", "Overview", () => import("./views/overview.js")],
  ["requests", "Requests", () => import("./views/requests.js")],
  ["new", "New request", () => import("./views/new.js")],
  ["references", "References", () => import("./views/references.js")],
  ["instances", "Instances", () => import("./views/instances.js")],
  ["reservations", "Reservations", () => import("./views/reservations.js")],
  ["sources", "Sources", () => import("./views/sources.js")],
  ["data", "Data", () => import("./views/data.js")],
  ["policies", "Policies", () => import("./views/policies.js")],
  ["events", "Events", () => import("./views/events.js")],
  ["operations", "Operations", () => import("./views/operations.js")],
  ["actions", "All actions", () => import("./views/actions.js")],
  ["health", "Health", () => import("./views/health.js")],
];

export function Shell() {
  const [address, setAddress] = useState(here());
  const [open, setOpen] = useState(false);
  useEffect(() => onChange(() => { setAddress(here()); setOpen(false); }), []);
  const [first = ""] = address.parts;
  const view = VIEWS.find(([name]) => name === first);
  useEffect(() => {
    const [, , name] = [...address.parts].reverse();
    document.title = [address.parts[1] || name, view ? view[1] : "Not found", "Data Orchestrator"].filter(Boolean).join(" · ");
  }, [address]);
  return html`
    <a class="skip" href="#main">To the content</a>
    <header class="bar">
      <button type="button" class="menu secondary" aria-expanded=${open ? "true" : "false"} aria-controls="ways" onClick=${() => setOpen(!open)}>Menu</button>
      <a class="brand" href="/web"><img src="/web/app/icon.svg" alt="" width="24" height="24" /> Data Orchestrator</a>
      <${Status} />
    </header>
    <nav id="ways" class=${open ? "ways open" : "ways"} aria-label="Views">
      <ul>${VIEWS.map(([name, title]) => html`<li><a href=${to(name ? [name] : [])} aria-current=${name === first ? "page" : undefined}>${title}</a></li>`)}</ul>
      <p class="faint"><a href="/docs">Documents</a></p>
      <${Who} />
    </nav>
    <main id="main" tabindex="-1">
      <${Notices} />
      ${view ? html`<${Safe} key=${first}><${Lazy} key=${first} load=${view[2]} address=${address} /></${Safe}>`
        : html`<h1>Not found</h1><${Empty} title="There is no such view"><p><a href="/web">Go to the overview</a></p></${Empty}>`}
    </main>`;
}

const loaded = new Map();

function Lazy({ load, address }) {
  const [View, setView] = useState(() => loaded.get(load));
  const [error, setError] = useState(null);
  useEffect(() => {
    if (loaded.has(load)) { setView(() => loaded.get(load)); return; }
    load().then((module) => { loaded.set(load, module.default); setView(() => module.default); }, setError);
  }, [load]);
  if (error) return html`<${Refusal} error=${new Error("This part of the page could not be fetched.")} retry=${() => location.reload()} />`;
  return View ? html`<${View} parts=${address.parts.slice(1)} query=${address.query} />` : html`<p class="faint" role="status">Loading …</p>`;
}

/** A fault in one view must not take the page with it. */
class Safe extends Component {
  componentDidCatch(error) { this.setState({ error }); }
  render({ children }, { error }) {
    if (!error) return children;
    return html`<${Refusal} error=${new Error(`This view failed: ${error.message}`)} retry=${() => this.setState({ error: null })} />`;
  }
}

function Status() {
  const state = useConnection();
  const [ready, setReady] = useState(null);
  useEffect(() => {
    let timer, over = false;
    const look = async () => {
      const found = document.hidden ? null : await readiness();
      if (over) return;
      if (found) setReady(found);
      timer = setTimeout(look, found && !found.ok ? 3000 : 15000);
    };
    look();
    return () => { over = true; clearTimeout(timer); };
  }, [state.connected]);
  const wrong = ready && !ready.ok ? Object.entries(ready.services || {}).filter(([, service]) => !service.ok).map(([name]) => name) : [];
  const [tone, text] = !state.connected
    ? ["warn", state.everConnected ? "Reconnecting …" : "Connecting …"]
    : wrong.length ? ["warn", `Not ready: ${wrong.join(", ")}`] : ["good", "Live"];
  return html`<a class=${`status ${tone}`} href="/web/health"><span class="dot" aria-hidden="true"></span><span role="status">${text}</span></a>`;
}
