"""Photographs every screen of the page, narrow and wide, light and dark, on a mesh with realistic things in it, for a person to look at.

    PYTHONPATH=. .venv/bin/python -m tests.browser.photograph FOLDER [--lab DIR] [--only SCREEN] [--picture FILE]

Writes ``FOLDER/<width>-<scheme>/<screen>.png``; ``--picture`` writes the picture of the README instead. ``--lab`` is where the data
lies, and so what is read in paths on the pictures.
"""
from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.demo.files import ARCHIVE, lay_out
from tests.browser.conftest import picture, settled
from tests.support.chromium import browser
from tests.support.object_store import SECRET, ObjectStore
from tests.support.servers import EdgemereServer

DO, FMDM = "/edgemere/diml/dml/do", "/edgemere/diml/dml/fmdm"
POLICIES = """rules:
  - name: closed-data-stays
    when: "data.licence:closed"
    action: reject
    because: The licence forbids that this data is used outside of its archive.
  - name: weather-goes-to-the-cluster
    when: "data.topic:weather"
    action: copy
    target: cluster
    because: The models run on the cluster and read weather again and again.
  - name: large-stays
    when: "data.size>50GB"
    action: leave
    enforce: false
"""
SCREENS = {
    "overview": "", "requests": "requests", "requests-filtered": "requests?q=name:*a*&state=Failed,Satisfied",
    "request-satisfied": "requests/weather", "request-failed": "requests/diffusion", "request-waiting": "requests/next-season",
    "request-in-line": "requests/second-reader", "request-rejected": "requests/closed-scans", "new-empty": "new",
    "new": "new?q=topic:weather%20name:*.csv", "new-nothing": "new?q=topic:weather%20owner:darren", "references": "references",
    "reference": "references/transport-tables", "reference-failed": "references/moon-rocks", "reference-new": "references?new=1", "instances": "instances",
    "instance": "instances/weather-0", "reservations": "reservations?request=weather", "reservation": "RESERVATION", "sources": "sources",
    "source-files": "sources/vega", "source-bucket": "sources/bucket", "source-database": "sources/trials", "source-new": "sources?new=1",
    "source-simulate": "sources?new=simulated", "data": "data?q=topic:transport", "datum": "DATUM", "policies": "policies", "events": "events",
    "events-dead": "events/dead", "operations": "operations", "operation": "OPERATION", "actions": "actions",
    "action": "actions/do.datarequest.create", "health": "health", "not-found": "nowhere", "docs": "/docs", "asyncapi": "/asyncapi",
}
# What is seen only when somebody opens it: the screen, and what is pressed on it.
OPENED = {
    "opened-menu": ("requests", "button:text('Menu')"), "opened-lines": ("requests/weather", "details.lines.inline summary"),
    "opened-decision": ("requests/weather", "details.reservation summary"), "opened-plan": ("new?q=topic:weather", "summary:text('What would happen')"),
    "opened-preview": ("instances/weather-0", "button:text('Preview')"), "opened-destroy": ("instances/weather-0", "button:text('destroy')"),
    "opened-reason": ("instances/weather-0", "button:text('retry')"), "opened-columns": ("requests", "summary:text('Columns')"),
}
FORMS = tuple((width, scheme) for width in (360, 1440) for scheme in ("light", "dark"))
MOST_PX = 2600


class Lab:
    """The running mesh, and the way to it that is not the page."""

    def __init__(self, server: EdgemereServer) -> None:
        self.server = server

    def call(self, path: str, body: Any = None, wait_s: int = 20) -> Any:
        request = urllib.request.Request(self.server.url + path, json.dumps(body or {}).encode(), {
            "Content-Type": "application/json", "Prefer": f"wait={wait_s}"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def source(self, name: str, adaptor: str, parameters: Any, **more: Any) -> None:
        self.call(f"{FMDM}/datasource/create", {"name": name, "adaptor": adaptor, "parameters": parameters, **more})

    def request(self, name: str, query: Any, wait_s: int = 20, **more: Any) -> Any:
        return self.call(f"{DO}/datarequest/create", {"name": name, "query": query, **more}, wait_s)


@contextmanager
def furnished(lab: Path) -> Iterator[Lab]:
    """A mesh whose data lies in ``lab``, which is emptied: sources of every kind, and requests in every state that stays."""
    shutil.rmtree(lab, ignore_errors=True)
    lab.mkdir(parents=True)
    _, sets, cluster = lay_out(lab)
    (sets / "map.png").write_bytes(picture(320, 200))
    policies, database, settings = lab / "policies.yaml", lab / "trials.db", lab / "settings.yaml"
    policies.write_text(POLICIES)
    settings.write_text(json.dumps({"budgets": {"*": {"period": "30d", "bytes": "20GiB"}}}))
    with sqlite3.connect(database) as trials:
        trials.executescript("CREATE TABLE visit(id INTEGER, person TEXT, day TEXT); CREATE TABLE person(id TEXT, age INTEGER);"
                             "INSERT INTO person VALUES ('p1', 34), ('p2', 52); INSERT INTO visit VALUES (1, 'p1', '2026-02-03');")
    store = ObjectStore()
    server = EdgemereServer(lab / "mesh", options=("--config", str(settings)),
                            environment={"EDGEMERE_SECRET_TEST_STORE": SECRET, "EDGEMERE_POLICIES": str(policies), "LOGNAME": "mary"})
    try:
        store.fs.mkdir("lab-results")
        for run in range(1, 5):
            store.fs.pipe(f"lab-results/2026/run-{run}/summary.parquet", bytes(1000 * run))
        with server:
            made = Lab(server)
            _fill(made, sets, cluster, store, database)
            yield made
    finally:
        store.stop()


def _fill(lab: Lab, sets: Path, cluster: Path, store: ObjectStore, database: Path) -> None:
    lab.source("vega", "file", {"rootdir": str(sets)}, location="york", cost={"per_gib_out": 0.02})
    lab.source("cluster", "file", {"rootdir": str(cluster), "writable": True}, capacity={"bytes": 400_000_000, "readers": 64}, location="harwell")
    lab.source("bucket", "fsspec", store.parameters("lab-results", writable=False), location="eu-central-1")
    lab.source("trials", "sql", {"url": f"sqlite:///{database}", "queries": {"adults": "SELECT * FROM person WHERE age >= 18"}})
    lab.call(f"{FMDM}/datasource/simulate", {"name": "mri-archive", "listing": ARCHIVE.read_text(), "capacity": {"readers": 2}})
    lab.call(f"{FMDM}/datasource/simulate", {"name": "old-tapes", "listing": {"1998/tape-7.tar": {"size": 7 << 40, "tags": {"owner": "mary"}}}})
    lab.call(f"{FMDM}/datasource/suspend", {"id": "old-tapes"})
    lab.request("weather", "topic:weather", workload="training", lifetime="30d")
    lab.request("transport", "topic:transport name:*.csv", labels={"purpose": "lecture"})
    lab.request("visits", "source:trials", action="copy", target="cluster")
    lab.request("runs", "source:bucket", action="copy", target="cluster")
    lab.request("statistics of the whole department, with a name that is rather long", "topic:statistics OR topic:medicine")
    lab.request("diffusion", "name:*.csv owner:darren")
    lab.request("closed-scans", "licence:closed")
    lab.request("finished", "name:stocks.csv")
    lab.call(f"{DO}/datarequest/complete", {"id": "finished"})
    lab.request("first-reader", "source:mri-archive modality:T1w licence:open")
    lab.request("second-reader", "source:mri-archive modality:T1w licence:open", wait_s=0, wait=True)
    lab.request("next-season", "topic:weather acquired>=2027-01-01", wait_s=0, wait=True)
    lab.call(f"{DO}/datainstance/create", {"dataref": {"name": "transport-tables", "query": "topic:transport"}})
    lab.call(f"{DO}/datareference/create", {"name": "every-scan", "query": "topic:mri"})
    lab.call(f"{DO}/datainstance/create", {"dataref": {"name": "moon-rocks", "query": "topic:moon"}})
    lab.call(f"{DO}/event/send", {"event": "datarequest.needed", "obj": {"id": "dreq_01ARZ3NDEKTSV4RRFFQ69G5FAV"}})


def photograph(lab: Lab, folder: Path, only: str = "", forms: tuple[tuple[int, str], ...] = FORMS) -> None:
    """Every screen in every form."""
    first = {name: lab.call(f"{path}/list", {"limit": 1, **filters})["items"][0]["id"] for name, path, filters in (
        ("RESERVATION", f"{DO}/datareservation", {"request": "weather"}), ("DATUM", f"{FMDM}/data", {"attr1": "name:seattle-weather.csv"}),
        ("OPERATION", f"{DO}/operation", {}))}
    views = {"RESERVATION": "reservations", "DATUM": "data", "OPERATION": "operations"}
    with browser() as running:
        for width, scheme in forms:
            to = folder / f"{width}-{scheme}"
            to.mkdir(parents=True, exist_ok=True)
            context = running.new_context(viewport={"width": width, "height": 780 if width < 600 else 900}, color_scheme=scheme)
            page = context.new_page()
            for name, address, pressed in ((name, *(seen if isinstance(seen, tuple) else (seen, ""))) for name, seen in {**SCREENS, **OPENED}.items()):
                if only and only not in name:
                    continue
                address = f"{views[address]}/{first[address]}" if address in views else address
                page.goto(lab.server.url + (address if address.startswith("/") else f"/web/{address}"))
                page.wait_for_selector("h1")
                if not address.startswith("/"):
                    settled(page)
                    page.wait_for_timeout(250)
                if pressed and page.locator(pressed).first.is_visible():
                    page.locator(pressed).first.click(force=True)
                    page.wait_for_timeout(1200)
                height = min(MOST_PX, page.evaluate("document.documentElement.scrollHeight"))
                page.screenshot(path=to / f"{name}.png", full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})
            context.close()


def photograph_for_the_readme(lab: Lab, file: Path) -> None:
    """One request, with why nothing matched it."""
    with browser() as running:
        page = running.new_context(viewport={"width": 1366, "height": 773}, color_scheme="light").new_page()
        page.goto(f"{lab.server.url}/web/requests/diffusion")
        page.get_by_text("What would match instead").wait_for()
        page.get_by_text("Live", exact=True).wait_for()
        settled(page)
        page.screenshot(path=file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lab", type=Path, default=Path("/tmp/lab"))
    parser.add_argument("--only", default="", help="screens with this in their name")
    parser.add_argument("--picture", type=Path, help="the picture of the README")
    given = parser.parse_args()
    with furnished(given.lab) as lab:
        if given.picture:
            photograph_for_the_readme(lab, given.picture)
        else:
            photograph(lab, given.folder, given.only)


if __name__ == "__main__":
    main()
