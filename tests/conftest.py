"""Fixtures that every test may ask for: databases of its own and servers of its own."""
from __future__ import annotations

import http
import sys
import urllib
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.clamd import Clamd
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitNode
from tests.support.servers import EdgemereServer
from tests.support.supervised import SupervisedMesh


LONGEST = ("tests/stories/test_stories.py", "tests/chaos/", "tests/operating/test_backup.py", "tests/interface/mesh/test_supervised.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests marked 'long' (many seeded rounds)")


def pytest_configure(config: pytest.Config) -> None:
    # A run that a shell started in the background has inherited an ignored Ctrl-C, and would pass it to every child.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _refuse_shared_addresses(items)
    # What takes longest begins first, so that no process is left with it at the end.
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def _refuse_shared_addresses(items: list[pytest.Item]) -> None:
    """Processes beside each other know tests by address and would run those that share one once, saying nothing.

    Raises:
        pytest.UsageError: two tests have one address.
    """
    shared = [address for address, count in Counter(item.nodeid for item in items).items() if count > 1]
    if shared:
        raise pytest.UsageError(f"Several tests have one address: {', '.join(shared[:5])}.")


def pytest_runtest_setup(item: pytest.Item) -> None:
    # Importing eventlet's servers leaves its green copies as attributes of these packages: ``http.server.HTTPServer``
    # would then wait in a hub that nobody runs. The modules themselves are where they were, in sys.modules.
    for package in (http, urllib):
        for child in list(vars(package)):
            module = sys.modules.get(f"{package.__name__}.{child}")
            if module is not None and getattr(package, child) is not module:
                setattr(package, child, module)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for server in servers.RUNNING:
            report.sections.append((f"log of the server at {server.url}", server.log_tail()))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The PostgreSQL of this test run; a run without one fails here."""
    server = PostgresServer.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    """The URL of the maintenance database; make tables in a database from ``fresh_database`` instead."""
    return postgres_server.url


@pytest.fixture
def fresh_database(postgres_server: PostgresServer) -> Iterator[Callable[[], str]]:
    """A function that gives the URL of a new, empty PostgreSQL database; they go when the test ends."""
    made: list[str] = []

    def make() -> str:
        made.append(postgres_server.create_database())
        return made[-1]

    yield make
    for url in made:
        postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind in turn, for laws that hold on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'database.sqlite'}"
    return request.getfixturevalue("fresh_database")()


@pytest.fixture(scope="session")
def clamd() -> Iterator[Clamd]:
    """The scanner for malware that tests of this run share; who kills it starts one of his own."""
    server = Clamd()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def rabbitmq_node() -> Iterator[RabbitNode]:
    """The RabbitMQ that meshes of this test run share; who kills a node starts one of his own."""
    node = RabbitNode.start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def shared_production_mesh(rabbitmq_node: RabbitNode, postgres_server: PostgresServer,
                           tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupervisedMesh]:
    """One supervised mesh on RabbitMQ and PostgreSQL for all tests of a file that leave it as it is but for objects of their own.

    Not for all of a run: one that stands idle takes a seventh of a processor from the others, and is started in a few seconds of one.
    """
    folder = tmp_path_factory.mktemp("production")
    # Who needs rules writes them there.
    policies = folder / "policies.yaml"
    policies.write_text("rules: []\n")
    mesh = SupervisedMesh(folder, rabbitmq_node, postgres_server, environment={"EDGEMERE_POLICIES": str(policies)})
    mesh.policies = policies
    try:
        yield mesh.start()
    finally:
        mesh.stop()


@pytest.fixture
def production_mesh(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., SupervisedMesh]]:
    """A function that starts a supervised mesh on RabbitMQ and PostgreSQL and gives it when it is ready.

    Takes what ``SupervisedMesh`` takes; ``node`` and ``postgres`` stand for the servers of the run. With ``start=False`` it
    is made and not started.
    """
    started: list[SupervisedMesh] = []

    def make(name: str = "mesh", start: bool = True, node: RabbitNode | None = None, postgres: PostgresServer | None = None,
              **options: object) -> SupervisedMesh:
        started.append(SupervisedMesh(
            tmp_path / name, node or request.getfixturevalue("rabbitmq_node"),
            postgres or request.getfixturevalue("postgres_server"), **options))
        return started[-1].start() if start else started[-1]

    yield make
    for mesh in started:
        mesh.stop()


@pytest.fixture
def edgemere_server(tmp_path: Path) -> Iterator[Callable[..., EdgemereServer]]:
    """A function that starts a server on a data folder of its own and gives it when it is ready.

    Takes what ``EdgemereServer`` takes, and ``name`` to have several in one test.
    """
    started: list[EdgemereServer] = []

    def start(name: str = "server", **options: object) -> EdgemereServer:
        started.append(EdgemereServer(tmp_path / name, **options))
        return started[-1].start()

    yield start
    for server in started:
        server.stop()
