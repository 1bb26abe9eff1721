"""The secrets of a running mesh are replaced: its seal's, the broker's and the database's password; nothing stops, nothing is lost."""
from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests
from sqlalchemy import make_url

from tests.support.awaiting import until
from tests.support.postgres import PostgresServer, plain_url
from tests.support.production import ProductionMesh
from tests.support.rabbitmq import RabbitNode

DO, FMDM = "/edgemere/diml/dml/do", "/edgemere/diml/dml/fmdm"
OLD, NEW = {name: f"the {name} secret of the mesh, of 32 characters" for name in ("old", "new")}.values()
# Two halves: while one is started again, the other one goes on with what was before.
HALVES = (("requests", "reservations", "gateway"), ("instances", "catalog", "events"))


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    """A PostgreSQL that asks everybody but its first user for a password."""
    # It does not run as root, and reads this all the same.
    with tempfile.TemporaryDirectory(prefix="edgemere-hba-") as folder:
        rules = Path(folder, "pg_hba.conf")
        rules.write_text("host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        os.chmod(folder, 0o755)
        server = PostgresServer.start(hba_file=str(rules))
        yield server
        server.stop()


@pytest.fixture
def mesh_on(tmp_path: Path) -> Iterator[Any]:
    """A function that starts a mesh of one process for each service, each of which can be started again by itself."""
    made: list[ProductionMesh] = []

    def start(amqp_uri: str, database_url: str, **environment: str) -> ProductionMesh:
        made.append(ProductionMesh(tmp_path / "mesh", amqp_uri, database_url, environment=environment))
        made[-1].start()
        # Data at a source that is nowhere: what counts is that every service says something to every other.
        do(made[-1], f"{FMDM}/datasource/simulate", name="lab", listing={"a.csv": {"size": 1, "tags": {"on": "it"}}})
        return made[-1]

    yield start
    for mesh in made:
        mesh.stop()


def do(mesh: ProductionMesh, address: str, **body: Any) -> dict[str, Any]:
    answer = requests.post(mesh.url + address, json=body, headers={"Prefer": "wait=100"}, timeout=120)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def tell(database: PostgresServer, statement: str) -> None:
    connection = psycopg2.connect(plain_url(database.url))
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)


def start_again(mesh: ProductionMesh, names: tuple[str, ...]) -> None:
    members = [mesh.of(name)[0] for name in names]
    for member in members:
        member.terminate()
    for member in members:
        member.end()
        member.start()
    mesh.wait_until_ready()


def goes_on(mesh: ProductionMesh, name: str) -> None:
    """A request comes to its end, which needs calls and messages of all services; nothing anybody said was taken for a stranger's."""
    made = do(mesh, f"{DO}/datarequest/create", name=name, query="on:it")
    until(lambda: do(mesh, f"{DO}/datarequest/show", id=made["id"])["state"] == "Satisfied")
    assert do(mesh, f"{DO}/event/dead/list")["items"] == []


def test_the_secret_of_the_mesh_is_replaced_while_it_works(rabbitmq_node, fresh_database, mesh_on):
    mesh = mesh_on(rabbitmq_node.create_vhost(), fresh_database(), EDGEMERE_MESH_SECRET=OLD)
    goes_on(mesh, "before")
    for step, (secret, also) in enumerate(((OLD, NEW), (NEW, OLD), (NEW, ""))):
        mesh.environment |= {"EDGEMERE_MESH_SECRET": secret, "EDGEMERE_MESH_SECRET_ALSO": also}
        for number, half in enumerate(HALVES):
            start_again(mesh, half)
            goes_on(mesh, f"step-{step}-{number}")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_passwords_of_broker_and_database_are_replaced_and_the_old_ones_are_refused(database, mesh_on):
    node = RabbitNode.start("auth_backends.1 = internal\n")
    try:
        broker = node.create_vhost()
        tell(database, "CREATE ROLE mesh LOGIN PASSWORD 'first-of-the-database'")
        tell(database, "CREATE DATABASE mesh OWNER mesh")

        def addresses(user: str, which: str) -> dict[str, str]:
            url = make_url(database.url).set(username=user, password=f"{which}-of-the-database", database="mesh")
            return {"EDGEMERE_AMQP_URI": broker.replace("guest:guest", f"{user}:{which}-of-the-broker"),
                    "EDGEMERE_DATABASE_URL": url.render_as_string(hide_password=False)}

        first, second = addresses("mesh", "first"), addresses("mesh_next", "second")
        node.let_in("mesh", "first-of-the-broker", broker.rpartition("/")[2])
        mesh = mesh_on(*first.values(), EDGEMERE_MESH_SECRET=OLD)
        goes_on(mesh, "before")
        # A second account beside the first one: whoever comes with it has what the first one has.
        node.let_in("mesh_next", "second-of-the-broker", broker.rpartition("/")[2])
        tell(database, "CREATE ROLE mesh_next LOGIN PASSWORD 'second-of-the-database' IN ROLE mesh")
        tell(database, "ALTER ROLE mesh_next SET role TO mesh")
        mesh.environment |= second
        for number, half in enumerate(HALVES):
            start_again(mesh, half)
            goes_on(mesh, f"again-{number}")
        node.change_password("mesh", "nobody-knows-it")
        tell(database, "ALTER ROLE mesh NOLOGIN")
        goes_on(mesh, "over")
        # A process that comes with the old ones gets nowhere, and says why without them.
        late = mesh.of("catalog")[0]
        late.terminate()
        late.end()
        said = len(late.log_path.read_text(errors="replace"))
        mesh.environment |= first
        late.start()
        until(lambda: "The database refuses the login of this service" in late.log_path.read_text(errors="replace")[said:])
        assert not mesh.is_ready()
        assert not [word for word in ("of-the-broker", "of-the-database") if word in mesh.log_tail(100_000)]
    finally:
        node.stop()
