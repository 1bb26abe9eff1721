"""TLS to the broker and the database: real servers with certificates, and who is believed of them."""
from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kombu import Connection
from sqlalchemy import text

from shared.bus import port
from shared.bus.message import Message
from shared.bus.tls import address
from shared.hosting.config import broker_uri, database_url, load_config
from shared.storage.database import make_engine
from tests.interface.rights.certificates import Authority
from tests.interface.rights.conftest import House
from tests.support.awaiting import until
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitNode
from tests.support.servers import run_edgemere


class Servers:
    """RabbitMQ and PostgreSQL with certificates of one authority; ``others`` is another one."""

    def __init__(self, folder: Path) -> None:
        self.authority, self.others = Authority(folder / "ours", "ours"), Authority(folder / "others", "others")
        cert, key = self.authority.issue("server")
        self.client = self.authority.issue("client", "mesh")
        self.port = free_port()
        self.rabbit = RabbitNode.start(
            f"listeners.ssl.1 = 127.0.0.1:{self.port}\nlisteners.ssl.2 = 127.0.0.2:{self.port}\n"
            f"ssl_options.cacertfile = {self.authority.ca}\nssl_options.certfile = {cert}\n"
            f"ssl_options.keyfile = {key}\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n")
        self.postgres = PostgresServer.start((cert, key), listen_addresses="127.0.0.1,127.0.0.2")
        self.uri = f"amqps://guest:guest@127.0.0.1:{self.port}//"

    def stop(self) -> None:
        self.rabbit.stop()
        self.postgres.stop()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("tls"))
    yield servers
    servers.stop()


def settings(servers: Servers, **more: Any) -> dict[str, Any]:
    cert, key = servers.client
    return {"broker.uri": servers.uri, "broker.tls.ca": str(servers.authority.ca), "broker.tls.cert": str(cert), "broker.tls.private_key": str(key),
            "database.url": servers.postgres.url, "database.tls.ca": str(servers.authority.ca), **more}


def connected(uri: str) -> bool:
    port.prepare(uri)
    with Connection(uri, connect_timeout=60) as connection:
        connection.connect()
        return isinstance(connection.connection.transport.sock, ssl.SSLSocket)


def test_a_broker_is_believed_by_its_certificate_and_asks_for_ours(servers):
    config = load_config("test", overrides=settings(servers), variables={})
    assert connected(broker_uri(config))
    cert, key = servers.client
    ours = {"cert": str(cert), "key": str(key)}
    for refused in ({"ca": str(servers.others.ca), **ours}, {**ours}, {"ca": str(servers.authority.ca)}):
        with pytest.raises(OSError):
            connected(address(servers.uri, **refused))
    # Without verification anybody is believed; somebody has to say so.
    assert connected(address(servers.uri, verify=False, **ours))


def test_a_certificate_for_another_name_is_not_the_brokers(servers):
    cert, key = servers.client
    uri = address(servers.uri.replace("127.0.0.1", "127.0.0.2"), ca=str(servers.authority.ca), cert=str(cert), key=str(key))
    with pytest.raises(ssl.SSLCertVerificationError, match="127.0.0.2"):
        connected(uri)


def test_what_is_published_over_tls_is_confirmed(servers):
    config = load_config("test", overrides=settings(servers), variables={})
    broker = port.connect(broker_uri(config))
    assert broker.is_reachable()
    with Connection(broker_uri(config)) as connection, connection.channel() as channel:
        channel.queue_declare("tls", durable=True, auto_delete=False)
    broker.publish(Message("", "tls", b'{"obj": 1}'), mandatory=True)
    assert broker.publish_many([Message("", "tls", b"{}", id=str(number)) for number in range(50)]) == [str(number) for number in range(50)]
    broker.close()


def test_a_database_is_believed_by_its_certificate_and_its_name(servers):
    def asks(**more: Any) -> str:
        engine = make_engine(database_url(load_config("test", overrides=settings(servers, **more), variables={}), "tls"), "tls")
        try:
            with engine.connect() as connection:
                return connection.execute(text("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl")).scalar() or "plain"
        finally:
            engine.dispose()
    assert asks().startswith("TLSv1.")
    assert asks(**{"database.tls.ca": "", "database.tls.required": False}) != ""
    with pytest.raises(Exception, match="certificate verify failed"):
        asks(**{"database.tls.ca": str(servers.others.ca)})
    with pytest.raises(Exception, match="does not match host name|not valid for"):
        asks(**{"database.url": servers.postgres.url.replace("127.0.0.1", "127.0.0.2")})
    assert asks(**{"database.tls.ca": "", "database.tls.required": True, "database.tls.verify": False}).startswith("TLSv1.")
    with pytest.raises(Exception, match="certificate verify failed|system"):
        asks(**{"database.tls.ca": "", "database.tls.required": True})


def test_a_mesh_runs_over_both(servers, tmp_path):
    house = House(tmp_path / "data", servers.postgres.create_database(), settings(servers, **{"database.url": None}))
    try:
        ada = house.caller("ada", "DataScientist", "DataEngineer")
        ada("catalog.datasource_simulate", name="tls", listing={"a.csv": {"size": 1, "tags": {"over": "tls"}}})
        until(lambda: ada("catalog.query", expression="over:tls")["total"] == 1)
        ada("requests.create", name="over-tls", query="over:tls")
        until(lambda: ada("requests.show", id="over-tls")["state"] == "Satisfied")
        until(lambda: ada("events.list", event="datarequest.satisfied")["total"] == 1)
    finally:
        house.stop()


def test_the_doctor_judges_the_certificates_by_the_settings_of_the_mesh(servers, tmp_path):
    cert, key = servers.client
    ours = {"ca": str(servers.authority.ca), "cert": str(cert), "private_key": str(key)}
    theirs = {**ours, "ca": str(servers.others.ca)}
    unnamed = servers.postgres.url.replace("127.0.0.1", "127.0.0.2")

    def told(broker: dict[str, Any], database: dict[str, Any], url: str = servers.postgres.url) -> dict[str, dict[str, str]]:
        (tmp_path / "mesh.yaml").write_text(yaml.safe_dump({"broker": {"uri": servers.uri, "tls": broker}, "database": {"url": url, "tls": database}}))
        done = run_edgemere("doctor", "-o", "json", "--config", str(tmp_path / "mesh.yaml"), "--url", f"http://127.0.0.1:{free_port()}",
                            "--data", str(tmp_path / "data"), EDGEMERE_PORT=str(free_port()))
        found = [one for one in json.loads(done.stdout) if one["what"] == "certificates"]
        assert done.returncode == (1 if any(one["verdict"] == "fail" for one in found) else 0), done.stdout
        assert all(one["next_step"] for one in found if one["verdict"] != "ok")
        return {what: one for what in ("broker", "database") for one in found if f"the {what}" in one["said"].casefold()}

    found = told(ours, {"ca": ours["ca"]})
    assert [found[what]["said"].endswith("ends in 1 days") for what in ("broker", "database")] == [True, True], found
    found = told(theirs, {"ca": theirs["ca"]})
    for what in ("broker", "database"):
        assert (found[what]["verdict"], found[what]["said"].partition(" at ")[0]) == ("fail", f"The certificate of the {what}"), found
        assert "is not trusted: " in found[what]["said"] and f"{what}.tls.ca" in found[what]["next_step"]
    found = told({"ca": ours["ca"]}, {"ca": ours["ca"]}, unnamed)
    assert "does not take our certificate" in found["broker"]["said"] and "broker.tls.cert" in found["broker"]["next_step"]
    assert "IP address mismatch" in found["database"]["said"], found
    found = told({**ours, "verify": False}, {"required": True, "verify": False})
    assert {found[what]["verdict"] for what in found} == {"warn"} and "is not verified" in found["database"]["said"]
    assert told({**ours, "ca": str(tmp_path / "none.pem")}, {})["broker"]["said"].startswith("The files with certificates for the broker cannot be used")
