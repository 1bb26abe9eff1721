// What was done with the keys of who uses the page, by whom and from where, until he says that he has seen it. Knows no view.
import { html, useEffect, useState } from "./view.js";
import { call } from "./api.js";
import { onMessage } from "./live.js";
import { useCaller } from "./login.js";
import { Refusal, When } from "./parts.js";

const DONE = { made: "was made", rotated: "got a new secret", revoked: "was ended", login: "opened the page from a place that is new" };

export function Notices() {
  const { caller } = useCaller();
  const [notices, setNotices] = useState([]), [error, setError] = useState(null);
  const owner = caller?.owner;
  useEffect(() => {
    if (!owner) { setNotices([]); return undefined; }
    let over = false;
    // Silence is no reason to trouble anybody: what cannot be asked now is asked with the next message.
    const look = () => call("do.identity.show").then((who) => { if (!over) setNotices(who.notices || []); }, () => {});
    look();
    const end = onMessage((message) => { if (message.event === "apikey.changed") look(); });
    return () => { over = true; end(); };
  }, [owner]);
  if (!notices.length) return null;
  const seen = async () => {
    setError(null);
    try { setNotices((await call("do.identity.seen", { upto: notices.at(-1).id })).notices); } catch (refused) { setError(refused); }
  };
  return html`<section class="notices" aria-label="Your keys">
    <ul>${notices.map((one) => html`<li key=${one.id}>The key <strong>${one.key.name}</strong> ${DONE[one.what] || one.what}, by ${one.by}${one.address ? ` from ${one.address}` : ""}, <${When} at=${one.time} /></li>`)}</ul>
    <p>If that was not you, end the key: <code>edgemere apikey revoke ${notices[0].key.id}</code> <button type="button" class="secondary small" onClick=${seen}>I have seen it</button></p>
    <${Refusal} error=${error} />
  </section>`;
}
