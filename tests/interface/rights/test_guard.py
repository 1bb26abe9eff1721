"""The guard over the connections of a worker process: no client, however it resolves and connects, reaches an internal address.

No packet leaves the loopback interface: what is "public" here is only ever resolved, and refused or not connected to.
"""
from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from shared.kernel.errors import EdgemereError, Invalid
from shared.sources.port import SourcePolicy
from shared.sources.registry import check_parameters
from tests.support.servers import ROOT, project_environment

PUBLIC = "93.184.216.34"

# A worker in short: it stands guard, its names resolve as told (one answer after another), and it opens a source.
PROGRAM = """
import json, socket, sys
from shared.sources.addresses import stand_guard
told = json.loads(sys.argv[1])
answers = {name: list(addresses) for name, addresses in told["names"].items()}
real = socket.getaddrinfo

def resolve(host, port, *more, **options):
    if host in answers:
        address = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port or 0)))]
    return real(host, port, *more, **options)

socket.getaddrinfo = resolve
stand_guard()
from shared.kernel.errors import EdgemereError
from shared.sources.port import SourcePolicy
from shared.sources.registry import check_parameters, open_source
policy = SourcePolicy(allowed_hosts=told["allowed"])
try:
    kept = check_parameters(told["adaptor"], told["parameters"], policy)
    source = open_source(told["adaptor"], kept, policy)
    found = [type(one).__name__ for one in source.scan()]
    print(json.dumps({"found": found}))
except EdgemereError as error:
    print(json.dumps({"code": error.code, "detail": error.detail}))
"""


class Listener:
    """A server on the loopback interface that counts who comes."""

    def __init__(self) -> None:
        self.came = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.came += 1
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


def worker(adaptor: str, parameters: dict[str, Any], names: dict[str, list[str]], allowed: tuple[str, ...] = ()) -> dict[str, Any]:
    told = json.dumps({"adaptor": adaptor, "parameters": parameters, "names": names, "allowed": list(allowed)})
    done = subprocess.run([sys.executable, "-c", PROGRAM, told], cwd=ROOT, env=project_environment(), capture_output=True, text=True, timeout=120)
    assert done.stdout, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def store(port: int, host: str = "store.example") -> dict[str, Any]:
    return {"url": "s3://bucket/x", "storage_options": {"endpoint_url": f"http://{host}:{port}", "region": "us-east-1"}}


def test_a_name_that_is_public_when_judged_and_internal_when_connected_to_leads_nowhere(listener):
    told = worker("fsspec", store(listener.port), {"store.example": [PUBLIC, "127.0.0.1"]})
    assert told["code"] == "source.address_not_allowed" and listener.came == 0, told


def test_a_store_that_the_policy_names_is_reached_where_it_was_judged_and_nowhere_else(listener):
    allowed = (f"store.example:{listener.port}",)
    told = worker("fsspec", store(listener.port), {"store.example": ["127.0.0.1"]}, allowed)
    assert told["code"] == "source.access_denied" and listener.came > 0, told
    came = listener.came
    told = worker("fsspec", store(listener.port), {"store.example": ["127.0.0.9", "127.0.0.1"]}, allowed)
    assert told["code"] == "source.address_not_allowed" and listener.came == came, told


@pytest.mark.parametrize("host", ["localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_no_spelling_of_this_machine_is_connected_to_by_a_store(listener, host):
    told = worker("fsspec", store(listener.port, host), {})
    assert told["code"] in ("source.address_not_allowed", "source.unreachable") and listener.came == 0, told


def test_a_database_is_connected_to_at_the_address_that_was_judged(listener):
    # Its driver is no Python, so that no guard sees it connect: it is told the address.
    from shared.sources.sql import open_source

    policy = SourcePolicy(allowed_hosts=["127.0.0.1"])
    source = open_source({"url": f"postgresql://u@127.0.0.1:{listener.port}/x"}, policy)
    assert source._engine.dialect.create_connect_args(source._engine.url)[1]["host"] == "127.0.0.1"
    told = worker("sql", {"url": f"postgresql://u@db.example:{listener.port}/x"}, {"db.example": ["10.0.0.1"]})
    assert told["code"] == "source.address_not_allowed"
    told = worker("sql", {"url": f"postgresql://u@db.example:{listener.port}/x"}, {"db.example": ["127.0.0.1"]}, ("db.example",))
    # It was connected to, though no resolver of the system knows the name.
    assert listener.came > 0 and told["code"] != "source.address_not_allowed", told


@pytest.mark.parametrize(("url", "options", "where"), [
    ("s3://b", {"config_kwargs": {"proxies": {"http": "http://169.254.169.254"}}}, "config_kwargs"),
    ("s3://b", {"region": "x.evil.example/"}, "region"), ("s3://b", {"client_kwargs": {"aws_session_token": "x"}}, "client_kwargs"),
    ("abfs://c/x", {"connection_string": "BlobEndpoint=http://169.254.169.254"}, "connection_string"),
    ("abfs://c/x", {"account_name": "169.254.169.254/x?"}, "account_name"), ("gs://b/x", {"token": "/etc/passwd"}, "token"),
    ("gs://b/x", {"token": "cloud"}, "token"), ("gs://b/x", {"token": "google_default"}, "token"), ("memory://x", {"path": "/etc"}, "path"),
    ("sftp://h.example/x", {"proxycommand": "nc 10.0.0.1 22"}, "proxycommand"), ("smb://h.example/x", {"host": "10.0.0.1"}, "host"),
    ("ftp://h.example/x", {"encoding": "x"}, "encoding"),
])
def test_an_option_by_which_a_store_would_be_another_address_or_this_machine_is_refused_with_its_place(url, options, where):
    with pytest.raises(Invalid) as refused:
        check_parameters("fsspec", {"url": url, "storage_options": options}, SourcePolicy())
    assert refused.value.code == "source.bad_parameters" and refused.value.errors[0]["pointer"] == f"/parameters/storage_options/{where}"


@pytest.mark.parametrize("url", [
    "filecache::s3://b/x", "simplecache::file:///etc", "zip::s3://b/x.zip", "blockcache::http://127.0.0.1/", "file:///etc", "local:///etc", "/etc",
    "http://127.0.0.1/x", "https://169.254.169.254/", "reference://x", "dir://x", "git://x", "github://x", "jupyter://x", "webhdfs://10.0.0.1/x", "hdfs://x/y",
    "dask://x", "cached://x", "libarchive://x", "arrow_hdfs://x", "s3://b/../../x", "s3://b?x=1", "s3://u:p@b/x", "S3://b",
])
def test_no_scheme_or_chain_of_them_leads_round_the_rules(url):
    with pytest.raises(EdgemereError) as refused:
        check_parameters("fsspec", {"url": url}, SourcePolicy())
    assert refused.value.code == "source.bad_parameters"


def test_a_connection_of_its_own_passes_and_opens_the_way_to_nobody_else(listener: Listener) -> None:
    program = f"""
import socket
from shared.sources.addresses import Forbidden, connect_own, guarded_by, stand_guard
from shared.sources.port import SourcePolicy
stand_guard()
guarded_by(SourcePolicy())
connect_own("127.0.0.1", {listener.port}, 5).close()
try:
    socket.create_connection(("127.0.0.1", {listener.port}), 5)
except Forbidden:
    print("refused")
"""
    made = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=project_environment(), capture_output=True, text=True, timeout=120)
    assert made.stdout.strip() == "refused", made.stderr
    assert listener.came == 1
