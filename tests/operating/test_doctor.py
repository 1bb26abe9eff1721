"""``edgemere doctor`` looks at a mesh that runs, names what is wrong with it, and says what to do."""
from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import sysconfig
import threading
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from shared.kernel.version import VERSION
from tests.interface.rights.certificates import Authority
from tests.support import fuse
from tests.support.ports import free_port
from tests.support.servers import ROOT, EdgemereServer, project_environment, run_edgemere


def _doctor(server, *options: str, url: str = "", **environment: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    done = run_edgemere("doctor", "-o", "json", "--url", url or server.url, "--data", str(server.data), *options, **environment)
    found: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(done.stdout):
        found.setdefault(finding["what"], []).append(finding)
    return done.returncode, found


def test_doctor_finds_dead_letters_and_a_full_disk_in_a_running_mesh_and_nothing_in_a_sound_one(edgemere_server, tmp_path):
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"health: {{figures_every_s: 0.3, least_room_bytes: {shutil.disk_usage(tmp_path).total * 2}}}\n")
    sound, full = edgemere_server("sound"), edgemere_server("full", options=["--config", str(settings)])
    code, found = _doctor(sound)
    assert code == 0, found
    assert {"versions", "queues", "outbox", "dead letters", "clocks"} <= found.keys()
    assert {finding["verdict"] for what in found.values() for finding in what if finding["what"] != "packages"} == {"ok"}, found
    request = urllib.request.Request(f"{full.url}/edgemere/diml/dml/do/event/send", json.dumps(
        {"event": "datareference.provisioning", "obj": "not-there"}).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=120).read()
    end = time.monotonic() + 120
    while time.monotonic() < end:
        code, found = _doctor(full)
        if found["dead letters"][0]["verdict"] == "warn":
            break
    assert code == 1
    assert "1 of instances.datareference.provisioning" in found["dead letters"][0]["said"]
    assert "event dead replay" in found["dead letters"][0]["next_step"]
    assert found["room"][0]["verdict"] == "fail" and found["room"][0]["next_step"]


@pytest.fixture(scope="module")
def sound_server(tmp_path_factory):
    with EdgemereServer(tmp_path_factory.mktemp("doctor")) as running:
        yield running


@contextmanager
def _listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port at which every connection is given to ``answer``."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answered, args=(connection,), daemon=True).start()

    def answered(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            answer(connection)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


# What another process of the mesh could tell, and the finding that it leads to.
TOLD = {
    "versions": ('edgemere_build_info{version="0.0.9"} 1', "warn", "0.0.9"),
    "queues": ('edgemere_queue_consumers{queue="evt-a"} 0\nedgemere_queue_messages{queue="evt-b"} 20000', "fail", "Nobody reads evt-a"),
    "outbox": ('edgemere_outbox_lag_seconds{service="requests"} 100', "fail", "requests has messages that wait for 100 s"),
    "clocks": ('edgemere_clock_skew_seconds{service="catalog"} -7.5', "warn", "catalog is 7.5 s behind"),
    "sources": ('edgemere_source_filled_ratio{source="scratch",kind="bytes"} 0.95', "warn", "scratch has 95% of its bytes in use"),
}


@pytest.mark.parametrize("what", TOLD)
def test_doctor_reads_what_every_process_of_a_mesh_tells(what, sound_server):
    told, verdict, said = TOLD[what]
    documented = (ROOT / "docs" / "operating.md").read_text()
    assert all(line.partition("{")[0] in documented for line in told.splitlines()), "nobody tells this any more"

    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(f"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n{told}\n".encode())

    targets = sound_server.data / "targets.json"
    with _listening(answer) as port:
        targets.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}", f"127.0.0.1:{sound_server.port}"]}]))
        try:
            code, found = _doctor(sound_server)
        finally:
            targets.unlink()
    wrong = [finding for finding in found[what] if finding["verdict"] != "ok"]
    assert wrong[0]["verdict"] == verdict and said in wrong[0]["said"] and wrong[0]["next_step"], wrong
    assert code == (1 if verdict == "fail" else 0)
    if what == "queues":
        assert "20000 messages wait in evt-b" in wrong[1]["said"]


def test_doctor_says_whether_strangers_are_let_in_where_others_reach_the_server(edgemere_server, tmp_path):
    # An address that is this machine and is not called so.
    (tmp_path / "open.yaml").write_text("web: {allowed_hosts: [0.0.0.0]}\n")
    (tmp_path / "locked.yaml").write_text("web: {allowed_hosts: [0.0.0.0]}\nauth: {mode: required}\n")
    for kind, verdict, said in (("open", "fail", "answers whoever asks"), ("locked", "ok", "refused (401)")):
        server = edgemere_server(kind, options=["--config", str(tmp_path / f"{kind}.yaml")])
        code, found = _doctor(server, url=f"http://0.0.0.0:{server.port}")
        finding, = found["strangers"]
        assert finding["verdict"] == verdict and said in finding["said"], finding
        assert code == (1 if verdict == "fail" else 0)


def test_doctor_looks_at_the_certificate_of_the_broker(sound_server, tmp_path):
    authority = Authority(tmp_path, "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("broker"))

    def shake_hands(connection: socket.socket) -> None:
        with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1)

    def hang_up(connection: socket.socket) -> None:
        connection.sendall(b"AMQP\0\0\x09\1")

    with _listening(shake_hands) as secure, _listening(hang_up) as plain:
        for port, ca, verdict, said in ((secure, str(authority.ca), "warn", "ends in 1 days"), (secure, "", "fail", "is not trusted"),
                                        (plain, str(authority.ca), "fail", "does not speak TLS")):
            more = {"SSL_CERT_FILE": ca} if ca else {}
            code, found = _doctor(sound_server, EDGEMERE_AMQP_URI=f"amqps://localhost:{port}//", **more)
            finding, = found["certificates"]
            assert finding["verdict"] == verdict and said in finding["said"] and finding["next_step"], finding
            assert code == (1 if verdict == "fail" else 0)


def test_doctor_says_that_a_server_is_there_whose_certificate_is_not_trusted(sound_server, tmp_path):
    authority = Authority(tmp_path, "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))

    def lead_on(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure, socket.create_connection(("127.0.0.1", sound_server.port)) as inner:
            threading.Thread(target=_pump, args=(inner, secure), daemon=True).start()
            _pump(secure, inner)

    with _listening(lead_on) as proxy:
        url = f"https://localhost:{proxy}"
        code, found = _doctor(sound_server, url=url)
        finding, = found["server"]
        assert code == 1 and finding["verdict"] == "fail", found
        assert finding["said"] == f"The certificate of {url} is not trusted: unable to get local issuer certificate"
        assert "SSL_CERT_FILE" in finding["next_step"] and "port" not in found
        asked = run_edgemere("do", "datarequest", "list", "--url", url)
        assert asked.returncode == 6 and f"The certificate of {url} is not trusted" in asked.stderr and "SSL_CERT_FILE" in asked.stderr
        code, found = _doctor(sound_server, url=url, SSL_CERT_FILE=str(authority.ca))
        assert code == 0 and "is ready" in found["server"][0]["said"]
        assert "that of the server at localhost" in found["certificates"][0]["said"] and "ends in" in found["certificates"][0]["said"]


def test_doctor_says_which_part_of_a_mesh_is_not_ready(production_mesh):
    mesh = production_mesh()
    mesh_is = {"EDGEMERE_AMQP_URI": mesh.amqp_uri, "EDGEMERE_DATABASE_URL": mesh.database_url}
    end = time.monotonic() + 120
    while (told := _doctor(mesh, **mesh_is))[0]:
        # What it reads of queues is some seconds old.
        assert time.monotonic() < end, [finding for what in told[1].values() for finding in what if finding["verdict"] != "ok"]
    assert told[1]["server"][0]["verdict"] == "ok"
    pid, = mesh.pids("catalog")
    os.kill(pid, signal.SIGSTOP)
    try:
        end = time.monotonic() + 120
        # A readiness that was asked for a moment ago holds for a second.
        while not (told := _doctor(mesh, **mesh_is))[0]:
            assert time.monotonic() < end
    finally:
        os.kill(pid, signal.SIGCONT)
    finding, = told[1]["server"]
    assert told[0] == 1 and finding["verdict"] == "fail"
    assert f"{mesh.url} is not ready: Not ready: catalog." in finding["said"], finding
    assert finding["next_step"] == "Wait a moment, or read what it writes."


def test_doctor_names_the_packages_that_are_missing(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    packages = next((tmp_path / "env").glob("lib/python*/site-packages"))
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        # All but these two, as after an installation that was broken off.
        if not path.name.lower().replace("_", "-").startswith(("alembic", "google-re2")):
            (packages / path.name).symlink_to(path)
    done = subprocess.run([str(tmp_path / "env/bin/python"), "-m", "gateway", "doctor", "--url", f"http://127.0.0.1:{free_port()}", "--data",
                           str(tmp_path / "data")], cwd=ROOT, env=project_environment(), capture_output=True, text=True, timeout=120)
    line = next(line for line in done.stdout.splitlines() if line[6:14] == "packages")
    assert done.returncode == 1 and line.split()[:2] == ["fail", "packages"] and line.endswith("Missing: alembic, google-re2."), done.stdout + done.stderr
    assert "Next: Remove the folder .venv of the project and call ./edgemere again." in done.stdout


def test_doctor_warns_where_the_data_folder_has_little_room(tmp_path):
    # A file system of its own, that only this command sees.
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs -o size=64m small "$0" && exec "$@"', str(tmp_path),
         sys.executable, "-m", "gateway", "doctor", "-o", "json", "--url", f"http://127.0.0.1:{free_port()}", "--data", str(tmp_path / "data")],
        cwd=ROOT, env=project_environment(), capture_output=True, text=True, timeout=120)
    finding, = (one for one in json.loads(done.stdout) if one["what"] == "data folder")
    assert finding["verdict"] == "warn" and "data (made at the first start) has only 64.0 MiB left." in finding["said"], finding
    assert finding["next_step"] == "Make room, or name another with --data."


def test_doctor_says_what_is_not_there_before_anything_runs(tmp_path):
    nobody = free_port()
    (tmp_path / "file").write_text("a file")
    with _listening(lambda connection: None) as taken:
        done = run_edgemere("doctor", "-o", "json", "--url", f"http://127.0.0.1:{nobody}", "--data", str(tmp_path / "file" / "data"),
                            EDGEMERE_PORT=str(taken), EDGEMERE_AMQP_URI=f"amqp://u:hidden@127.0.0.1:{nobody}//",
                            EDGEMERE_DATABASE_URL=f"postgresql+psycopg2://u:hidden@127.0.0.1:{nobody}/x")
    found = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert {what for what, finding in found.items() if finding["verdict"] == "fail"} == {"data folder", "broker", "database", "port"}, found
    assert found["server"]["verdict"] == "warn" and done.returncode == 1 and "hidden" not in done.stdout
    assert all(finding["next_step"] for finding in found.values() if finding["verdict"] != "ok")


def test_the_version_is_written_in_one_place_for_programs_and_one_for_packaging():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


@pytest.mark.parametrize("setting", ["auto", "never"])
def test_doctor_says_whether_data_of_stores_can_be_mounted_and_why_not(tmp_path, setting):
    done = run_edgemere("doctor", "-o", "json", "--url", f"http://127.0.0.1:{free_port()}", "--data", str(tmp_path / "data"),
                        EDGEMERE_FUSE=setting, **fuse.environment())
    finding, = (one for one in json.loads(done.stdout) if one["what"] == "fuse")
    assert finding["verdict"] == "ok"
    if setting == "never":
        assert finding["said"].startswith("The configuration turns FUSE off (instances.fuse: never). Data of stores")
    elif fuse.mounts_here():
        assert finding["said"].startswith("data of stores and web servers can be mounted")
    else:
        assert "read through the server" in finding["said"] or not fuse.library() or "can be mounted" in finding["said"]
