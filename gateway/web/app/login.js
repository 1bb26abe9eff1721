// The login: asked for when the server wants one, over the view, which keeps what was typed in it. Knows no view.
// The key is changed for a session in a cookie that no script can read, and is kept nowhere here.
import { html, useEffect, useState } from "./view.js";

const ADDRESS = "/web/session";
const watchers = new Set();
let caller = null;
let roles = null;
let asking = null;

/** Who is logged in: {owner, roles, kind, ends}, null where nobody has to or nobody is. */
export async function session() {
  const answer = await fetch(ADDRESS, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(8000) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail);
  say(body);
  return body;
}

function say(body) {
  caller = body.login === "none" ? null : body.caller;
  roles = body.caller?.roles ?? null;
  for (const watcher of [...watchers]) watcher(caller);
}

/** Ask for a login, once however many calls need one. Resolves when somebody is in; rejects when it was put off. */
export function login(why = "This server wants to know who is asking.") {
  asking ??= ask(why).finally(() => { asking = null; });
  return asking;
}

function ask(why) {
  return new Promise((resolve, reject) => {
    const before = document.activeElement;
    const dialog = document.createElement("dialog");
    dialog.className = "login";
    dialog.setAttribute("aria-labelledby", "login-title");
    dialog.innerHTML = `<article><form>
      <h2 id="login-title">Log in</h2><p class="why"></p>
      <label for="login-key">Key or token</label>
      <input id="login-key" name="credential" type="password" autocomplete="current-password" spellcheck="false" required>
      <p class="refusal" role="alert" hidden></p>
      <p class="buttons"><button type="submit">Log in</button> <button type="button" class="secondary">Not now</button></p>
    </form></article>`;
    const [form, input, refusal] = ["form", "input", ".refusal"].map((part) => dialog.querySelector(part));
    dialog.querySelector(".why").textContent = `${why} What you have typed stays as it is.`;
    document.body.append(dialog);
    const close = (end, value) => {
      dialog.close();
      dialog.remove();
      before?.focus?.();
      end(value);
    };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button");
      button.setAttribute("aria-busy", "true");
      try {
        const body = await open(input.value.trim());
        say(body);
        close(resolve, body.caller);
      } catch (error) {
        refusal.textContent = error.message;
        refusal.hidden = false;
        input.select();
      } finally {
        button.removeAttribute("aria-busy");
      }
    });
    dialog.querySelector(".secondary").addEventListener("click", () => close(reject, new Error("Nobody is logged in.")));
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); close(reject, new Error("Nobody is logged in.")); });
    dialog.showModal();
    input.focus();
  });
}

async function open(credential) {
  let answer;
  try {
    answer = await fetch(ADDRESS, {
      method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify({ credential }),
      signal: AbortSignal.timeout(20000),
    });
  } catch {
    throw new Error("The server does not answer.");
  }
  const body = await answer.json();
  if (!answer.ok) throw new Error([body.detail, body.next_step].filter(Boolean).join(" "));
  return body;
}

/** End the session, here and on the server. */
export async function logout() {
  await fetch(ADDRESS, { method: "DELETE", headers: { Accept: "application/json" }, signal: AbortSignal.timeout(20000) });
  location.assign("/web");
}

/** `work()`, again after a login where the server wanted one. */
export async function loggedIn(work) {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (error.status !== 401) throw error;
      try {
        await login(error.code === "unauthenticated" ? undefined : error.detail || error.message);
      } catch {
        throw error;
      }
    }
  }
}

/** Resolves when somebody is in, whose login was asked for here or elsewhere; somebody who put it off is not asked twice. */
export async function inAgain(why) {
  const found = await session();
  if (found.login === "none" || found.caller) return;
  await login(why).catch(() => new Promise((resolve) => {
    const watcher = (who) => {
      if (!who) return;
      watchers.delete(watcher);
      resolve();
    };
    watchers.add(watcher);
  }));
}

/** Before the first view: log in where that is needed, and go where the login was asked for. */
export async function begin() {
  const found = await session();
  const next = new URLSearchParams(location.search).get("next");
  while (found.login === "required" && !caller) await login().catch(() => {});
  // A place of this server alone: "//elsewhere" and "/\elsewhere" are others.
  if (next && /^\/[^/\\]/.test(next)) { location.replace(next); await new Promise(() => {}); }
}

/** Who uses the page, in a component: {caller, roles}; both null while that is not known, the caller where nobody has to log in. */
export function useCaller() {
  const [now, setNow] = useState({ caller, roles });
  useEffect(() => {
    const look = () => setNow({ caller, roles });
    look();
    watchers.add(look);
    return () => watchers.delete(look);
  }, []);
  return now;
}

/** The roles of who uses the page, in a component; null while that is not known. */
export function useRoles() { return useCaller().roles; }

/** Who is logged in, and the way out; nothing where nobody has to. */
export function Who() {
  const { caller: who } = useCaller();
  if (!who) return null;
  return html`<p class="faint who"><span title=${(who.roles || []).join(", ") || "no role"}>${who.owner}</span> <button type="button" class="link" onClick=${logout}>Log out</button></p>`;
}
