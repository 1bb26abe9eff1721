"""The mesh of many processes: started, looked after, scaled and ended by its supervisor, on real servers."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

from tests.support.awaiting import until
from tests.support.ports import free_port
from tests.support.reaper import end_group, reaper
from tests.support.servers import ROOT, project_environment, run_edgemere

IMPATIENT = {"supervisor": {"probe_every_s": 0.5, "probe_timeout_s": 6, "probe_failures": 2}}


def is_there(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_processes_that_die_or_hang_are_replaced_and_all_end_with_the_supervisor(production_mesh):
    mesh = production_mesh(settings=IMPATIENT)
    until(lambda: "Ready: " in mesh.log_tail() and len(mesh.pids()) == 6)

    killed, = mesh.pids("requests")
    frozen, = mesh.pids("catalog")
    os.kill(killed, signal.SIGKILL)
    os.kill(frozen, signal.SIGSTOP)
    until(lambda: len(mesh.pids()) == 6 and not {killed, frozen} & set(mesh.pids()))
    mesh.wait_until_ready()
    assert "catalog-1 is ended, because 2 times in a row it did not answer" in mesh.log_tail()
    assert "requests-1 was ended by SIGKILL" in mesh.log_tail()

    left = mesh.pids()
    # One that is stopped could not notice by itself that its supervisor is gone.
    os.kill(mesh.pids("events")[0], signal.SIGSTOP)
    mesh.kill9()
    until(lambda: not any(map(is_there, left)), limit_s=120)


def test_replicas_share_the_work_and_end_cleanly(production_mesh, tmp_path):
    everything = dict.fromkeys(("requests", "reservations", "instances", "catalog", "events", "gateway"), 2)
    mesh = production_mesh(replicas=everything)
    assert len(mesh.pids()) == 12
    (tmp_path / "lab").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "lab" / "a.csv").write_text("some bytes")
    _post(mesh, "/edgemere/diml/dml/fmdm/datasource/create", name="lab", adaptor="file", parameters={"rootdir": str(tmp_path / "lab")})
    _post(mesh, "/edgemere/diml/dml/fmdm/datasource/create", name="results", adaptor="file",
          parameters={"rootdir": str(tmp_path / "results"), "writable": True})
    for number in range(8):
        made = _post(mesh, "/edgemere/diml/dml/do/datarequest/create", name=f"r{number}", query="name:*.csv", action="copy",
                     target="results", prefer="wait=100")
        assert made["state"] == "Satisfied", made
        # Either replica of instances may be asked; the bytes come from the one that made the ticket.
        address = f"{mesh.url}/edgemere/diml/dml/do/datainstance/content?id=r{number}-0"
        with urllib.request.urlopen(address, timeout=120) as answer:
            assert answer.read() == b"some bytes"
    left = mesh.pids()
    assert mesh.terminate() == 0
    assert not any(map(is_there, left))


def test_a_replica_of_something_unknown_is_refused_with_the_nearest_name():
    refused = run_edgemere("up", "--replicas", "request=2", EDGEMERE_AMQP_URI="amqp://guest:guest@127.0.0.1:1//",
                           EDGEMERE_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert refused.returncode == 1 and "'request'" in refused.stderr and "'requests'" in refused.stderr


@pytest.mark.parametrize("number", ["0", "two", ""])
def test_a_number_of_replicas_is_a_number(number):
    refused = run_edgemere("up", "--replicas", f"requests={number}", EDGEMERE_AMQP_URI="amqp://guest:guest@127.0.0.1:1//")
    assert refused.returncode == 2 and "requests=" in refused.stderr


def test_the_embedded_mesh_has_no_replicas_and_says_what_does(tmp_path):
    refused = run_edgemere("up", "--replicas", "requests=2", "--data", str(tmp_path / "data"))
    assert refused.returncode == 1 and "EDGEMERE_AMQP_URI" in refused.stderr


def test_replicas_on_files_are_refused(tmp_path):
    refused = run_edgemere("up", "--replicas", "requests=2", "--data", str(tmp_path / "data"),
                           EDGEMERE_AMQP_URI="amqp://guest:guest@127.0.0.1:1//")
    assert refused.returncode == 1 and "EDGEMERE_DATABASE_URL" in refused.stderr


def _post(mesh: Any, address: str, prefer: str = "wait=100", **body: Any) -> Any:
    request = urllib.request.Request(mesh.url + address, json.dumps(body).encode(), {
        "Content-Type": "application/json", "Prefer": prefer})
    with urllib.request.urlopen(request, timeout=150) as answer:
        return json.load(answer)


def test_one_service_alone_tells_of_itself_and_ends_when_it_is_told_to(shared_production_mesh, tmp_path):
    mesh = shared_production_mesh
    address = f"http://127.0.0.1:{free_port()}"
    alone = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "requests"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        env=project_environment(EDGEMERE_AMQP_URI=mesh.amqp_uri, EDGEMERE_DATABASE_URL=mesh.database_url, EDGEMERE_DATA=str(tmp_path),
                                EDGEMERE_MESH_SECRET_FILE=str(mesh.data / "mesh.secret"),
                                EDGEMERE_HEALTH_PORT=address.rpartition(":")[2]), start_new_session=True)
    reaper.watch_group(alone.pid)
    try:
        assert alone.stdout.readline().startswith(f"Ready: requests  (health at {address}")
        assert json.loads(_get(f"{address}/health/live"))["ok"]
        assert json.loads(_get(f"{address}/health/ready"))["ok"]
        until(lambda: b"edgemere_handled_total{" in _get(f"{address}/metrics"))
        assert b'edgemere_outbox_lag_seconds{service="requests"}' in _get(f"{address}/metrics")
        alone.terminate()
        assert alone.wait(120) == 0
    finally:
        end_group(alone.pid)
        alone.wait()
        reaper.forget_group(alone.pid)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=150) as answer:
        return answer.read()
