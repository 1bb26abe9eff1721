"""Each service has an account of its own at RabbitMQ: the mesh works with them, and each is refused what is another's."""
from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import requests
from amqp.exceptions import AccessRefused
from kombu import Connection

from shared.bus.accounts import EVERYBODY, name_of
from shared.bus.topology import DEAD_LETTERS, DEAD_QUEUE, INTERNAL, PUBLIC, REPLAY, RPC, rpc_queue
from shared.contracts.event import EVENTS, HANDLED
from shared.hosting.accounts import account
from shared.hosting.compose import topology_of_service
from shared.hosting.config import load_config
from tests.support.awaiting import until
from tests.support.postgres import PostgresServer
from tests.support.production import ProductionMesh
from tests.support.rabbitmq import RabbitNode
from tests.support.servers import run_edgemere

DO, FMDM = "/edgemere/diml/dml/do", "/edgemere/diml/dml/fmdm"
VHOST, PASSWORD = "accounts", "the password of {}"
CONFIG = load_config("dev")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A RabbitMQ that starts with the accounts as ``edgemere broker-accounts`` writes them; ``guest`` is the test's own."""
    folder = tmp_path_factory.mktemp("passwords")
    for service in EVERYBODY:
        (folder / f"{service}_amqp_password").write_text(PASSWORD.format(service))
    made = json.loads(run_edgemere("broker-accounts", "--passwords", str(folder), "--vhost", VHOST).stdout)
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    made["vhosts"].append({"name": "/"})
    made["users"].append({"name": "guest", "password": "guest", "tags": []})
    made["permissions"] += [{"user": "guest", "vhost": vhost, **everything} for vhost in ("/", VHOST)]
    (folder / "definitions.json").write_text(json.dumps(made))
    node = RabbitNode.start(f"load_definitions = {folder / 'definitions.json'}\n")
    yield node
    node.stop()


def address(node: RabbitNode, service: str) -> str:
    return f"amqp://{name_of(service)}:{PASSWORD.format(service).replace(' ', '%20')}@{node.host}/{VHOST}"


@pytest.fixture(scope="module")
def mesh(node: RabbitNode, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductionMesh]:
    """A mesh of one process for each service on that broker, each with its own account."""
    mesh = ProductionMesh(tmp_path_factory.mktemp("accounts"), node.uri, postgres_server.create_database())
    for member in mesh.members:
        # Of a setting with {service}, as in deploy/compose/mesh.yaml.
        member.environment = {"EDGEMERE_AMQP_URI": address(node, member.name).replace(name_of(member.name), name_of("{service}"))}
    yield mesh.start()
    mesh.stop()


def do(mesh: ProductionMesh, path: str, **body: object) -> dict:
    answer = requests.post(mesh.url + path, json=body, headers={"Prefer": "wait=100"}, timeout=120)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def test_a_request_goes_from_end_to_end_and_a_dead_letter_is_replayed_with_an_account_for_each_service(mesh, node):
    do(mesh, f"{FMDM}/datasource/simulate", name="lab", listing={"a.csv": {"size": 1, "tags": {"on": "it"}}})
    made = do(mesh, f"{DO}/datarequest/create", name="first", query="on:it")
    until(lambda: do(mesh, f"{DO}/datarequest/show", id=made["id"])["state"] == "Satisfied")
    reference = do(mesh, f"{DO}/datainstance/create", dataref={"name": "kept", "query": "on:it"})
    assert reference["reference"]["state"] == "Provisioned" and [one["state"] for one in reference["items"]] == ["Ready"]
    # A message that is none is put aside by its service, kept by another, and goes back on demand.
    with Connection(f"amqp://guest:guest@{node.host}/{VHOST}") as foreign, foreign.Producer() as producer:
        producer.publish(b"no JSON", exchange=PUBLIC, routing_key="datarequest.needed", content_type="application/json", content_encoding="utf-8")
    letters = lambda: do(mesh, f"{DO}/event/dead/list")["items"]  # noqa: E731
    until(lambda: len(letters()) == 1)
    assert do(mesh, f"{DO}/event/dead/replay", id=letters()[0]["id"])["items"]
    until(lambda: len([one for one in letters() if not one["replayed_at"]]) == 1)
    do(mesh, f"{DO}/datarequest/complete", id=made["id"])
    until(lambda: do(mesh, f"{DO}/event/list", event="datarequest.completed")["total"] == 1)
    for member in mesh.members:
        assert "REFUSED" not in member.log_path.read_text().upper(), member


def test_a_queue_that_somebody_deleted_is_made_again_by_the_service_whose_it_is(mesh, node):
    name = "reservations.datarequest.needed"
    with Connection(f"amqp://guest:guest@{node.host}/{VHOST}") as connection:
        connection.default_channel.queue_delete(name)
    made = do(mesh, f"{DO}/datarequest/create", name="second", query="on:it", fulfill=False)
    until(lambda: name in {queue for queue in queues(node) if queue.startswith("reservations.")})
    assert do(mesh, f"{DO}/reserve", request=made["id"])["state"] in ("Selected", "Evaluated", "Satisfied")


def queues(node: RabbitNode) -> set[str]:
    found = set()
    with Connection(f"amqp://guest:guest@{node.host}/{VHOST}") as connection:
        for name in (spec.name for service in EVERYBODY[:-1] for spec in topology_of_service(service, CONFIG).queues):
            try:
                with connection.channel() as channel:
                    channel.queue_declare(name, passive=True)
                found.add(name)
            except Exception as error:
                assert "NOT_FOUND" in str(error)
    return found


def attempt(node: RabbitNode, service: str, what: str, **how: object) -> str:
    """Do one thing at the broker with the account of a service; what it says: nothing, or why not."""
    with Connection(address(node, service)) as connection:
        channel = connection.default_channel
        try:
            if what == "publish":
                connection.Producer(channel).publish(b"{}", **how)
                # A refused publish closes the channel, which shows at the next word on it.
                channel.exchange_declare(PUBLIC, "topic", passive=True)
            else:
                getattr(channel, what)(**how)
            return ""
        except AccessRefused as error:
            return error.reply_text


# (who, what he tries, how); the broker has to refuse it.
ANOTHERS = [
    ("gateway", "basic_get", {"queue": rpc_queue("catalog")}),
    ("gateway", "basic_consume", {"queue": "events.log"}),
    ("gateway", "queue_delete", {"queue": "requests.instances.settled"}),
    ("gateway", "publish", {"exchange": PUBLIC, "routing_key": "data.create"}),
    ("gateway", "publish", {"exchange": INTERNAL, "routing_key": "apikey.revoked"}),
    ("gateway", "publish", {"exchange": RPC, "routing_key": "reservations.take_back"}),
    ("gateway", "publish", {"exchange": "", "routing_key": "requests.instances.settled"}),
    ("instances", "publish", {"exchange": "", "routing_key": "requests.instances.gone"}),
    ("instances", "publish", {"exchange": REPLAY, "routing_key": "requests.instances.gone"}),
    ("instances", "publish", {"exchange": "edgemere.later.200ms", "routing_key": "requests.instances.gone"}),
    ("instances", "publish", {"exchange": DEAD_LETTERS, "routing_key": "requests.instances.gone"}),
    ("instances", "publish", {"exchange": PUBLIC, "routing_key": "datarequest.evaluated"}),
    ("instances", "publish", {"exchange": INTERNAL, "routing_key": "capacity.freed"}),
    ("instances", "publish", {"exchange": RPC, "routing_key": "events.identify"}),
    ("catalog", "basic_get", {"queue": DEAD_QUEUE}),
    ("catalog", "basic_get", {"queue": "edgemere.retry.200ms"}),
    ("catalog", "queue_declare", {"queue": "catalog.of.its.own", "durable": True}),
    ("catalog", "exchange_delete", {"exchange": PUBLIC}),
    ("requests", "queue_bind", {"queue": "requests.instances.settled", "exchange": PUBLIC, "routing_key": "#"}),
    ("requests", "queue_bind", {"queue": rpc_queue("requests"), "exchange": RPC, "routing_key": "events.*"}),
    ("events", "publish", {"exchange": "", "routing_key": rpc_queue("requests")}),
    ("events", "publish", {"exchange": PUBLIC, "routing_key": "datainstance.ready"}),
    ("events", "publish", {"exchange": RPC, "routing_key": "reservations.take_back"}),
]
OWN = [
    ("gateway", "publish", {"exchange": RPC, "routing_key": "requests.create"}),
    ("instances", "publish", {"exchange": PUBLIC, "routing_key": "datainstance.ready"}),
    ("instances", "publish", {"exchange": DEAD_LETTERS, "routing_key": "instances.datarequest.failed"}),
    ("events", "publish", {"exchange": REPLAY, "routing_key": "requests.instances.gone"}),
    ("catalog", "publish", {"exchange": INTERNAL, "routing_key": "capacity.freed"}),
]


def test_the_broker_refuses_each_account_what_is_anothers_and_not_what_is_its_own(node, mesh):
    let = [one for one in ANOTHERS if "ACCESS_REFUSED" not in attempt(node, one[0], one[1], **one[2])]
    assert let == []
    assert [(one, said) for one in OWN if (said := attempt(node, one[0], one[1], **one[2]))] == []


def test_no_account_reads_or_makes_the_queue_of_another_or_says_its_facts():
    accounts = {service: account(CONFIG, service) for service in EVERYBODY}
    for service in EVERYBODY[:-1]:
        names = [spec.name for spec in topology_of_service(service, CONFIG).queues if spec.name.startswith(f"{service}.")] + [rpc_queue(service)]
        for other in set(EVERYBODY) - {service}:
            for pattern in (accounts[other].read, accounts[other].configure, accounts[other].write):
                assert not [name for name in names if re.search(pattern, name)], (other, pattern)
    # Each fact is said by one service; the handled ones also by the one that dispatches them for others.
    said = {service: accounts[service].topics[PUBLIC][0] for service in EVERYBODY}
    for event in EVENTS.values():
        if event.exchange == "public":
            who = {service for service in EVERYBODY if re.search(said[service], event.name)}
            assert who == {event.service, *(["events"] if event.name in HANDLED else [])}, event.name
