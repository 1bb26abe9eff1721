// Health: whether every service answers, whether the page hears of what happens, and the figures of the gateway.
import { html, useEffect, useState, State, Loading, Command } from "../parts.js";
import { readiness, theTable } from "../api.js";
import { useConnection } from "../live.js";

const EVERY_MS = 5000;

export default function Health() {
  const [ready, setReady] = useState(null), [figures, setFigures] = useState("");
  const live = useConnection();
  useEffect(() => {
    let timer, over = false;
    const look = async () => {
      const found = await readiness();
      const text = await fetch("/metrics").then((answer) => answer.text()).catch(() => "");
      if (over) return;
      setReady(found);
      setFigures(text);
      timer = setTimeout(look, EVERY_MS);
    };
    look();
    return () => { over = true; clearTimeout(timer); };
  }, []);
  return html`<h1>Health</h1>
    <p class="sentence" role="status">${!ready ? "Asking …" : ready.ok ? "Every service answers." : ready.detail || "Not every service answers."} ${live.connected ? "The page is connected." : "The page is not connected; it tries again by itself."}</p>
    ${ready ? html`<ul class="cards dense">${Object.entries(ready.services || {}).map(([name, service]) => html`<li key=${name}><p><strong>${name}</strong> <${State} of=${service.ok ? "Ready" : "Failed"} /></p>
      ${service.detail ? html`<p>${service.detail}</p>` : null}</li>`)}</ul>` : html`<${Loading} />`}
    <h2>Look closer</h2><${Command} text="edgemere doctor" /><p class="faint">Version ${theTable().version}</p>
    <details><summary>Figures of the gateway</summary><pre class="scroll" tabindex="0">${figures.split("\n").filter((line) => line && !line.startsWith("#")).join("\n")}</pre></details>`;
}
