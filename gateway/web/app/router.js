// Addresses of views: /web/requests/scans?state=Failed. Whoever has the address sees the same view.

const listeners = new Set();
export const ROOT = "/web";

/** The present address: {parts: ["requests", "scans"], query: {…}}. */
export function here() {
  const parts = location.pathname.slice(ROOT.length).split("/").filter(Boolean).map(decodeURIComponent);
  return { parts, query: Object.fromEntries(new URLSearchParams(location.search)) };
}

/** The address of a view, to be put in a link. */
export function to(parts, query = {}) {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== ""));
  const path = [ROOT, ...parts.map(encodeURIComponent)].join("/");
  return search.size ? `${path}?${search}` : path;
}

export function go(address, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"]({}, "", address);
  for (const listener of listeners) listener();
}

/** Change the query of the present address in place: what a list is filtered by belongs to its address. */
export function keep(changes) {
  const { parts, query } = here();
  go(to(parts, { ...query, ...changes }), { replace: true });
}

export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

addEventListener("popstate", () => { for (const listener of listeners) listener(); });
addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (link.pathname !== ROOT && !link.pathname.startsWith(`${ROOT}/`)) return;
  if (link.pathname === location.pathname && link.search === location.search && link.hash) return;
  event.preventDefault();
  go(link.pathname + link.search);
  scrollTo(0, 0);
  document.querySelector("main")?.focus({ preventScroll: true });
});
