"""Each alert is made to fire by its fault, on a real mesh and a real Prometheus, and clears when its runbook is followed.

The rules are those of ``deploy/monitoring/alerts.yaml``; only times and the two numbers that name large amounts are smaller.
"""
from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from kombu import Connection

from tests.support.debian import unpacked
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer, plain_url
from tests.support.prometheus import Prometheus
from tests.support.rabbitmq import RabbitNode
from tests.support.reaper import end_group, reaper
from tests.support.servers import ROOT, project_environment, run_edgemere
from tests.support.supervised import SupervisedMesh

GIB = 1 << 30
SETTINGS = {
    # Nothing but the runbook mends a process that hangs.
    "supervisor": {"probe_failures": 100}, "health": {"figures_every_s": 1}, "broker": {"heartbeat_s": 3},
    "database": {"pool_size": 12, "statement_timeout_s": 3}, "requests": {"quiet_s": 6}, "rpc": {"timeout_s": 3},
    "events": {"retry_backoff_s": [0.2, 1, 2]}, "instances": {"copy_retries": 1, "grace_s": 1},
}


def quick_rules() -> dict[str, Any]:
    """The shipped rules, with short times and smaller amounts."""
    rules = yaml.safe_load((ROOT / "deploy" / "monitoring" / "alerts.yaml").read_text())
    for rule in rules["groups"][0]["rules"]:
        rule["expr"] = re.sub(r"\[\d+m\]", "[10s]", rule["expr"]).replace("> 60", "> 5").replace("> 10000", "> 2000")
        rule["for"] = "1s"
    rules["groups"][0]["interval"] = "1s"
    return rules


class Ward:
    """A mesh on servers of its own, and the Prometheus that watches it."""

    def __init__(self, folder: Path, mesh: SupervisedMesh, node: RabbitNode, postgres: PostgresServer, prometheus: Prometheus) -> None:
        self.folder, self.mesh, self.node, self.postgres, self.prometheus = folder, mesh, node, postgres, prometheus
        self.numbers = iter(range(10_000))
        self.took: dict[str, tuple[float, float]] = {}

    def fires_and_clears(self, fault: str, alerts: list[str], mend: Callable[[], object], limit_s: float = 90) -> None:
        """Wait for the alerts of a fault that has begun, mend it, and wait until they are gone."""
        fired = {alert: self.prometheus.until(lambda alert=alert: alert in self.prometheus.firing(), limit_s, f"{fault}: {alert} fires")
                 for alert in alerts}
        mend()
        for alert in alerts:
            self.took[alert] = fired[alert], self.prometheus.until(
                lambda alert=alert: alert not in self.prometheus.firing(), limit_s, f"{fault}: {alert} clears")
        self.mesh.wait_until_ready(60)

    def ask(self, path: str, body: dict[str, Any] | None = None, prefer: str = "wait=20") -> tuple[int, Any]:
        request = urllib.request.Request(
            f"{self.mesh.url}/edgemere/diml/dml/{path}", None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Prefer": prefer})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        except OSError:
            return 0, None

    def source(self, name: str, **more: Any) -> Path:
        folder = self.folder / name
        folder.mkdir()
        for number in range(3):
            (folder / f"{number}.bin").write_bytes(os.urandom(4500))
        parameters = {"rootdir": str(folder), **more.pop("parameters", {})}
        status, told = self.ask("fmdm/datasource/create", {"name": name, "adaptor": "file", "parameters": parameters, **more})
        assert status == 201, told
        return folder

    def signal(self, name: str, number: int) -> None:
        for pid in self.mesh.pids(name):
            os.kill(pid, number)

    @contextmanager
    def asking(self, path: str, threads: int = 4) -> Iterator[None]:
        """Clients that ask again and again meanwhile."""
        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                self.ask(path)
                time.sleep(0.05)

        clients = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            over.set()
            for client in clients:
                client.join(120)


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    node, postgres = RabbitNode.start(), PostgresServer.start()
    settings = {**SETTINGS, "health": {**SETTINGS["health"], "least_room_bytes": shutil.disk_usage(tmp_path).free - 3 * GIB}}
    mesh = SupervisedMesh(tmp_path / "mesh", node, postgres, settings=settings)
    try:
        mesh.start()
        with Prometheus(tmp_path / "prometheus", quick_rules(), [mesh.data / "targets.json", tmp_path / "more.json"]) as prometheus:
            prometheus.until(lambda: len(prometheus.value("up == 1")) == 6, 30, "all processes are seen")
            yield Ward(tmp_path, mesh, node, postgres, prometheus)
    finally:
        for server in (node, postgres):
            try:
                server.thaw()
            except Exception:
                pass
        mesh.stop()
        node.stop()
        postgres.stop()


def a_process_that_hangs(ward: Ward) -> None:
    ward.signal("catalog", signal.SIGSTOP)
    ward.ask("do/datarequest/create", {"query": "source:camera", "name": "meanwhile"}, "wait=0")
    ward.fires_and_clears("the catalogue hangs", ["EdgemereProcessGone", "EdgemereRetries", "EdgemereQueueUnread"],
                          lambda: ward.signal("catalog", signal.SIGKILL))


def a_database_that_does_not_answer(ward: Ward) -> None:
    with ward.asking("do/datarequest/list"), ward.asking("fmdm/data/list"):
        ward.postgres.freeze()
        ward.fires_and_clears("the database is frozen", ["EdgemereNotReady", "EdgemereErrors", "EdgemereSlow"], ward.postgres.thaw)


def a_statement_that_blocks_others(ward: Ward) -> None:
    blocking = psycopg2.connect(plain_url(ward.mesh.database_url))
    blocking.cursor().execute("LOCK TABLE requests.datarequest IN ACCESS EXCLUSIVE MODE")
    with ward.asking("do/datarequest/list", 40):
        ward.fires_and_clears("a table is locked", ["EdgemereDatabaseConnections"], blocking.close)


def a_broker_that_takes_nothing(ward: Ward) -> None:
    ward.ask("fmdm/datasource/simulate", {"name": "flood", "listing": {f"f{n}": {"size": 1} for n in range(20_000)}}, "wait=0")
    time.sleep(1)
    ward.node.freeze()
    ward.fires_and_clears("the broker is frozen", ["EdgemereOutboxLag"], ward.node.thaw)


def a_consumer_that_falls_behind(ward: Ward) -> None:
    ward.signal("requests", signal.SIGSTOP)
    ward.ask("fmdm/datasource/simulate", {"name": "more", "listing": {f"m{n}": {"size": 1} for n in range(6_000)}}, "wait=0")
    ward.fires_and_clears("requests falls behind", ["EdgemereQueueBacklog"], lambda: ward.signal("requests", signal.SIGKILL))


def a_message_about_nothing(ward: Ward) -> None:
    ward.ask("do/event/send", {"event": "datareference.provisioning", "obj": "comes-later"})

    def mend() -> None:
        listed = run_edgemere("do", "event", "dead", "list", EDGEMERE_URL=ward.mesh.url)
        assert "comes-later" in listed.stdout or "datareference.provisioning" in listed.stdout, listed.stdout + listed.stderr
        assert ward.ask("do/datareference/create", {"name": "comes-later", "query": "source:camera"})[0] == 201
        replayed = run_edgemere("do", "event", "dead", "replay", "--all", EDGEMERE_URL=ward.mesh.url)
        assert replayed.returncode == 0, replayed.stderr

    ward.fires_and_clears("a message names what is not there", ["EdgemereDeadLetters"], mend)


def a_broker_that_lost_a_message(ward: Ward) -> None:
    ward.signal("reservations", signal.SIGSTOP)
    queue = "reservations.datarequest.needed"
    with Connection(ward.mesh.amqp_uri) as connection:
        def consumers() -> int:
            return connection.default_channel.queue_declare(queue, passive=True).consumer_count

        ward.prometheus.until(lambda: consumers() == 0, 60, "the broker lets go of the frozen consumer")
        ward.ask("do/datarequest/create", {"query": "source:camera", "name": "forgotten"}, "wait=0")
        ward.prometheus.until(lambda: connection.default_channel.queue_purge(queue) > 0, 30, "the message is there to be lost")
    ward.signal("reservations", signal.SIGKILL)
    ward.fires_and_clears("a message was lost", ["EdgemereSweeperCatches"], lambda: None)
    assert ward.ask("do/datarequest/show?id=forgotten")[1]["state"] == "Satisfied"


def a_target_that_takes_no_file(ward: Ward) -> None:
    target = ward.source("scratch", parameters={"writable": True})
    shutil.rmtree(target)
    target.write_text("no folder any more")
    ward.ask("do/datarequest/create", {"query": "source:camera", "name": "copies", "action": "copy", "target": "scratch"})

    def mend() -> None:
        target.unlink()
        target.mkdir()
        ward.ask("do/datarequest/retry", {"id": "copies"})

    ward.fires_and_clears("the target cannot be written", ["EdgemereMoverFails"], mend)
    assert ward.ask("do/datarequest/show?id=copies")[1]["state"] == "Satisfied"


def a_target_that_is_full(ward: Ward) -> None:
    ward.source("small", parameters={"writable": True}, capacity={"bytes": 14_000})
    ward.ask("do/datarequest/create", {"query": "source:camera", "name": "fills", "action": "copy", "target": "small"})
    assert ward.ask("do/datarequest/show?id=fills")[1]["state"] == "Satisfied"
    ward.fires_and_clears("a target is full", ["EdgemereSourceFull"], lambda: ward.ask("do/datarequest/complete", {"id": "fills"}))


def a_disk_that_is_full(ward: Ward) -> None:
    file = ward.mesh.data / "left-behind"
    with open(file, "wb") as made:
        os.posix_fallocate(made.fileno(), 0, 6 * GIB)
    ward.fires_and_clears("the disk is full", ["EdgemereRoom"], file.unlink)


@contextmanager
def beside(ward: Ward, *words: str, **environment: str) -> Iterator[Callable[[], None]]:
    """A further process of the mesh, which Prometheus knows; gives what ends it."""
    port = free_port()
    alone = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", *words], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True, env=project_environment(
            EDGEMERE_AMQP_URI=ward.mesh.amqp_uri, EDGEMERE_DATABASE_URL=ward.mesh.database_url, EDGEMERE_DATA=str(ward.folder / "alone"),
            EDGEMERE_MESH_SECRET_FILE=str(ward.mesh.data / "mesh.secret"), EDGEMERE_HEALTH_PORT=str(port), **environment))
    reaper.watch_group(alone.pid)
    (ward.folder / "more.json").write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"], "labels": {"process": f"{words[0]}-2"}}]))

    def end() -> None:
        if alone.poll() is None:
            (ward.folder / "more.json").write_text("[]")
            end_group(alone.pid)
            alone.wait()
            reaper.forget_group(alone.pid)

    try:
        yield end
    finally:
        end()


def a_machine_with_a_wrong_clock(ward: Ward) -> None:
    library = next(unpacked("faketime", ["faketime"]).glob("usr/lib/*/faketime/libfaketimeMT.so.1"))
    # A clock that is set right is a process that is started again.
    with beside(ward, "catalog", LD_PRELOAD=str(library), FAKETIME="+20s", DONT_FAKE_MONOTONIC="1") as end:
        ward.fires_and_clears("a clock is wrong", ["EdgemereClockSkew"], end)


def an_audit_log_that_takes_nothing(ward: Ward) -> None:
    port, over = free_port(), threading.Event()
    (ward.folder / "locked.yaml").write_text("auth: {mode: required}\nweb: {trusted_proxies: [127.0.0.1]}\n")

    def flood() -> None:
        # Wrong keys from a great many places, as a proxy in front would tell them.
        for number in range(1 << 24):
            if over.is_set():
                return
            asked = urllib.request.Request(f"http://127.0.0.1:{port}/edgemere/diml/dml/do/identity/show", headers={
                "Authorization": "Bearer edk_wrong", "X-Forwarded-For": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"})
            with suppress(OSError):
                urllib.request.urlopen(asked, timeout=120).close()

    def mend() -> None:
        over.set()
        ward.signal("events", signal.SIGKILL)

    flooding = threading.Thread(target=flood, daemon=True)
    with beside(ward, "gateway", "--config", str(ward.folder / "locked.yaml"), "--port", str(port)):
        ward.prometheus.until(lambda: bool(ward.prometheus.value('edgemere_audit_lost_total{process="gateway-2"}')), 60, "the gateway is seen")
        ward.signal("events", signal.SIGSTOP)
        flooding.start()
        try:
            ward.fires_and_clears("the audit log takes nothing", ["EdgemereAuditLost", "EdgemereRefusals"], mend)
        finally:
            over.set()


FAULTS = [a_process_that_hangs, a_database_that_does_not_answer, a_statement_that_blocks_others, a_broker_that_takes_nothing,
          a_consumer_that_falls_behind, a_message_about_nothing, a_broker_that_lost_a_message, a_target_that_takes_no_file,
          a_target_that_is_full, a_disk_that_is_full, a_machine_with_a_wrong_clock, an_audit_log_that_takes_nothing]


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_every_alert_fires_by_its_fault_and_clears_by_its_runbook(ward):
    ward.source("camera")
    for fault in FAULTS:
        fault(ward)
        ward.prometheus.until(lambda: not ward.prometheus.firing(), 120, f"after {fault.__name__} nothing fires any more")
    print("\n" + "\n".join(f"{alert}: fired after {fired:.0f} s, cleared after {cleared:.0f} s" for alert, (fired, cleared) in ward.took.items()))
    assert ward.took.keys() == {rule["alert"] for rule in quick_rules()["groups"][0]["rules"]}
