"""Times the web page as people meet it: a real Chromium on the embedded product.

    PYTHONPATH=. .venv/bin/python benchmarks/page.py [--requests N] [--sockets N]

Prints JSON, then a table. Each figure has beside it a floor that was measured in the same run.
"""
from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import socketio

from tests.support.chromium import browser
from tests.support.servers import EdgemereServer

DO, FMDM = "/edgemere/diml/dml/do", "/edgemere/diml/dml/fmdm"
EMPTY = b"<!doctype html><title>x</title><h1>x</h1>"


def post(server: EdgemereServer, path: str, body: Any) -> Any:
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def fill(server: EdgemereServer, count: int) -> None:
    """``count`` requests in Init, by eight clients."""
    post(server, f"{FMDM}/datasource/simulate", {"name": "archive", "listing": {f"{n}.nii": {"size": n} for n in range(50)}})

    def some(first: int) -> None:
        for number in range(first, count, 8):
            post(server, f"{DO}/datarequest/create", {"name": f"request-of-{number:05}", "query": f"size:{number}", "fulfill": False})
    threads = [threading.Thread(target=some, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def first_paint(running: Any, url: str) -> dict[str, float]:
    """Milliseconds until the browser painted, and until the overview's heading is there; bytes that came, compressed."""
    page = running.new_context().new_page()
    finished: list[Any] = []
    page.on("requestfinished", lambda request: finished.append(request))
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector("main h1", timeout=60_000)
    useful = (time.perf_counter() - began) * 1000
    page.wait_for_load_state("networkidle")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    kilobytes = sum(request.sizes()["responseBodySize"] for request in list(finished)) / 1000
    page.context.close()
    return {"first_paint_ms": painted, "useful_ms": useful, "kilobytes": kilobytes}


def keystrokes(page: Any, text: str) -> list[float]:
    """Milliseconds from each key to the list that answers it."""
    box = page.get_by_label("Search in the query language")
    box.fill("")
    page.wait_for_timeout(500)
    found = []
    for end in range(1, len(text) + 1):
        found.append(page.evaluate("""async text => {
            const box = document.querySelector('#search'), began = performance.now();
            // The list says itself that it is busy; frames would be too coarse to see it.
            let asked = false;
            const done = new Promise(resolve => {
                const watcher = new MutationObserver(() => {
                    const busy = document.querySelector('.rows[aria-busy="true"]');
                    asked ||= Boolean(busy);
                    if (!asked || busy) return;
                    watcher.disconnect();
                    requestAnimationFrame(() => resolve(performance.now() - began));
                });
                watcher.observe(document.querySelector('main'), { subtree: true, childList: true, attributes: true });
            });
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(box, text);
            box.dispatchEvent(new InputEvent('input', { bubbles: true }));
            return Promise.race([done, new Promise(resolve => setTimeout(() => resolve(5000), 5000))]);
        }""", text[:end]))
    return found


def scrolling(page: Any) -> dict[str, float]:
    """Frames of a long scroll: the median and the 95th percentile, in ms."""
    frames = page.evaluate("""async () => {
        const box = document.querySelector('.rows-scroll'), times = [];
        let last = performance.now();
        for (let step = 0; step < 180; step += 1) {
            box.scrollTop += 400;
            await new Promise(requestAnimationFrame);
            const now = performance.now();
            times.push(now - last);
            last = now;
        }
        return times;
    }""")
    frames.sort()
    return {"median_ms": statistics.median(frames), "p95_ms": frames[int(len(frames) * 0.95)]}


def events(server: EdgemereServer, page: Any, sockets: int, changes: int = 100) -> dict[str, float]:
    """From the answer of a change to its message in the page, in ms, while other sockets listen too."""
    clients = []
    for _ in range(sockets - 1):
        client = socketio.Client(reconnection=False)
        client.connect(server.url, socketio_path="/web/socket.io", transports=["websocket"])
        client.emit("subscribe", {})
        clients.append(client)
    page.goto(f"{server.url}/web/events?follow=no")
    page.get_by_text("Live", exact=True).wait_for()
    page.evaluate("""async () => { const live = await import('/web/app/live.js'); window.seen = {};
        live.onMessage(message => { if (message.event === 'datarequest.create') window.seen[message.obj.name] = Date.now(); }); }""")
    sent = {}
    for number in range(changes):
        post(server, f"{DO}/datarequest/create", {"name": f"timed-{number}", "query": "size:1", "fulfill": False})
        sent[f"timed-{number}"] = time.time() * 1000
        time.sleep(0.02)
    page.wait_for_function(f"Object.keys(window.seen).filter(name => name.startsWith('timed-')).length === {changes}", timeout=60_000)
    seen = page.evaluate("window.seen")
    late = sorted(max(0.0, seen[name] - at) for name, at in sent.items())
    for client in clients:
        client.disconnect()
    return {"p50_ms": statistics.median(late), "p95_ms": late[int(len(late) * 0.95)], "sockets": sockets}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--sockets", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EdgemereServer(Path(folder) / "server") as server, browser() as running:
        found: dict[str, Any] = {"paint": first_paint(running, f"{server.url}/web")}
        bare = running.new_context().new_page()
        bare.route("**/bare", lambda route: route.fulfill(body=EMPTY.decode(), content_type="text/html"))
        began = time.perf_counter()
        bare.goto(f"{server.url}/bare")
        found["paint"]["floor_empty_page_ms"] = (time.perf_counter() - began) * 1000
        fill(server, given.requests)
        page = running.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.goto(f"{server.url}/web/requests")
        page.get_by_text(f"of {given.requests:,}").wait_for(timeout=60_000)
        typed = sorted(keystrokes(page, "name:request-of-0*") + keystrokes(page, "state:Init,Needed"))
        began = time.perf_counter()
        for _ in range(20):
            post(server, f"{DO}/datarequest/list", {"attr1": "name:request-of-0*", "limit": 60, "sort": "-created_at"})
        floor = (time.perf_counter() - began) * 50
        found["keystroke"] = {"p50_ms": statistics.median(typed), "p95_ms": typed[int(len(typed) * 0.95)], "floor_rest_ms": floor}
        page.get_by_label("Search in the query language").fill("")
        page.get_by_text(f"of {given.requests:,}").wait_for(timeout=60_000)
        found["scroll"] = scrolling(page)
        found["events"] = events(server, page, given.sockets)
    print(json.dumps(found, indent=2))
    paint, keys, late = found["paint"], found["keystroke"], found["events"]
    for what, figure, beside in (
        ("page, cold", f"{paint['useful_ms']:.0f} ms", f"reach 1000; an empty page {paint['floor_empty_page_ms']:.0f} ms"),
        ("bytes, compressed", f"{paint['kilobytes']:.0f} kB", "reach 300"),
        (f"a key typed over {given.requests} requests, p50", f"{keys['p50_ms']:.0f} ms", f"reach 100; the call alone {floor:.0f} ms"),
        ("a frame while scrolling, p95", f"{found['scroll']['p95_ms']:.1f} ms", "a screen has 16.7"),
        (f"commit to browser, {given.sockets} sockets, p50 / p95", f"{late['p50_ms']:.0f} / {late['p95_ms']:.0f} ms", "reach 50 / 200"),
    ):
        print(f"{what:<52}{figure:>14}   {beside}")


if __name__ == "__main__":
    main()
