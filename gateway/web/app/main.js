// The beginning: the table, the connection, the shell.
import { html } from "./parts.js";
import { render } from "./view.js";
import { loadTable } from "./api.js";
import * as login from "./login.js";
import { start } from "./live.js";
import { Shell } from "./shell.js";

const RETRY_MS = 1500;
const page = document.getElementById("page");

async function begin() {
  try {
    await login.begin();
    await loadTable();
  } catch {
    document.querySelector("main").textContent = "The server does not answer. This page tries again by itself.";
    setTimeout(begin, RETRY_MS);
    return;
  }
  page.replaceChildren();
  render(html`<${Shell} />`, page);
  start();
}

begin();
