"""The images are built by their Dockerfile, and the mesh of the compose file runs from them: read-only, as nobody in particular."""
from __future__ import annotations

import json
import re
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.deploy.containers import Container, Workshop
from tests.deploy.reach import COMPOSE, merged
from tests.support.ports import free_port
from tests.support.postgres import plain_url
from tests.support.servers import run_edgemere

SERVICES = ("requests", "reservations", "instances", "catalog", "events")
DIML = "/edgemere/diml/dml"
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    # Not in pytest's own folder, which other users cannot enter.
    folder = Path(tempfile.mkdtemp(prefix="edgemere-containers-"))
    folder.chmod(0o755)
    made = Workshop(folder)
    try:
        made.make_base()
        made.fetch_wheels()
        yield made
    finally:
        made.clean()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def images(workshop: Workshop) -> dict[str, str]:
    return {target: workshop.build(target) for target in ("service", "web")}


def test_the_images_say_who_they_run_as_and_have_nothing_that_is_not_needed(workshop, images):
    for target, image in images.items():
        said = workshop.described(image)
        assert (said["User"], said["WorkingDir"], said["Entrypoint"]) == ("10001:10001", "/app", ["python", "-m", "gateway"])
        assert said["Cmd"][:2] == (["serve", "gateway"] if target == "web" else ["serve", "requests"]) and said["Healthcheck"]["Test"][0] == "CMD"
        root = workshop.root_of(image)
        assert sorted(path.name for path in (root / "app").iterdir()) == ["config.yaml", "gateway", "services", "shared"]
        assert not [path for kind in ("pip", "setuptools") for path in (root / "opt/venv").rglob(kind) if path.is_dir()]
        assert not list((root / "app").rglob("tests")) and not (root / "app/gateway/demo").exists() and not (root / "build").exists()
        assert (root / "data").stat().st_uid == 10001 and list((root / "app").rglob("*.pyc"))


def test_the_mesh_of_the_compose_file_runs_from_the_images_and_can_write_nowhere(workshop, images, rabbitmq_node, fresh_database):
    broker, database = urlsplit(rabbitmq_node.create_vhost()), plain_url(fresh_database())
    key = run_edgemere("apikey", "new").stdout.strip()
    secrets = {"amqp_password": broker.password or "", "database_password": "none", "bootstrap_key": key, "mesh_secret": "5ec2e7" * 8}
    described, web_port = merged("prod")["services"], free_port()

    def container(name: str, **more: str) -> Container:
        service, health = described[name], free_port()
        config, = (item for item in service["configs"])
        source = {"mesh": "mesh.yaml", "gateway": "gateway.yaml", "migrations": "migrations.yaml"}[config["source"]]
        # Only addresses are this machine's.
        text = (COMPOSE / source).read_text()
        for old, new in {"amqp://edgemere-{service}:": f"amqp://{broker.username}:", "amqp://edgemere-gateway:": f"amqp://{broker.username}:",
                         "@rabbitmq:5672/mesh": f"@{broker.hostname}:{broker.port}{broker.path}",
                         "postgresql://edgemere:${file:/run/secrets/database_password}@{service}-database:5432/edgemere": database,
                         "content_host: 0.0.0.0": "content_host: 127.0.0.1", "content_port: 8081": "content_port: 0"}.items():
            text = text.replace(old, new)
        named = [one.get("target", one["source"]) for one in service.get("secrets", ())]
        files = {config["target"]: text} | {f"/run/secrets/{name}": secrets[name] for name in named}
        variables = {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for name, value in service["environment"].items()}
        words = [word.replace("0.0.0.0", "127.0.0.1").replace("3000", str(web_port)) for word in service["command"]]  # noqa: S104
        return Container(workshop, images["web" if name == "web" else "service"], service, name, words,
                         variables | {"EDGEMERE_HEALTH_PORT": str(health)} | more, files)

    for name in SERVICES:
        migration = container(f"{name}-migration").start()
        assert migration.process is not None and migration.process.wait(120) == 0, migration.log.read_text()
        assert f"{name}: current" in migration.log.read_text()
    running = [container(name) for name in SERVICES] + [container("web", EDGEMERE_ALLOWED_HOSTS="127.0.0.1")]
    for one in running:
        one.start()
    try:
        for one in running:
            one.until_well()
        for one in running:
            status = one.run("cat", "/proc/1/status").stdout
            assert re.search(r"^Uid:\t10001\t10001\t", status, re.MULTILINE) and re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE), status
            assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE) and re.search(r"^CapBnd:\t0+$", status, re.MULTILINE)
            tried = one.run("sh", "-c", "touch /app/x /opt/venv/x /etc/x /x; touch /data/y /tmp/y && echo written")
            assert tried.stderr.count("Read-only file system") == 4 and tried.stdout.strip() == "written", tried

        def ask(path: str, body: object = None, credential: str = key) -> tuple[int, object]:
            asked = urllib.request.Request(f"http://127.0.0.1:{web_port}{path}", None if body is None else json.dumps(body).encode(), {
                "Content-Type": "application/json", "Prefer": "wait=30", **({"Authorization": f"Bearer {credential}"} if credential else {})})
            try:
                with urllib.request.urlopen(asked, timeout=120) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)

        assert ask("/health/ready")[0] == 200
        assert ask(f"{DIML}/do/datarequest/list", credential="")[0] == 401
        assert ask(f"{DIML}/fmdm/datasource/simulate", {"name": "camera", "listing": {"a.nii": {"size": 1}}})[0] == 201
        status, made = ask(f"{DIML}/do/datarequest/create", {"query": "source:camera"})
        assert (status, made["state"]) == (201, "Satisfied"), made
    finally:
        codes = [one.stop() for one in running]
    assert codes == [0] * len(running), [one.log.read_text()[-500:] for one in running]
