"""Secrets planted wherever one can be given: none comes out at any face, in a log, or in what lies on the disk."""
from __future__ import annotations

import json
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from shared.bus.failures import dead_letter
from shared.bus.message import Delivery
from shared.contracts.table import ACTIONS
from shared.hosting.worker_loop import failure
from tests.support.awaiting import until
from tests.support.collector import Collector
from tests.support.ports import free_port
from tests.support.servers import EdgemereServer, run_edgemere

# Each planted in its own way; what is found tells which.
CANARY = "canary-7f3a"
PLANTED = {
    "EDGEMERE_SECRET_STORE": f"{CANARY}-store", "EDGEMERE_SECRET_DB": f"{CANARY}-database", "EDGEMERE_MESH_SECRET": f"{CANARY}-mesh-secret-long",
    "EDGEMERE_SECRET_LAB_TOKEN": f"{CANARY}-token",
}


@pytest.fixture
def server(edgemere_server: Callable[..., EdgemereServer]) -> EdgemereServer:
    return edgemere_server(environment=PLANTED)


def sent(server: EdgemereServer, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
    request = urllib.request.Request(server.url + path, None if body is None else json.dumps(body).encode(),
                                     {"Content-Type": "application/json", "Prefer": "wait=100", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")


def test_what_is_planted_as_a_secret_is_found_nowhere(server, tmp_path):
    said: list[str] = []

    def post(path: str, **body: Any) -> int:
        status, text = sent(server, path, body)
        said.append(f"{path} {text}")
        return status
    fmdm, do, closed = "/edgemere/diml/dml/fmdm", "/edgemere/diml/dml/do", free_port()
    # By reference: taken, used by a worker that fails, and told in words of the failure.
    assert post(f"{fmdm}/datasource/create", name="store", adaptor="fsspec", parameters={"url": "s3://b/x", "storage_options": {
        "key": "id", "secret": {"secret": "STORE"}, "endpoint_url": f"http://127.0.0.1:{closed}", "region": "us-east-1"}}) == 201
    assert post(f"{fmdm}/datasource/create", name="base", adaptor="sql", parameters={
        "url": f"postgresql://u@127.0.0.1:{closed}/x", "password": "${EDGEMERE_SECRET_DB}"}) == 201
    assert post(f"{do}/datareference/create", name="app", query="a:1", connection={"token": {"secret": "LAB_TOKEN"}, "url": "http://u:${X}@h/"}) == 201
    # Written out: refused, and nowhere repeated.
    for parameters in ({"url": "s3://b/y", "storage_options": {"secret": f"{CANARY}-written"}}, {"url": f"s3://u:{CANARY}-url@b/y"}):
        assert post(f"{fmdm}/datasource/create", name="refused", adaptor="fsspec", parameters=parameters) == 422
    assert post(f"{fmdm}/datasource/create", name="refused", adaptor="sql", parameters={"url": f"postgresql://u:{CANARY}-dsn@127.0.0.1/x"}) == 422
    for connection in ({"password": f"{CANARY}-password"}, {"deep": [{"api_key": f"{CANARY}-key"}]}, {"url": f"amqp://u:{CANARY}-amqp@h/"}):
        assert post(f"{do}/datareference/create", name="refused", query="a:1", connection=connection) == 422
    assert post(f"{do}/event/send", event="datarequest.needed", obj={"name": "m", "query": "a:1", "password": f"{CANARY}-message"}) == 422
    sent(server, f"{do}/datarequest/list", headers={"Authorization": f"Bearer {CANARY}-bearer"})
    sent(server, f"{do}/datarequest/list", headers={"Cookie": f"edgemere_session={CANARY}-cookie"})
    # Every question there is, on REST; the documents, the figures and what the machine tells.
    refs = {"datasource": ("store", "base"), "datareference": ("app",), "datarequest": ("m",)}
    for row in ACTIONS.values():
        if row.kind != "query" or row.answer in ("stream", "content"):
            continue
        for ref in refs.get(row.path[0], ("nothing",))[:2] if "id" in row.parameters._declared_fields else (None,):
            given = {**row.example, **({"id": ref} if ref else {})}
            said.append(f"{row.name} {sent(server, row.address, given)[1]}")
    said += [sent(server, path)[1] for path in ("/metrics", "/openapi.json", "/asyncapi.json", "/health/ready", "/web/table.json", "/docs")]
    for words in (("doctor",), ("fmdm", "datasource", "show", "--id", "store", "-o", "json"), ("do", "event", "list", "-o", "yaml", "--limit", "500"),
                  ("fmdm", "datasource", "list", "-o", "wide"), ("--curl", "fmdm", "datasource", "show", "--id", "base")):
        done = run_edgemere(*words, EDGEMERE_URL=server.url, **PLANTED)
        said.append(f"{words} {done.stdout}{done.stderr}")
    log = server.log_path.read_text(errors="replace")
    server.stop()
    found = [one[max(0, at - 100):at + 60] for one in (*said, log) if (at := one.find(CANARY)) >= 0]
    assert found == []
    for file in sorted(Path(server.data).rglob("*")):
        assert not file.is_file() or CANARY.encode() not in file.read_bytes(), file


def test_a_service_that_fails_unforeseen_tells_no_secret(edgemere_server, tmp_path):
    settings = tmp_path / "settings.yaml"
    settings.write_text("events: {retry_backoff_s: [0.1]}\n")
    with Collector() as collector:
        server = edgemere_server(environment={"EDGEMERE_TRACING": collector.endpoint, "EDGEMERE_TRACING_SAMPLE": "1"},
                                 options=("--config", str(settings)))
        fmdm, do = "/edgemere/diml/dml/fmdm", "/edgemere/diml/dml/do"
        assert sent(server, f"{fmdm}/datasource/simulate", {"name": "lab", "listing": {f"{CANARY}.csv": {"size": 1, "tags": {"note": CANARY}}}})[0] == 201
        # The databases refuse, while the services run, in words that have a secret in them: nobody foresaw that.
        for service, table in (("events", "apikey"), ("reservations", "datareservation")):
            with closing(sqlite3.connect(server.data / f"{service}.db", timeout=120)) as database:
                database.execute(f"CREATE TRIGGER unforeseen BEFORE INSERT ON {table} BEGIN "
                                 f"SELECT RAISE(ABORT, 'forwarded to postgresql://mesh:{CANARY}-a@far/x with password={CANARY}-b in vain'); END")
                database.commit()
        # A call that was to write what the caller gave.
        status, said = sent(server, f"{do}/apikey/create", {"name": f"{CANARY}-name"}, {"X-Request-Id": "fails-in-a-call"})
        problem = json.loads(said)
        assert (status, problem["code"]) == (500, "internal") and "fails-in-a-call" in said and problem["next_step"]
        assert not [word for word in (CANARY, "Error", "INSERT", "SELECT", "in vain", "Traceback", ".py") if word in said], said
        # A message whose handler was to write what was found.
        sent(server, f"{do}/datarequest/create", {"name": "fails", "query": f"note:{CANARY}"}, {"Prefer": "wait=0"})
        letter = until(lambda: json.loads(sent(server, f"{do}/event/dead/list")[1])["items"])[0]
        assert letter["code"] == "internal" and "in vain" in letter["reason"]
        told = [letter["reason"], json.dumps(letter["headers"])]
        # Whoever has to mend it finds the call, and why, in the log.
        log = server.log_path.read_text(errors="replace")
        assert "fails-in-a-call" in log and "in vain" in log and "Traceback" in log
        failed = until(lambda: [span for span in collector.spans if span.failed])
        told += [log, *(f"{span.name} {span.attributes}" for span in failed)]
        assert [one[max(0, at - 200):at + 60] for one in told if (at := one.find(CANARY)) >= 0] == []


def test_no_process_of_the_mesh_leaves_a_dump_of_its_memory(server, tmp_path):
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "a.csv").write_text("a\n1\n")
    # Reading it takes a worker: those that alone have the secrets of sources.
    assert sent(server, "/edgemere/diml/dml/fmdm/datasource/create", {"name": "near", "adaptor": "file", "parameters": {"rootdir": str(lab)}})[0] == 201
    first = psutil.Process(server.process.pid)
    family = [first, *first.children(recursive=True)]
    assert len(family) > 1
    assert {process.pid: process.rlimit(psutil.RLIMIT_CORE) for process in family} == {process.pid: (0, 0) for process in family}


@pytest.mark.parametrize("text", [
    f"no way to amqp://mesh:{CANARY}@rabbit/mesh", f"connection failed: password={CANARY} host=h", f"401 for Authorization: Bearer {CANARY}-0123456789",
    f"{{'access_key': '{CANARY}'}}"])
def test_the_reason_of_a_dead_letter_and_of_a_job_hides_what_looks_like_a_secret_in_an_error_that_nobody_foresaw(text):
    letter = dead_letter(Delivery("consumer.event", "edgemere.events", "event", b"{}", {}, {}), RuntimeError(text))
    for told in (letter.headers["x-error"], failure(RuntimeError(text))["detail"]):
        assert told.startswith("RuntimeError: ") and CANARY not in told
