"""What the images run, run: the Dockerfile's own commands in an empty folder, as another user on a tree that it cannot write,
with the settings of the compose file, against a real RabbitMQ and PostgreSQL. Only addresses and places are the test's."""
from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.deploy.reach import COMPOSE, merged
from tests.support.ports import free_port
from tests.support.postgres import plain_url
from tests.support.reaper import end_group, reaper
from tests.support.servers import ROOT

USER = 10001
DOCKERFILE = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())


def _stage(name: str) -> list[tuple[str, str]]:
    """The instructions of one stage of the Dockerfile, in order."""
    text = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert text
    return [tuple(line.strip().split(None, 1)) for line in text[1].splitlines() if line.strip() and not line.startswith("#")]  # type: ignore[misc]


def _as_user(*command: str) -> list[str]:
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs", *command] if os.geteuid() == 0 else list(command)


class Image:
    """The file system of the image under a folder: /app, /data, /tmp, /run; ``python`` is that of its environment."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder, self.python = folder, python
        for instruction, rest in _stage("build"):
            if instruction == "COPY" and "/app" in rest:
                source, target = rest.split()
                place = folder / target.strip("/")
                place = place / source if target.endswith("/") else place
                place.parent.mkdir(parents=True, exist_ok=True)
                ignored = shutil.ignore_patterns("__pycache__", "demo")
                (shutil.copytree(ROOT / source, place, ignore=ignored) if (ROOT / source).is_dir() else shutil.copy(ROOT / source, place))
        for name in ("data", "tmp", "run/secrets", "run/configs"):
            (folder / name).mkdir(parents=True)
        for path in [folder, *folder.rglob("*")]:
            os.chmod(path, 0o555 if path.is_dir() else 0o444)
        for name in ("data", "tmp"):
            os.chmod(folder / name, 0o700)
            if os.geteuid() == 0:
                os.chown(folder / name, USER, USER)

    def environment(self, service: dict[str, Any], health: int) -> dict[str, str]:
        """The image's ENV, then the compose file's environment, with the places of this folder."""
        found = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "TMPDIR": str(self.folder / "tmp")}
        for instruction, rest in _stage("service"):
            if instruction == "ENV":
                found |= dict(part.split("=", 1) for part in shlex.split(rest))
        found |= {key: str(value) for key, value in service["environment"].items()}
        found = {key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for key, value in found.items()}
        return {key: re.sub(r"^/(app|data|run)\b", rf"{self.folder}/\1", value) for key, value in found.items() if key != "PATH"} | {
            "PATH": found["PATH"].replace("$PATH", "/usr/bin:/bin"), "EDGEMERE_HEALTH_PORT": str(health)}

    def configure(self, secrets: dict[str, str], config: str, changes: dict[str, str]) -> None:
        os.chmod(self.folder / "run/secrets", 0o755)
        os.chmod(self.folder / "run/configs", 0o755)
        for name, value in secrets.items():
            (self.folder / "run/secrets" / name).write_text(value)
        text = (COMPOSE / config).read_text().replace("/run/secrets", str(self.folder / "run/secrets"))
        for old, new in changes.items():
            text = text.replace(old, new)
        (self.folder / "run/configs/mesh.yaml").write_text(text)

    def run(self, words: list[str], environment: dict[str, str], **more: Any) -> subprocess.Popen[str]:
        entry = json.loads(dict(_stage("service"))["ENTRYPOINT"])
        assert entry[0] == "python"
        return subprocess.Popen(_as_user(self.python, *entry[1:], *words), env=environment, cwd=self.folder / "app", stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, **more)

    def health_check(self, health: int, environment: dict[str, str]) -> int:
        """What the HEALTHCHECK of the image says: 0 is well."""
        text = dict(_stage("service"))["HEALTHCHECK"]
        command = json.loads(text[text.index("CMD") + 3:].strip())
        command = [self.python, *(word.replace(":8080/", f":{health}/") for word in command[1:])]
        return subprocess.run(_as_user(*command), env=environment, capture_output=True, timeout=120).returncode


@contextmanager
def _running(image: Image, service: str, rabbit: str, database: str, **more: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    described = merged("prod")["services"][service]
    health, web = free_port(), free_port()
    broker = urlsplit(rabbit)
    config = {item["source"]: item for item in described["configs"]}
    image.configure({"amqp_password": broker.password or "", "database_password": "none", "bootstrap_key": "none", "mesh_secret": "5ec2e7" * 8},
                    "gateway.yaml" if "gateway" in config else "mesh.yaml", {
        "amqp://edgemere-{service}:": f"amqp://{broker.username}:", "amqp://edgemere-gateway:": f"amqp://{broker.username}:",
        "@rabbitmq:5672/mesh": f"@{broker.hostname}:{broker.port}{broker.path}",
        f"postgresql://edgemere:${{file:{image.folder}/run/secrets/database_password}}@{{service}}-database:5432/edgemere": plain_url(database),
        "content_host: 0.0.0.0": "content_host: 127.0.0.1", "content_port: 8081": "content_port: 0"})
    environment = image.environment(described, health) | more
    words = [word.replace("0.0.0.0", "127.0.0.1").replace("3000", str(web)) for word in described["command"]]  # noqa: S104
    process = image.run(words, environment)
    reaper.watch_group(process.pid)
    try:
        end = time.monotonic() + 90
        while image.health_check(health, environment) != 0 and time.monotonic() < end and process.poll() is None:
            time.sleep(0.3)
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        yield process, web if service == "web" else health
    finally:
        end_group(process.pid)
        process.wait()
        reaper.forget_group(process.pid)


@pytest.fixture
def image() -> Iterator[Image]:
    # Not in pytest's own folder, which each run closes to other users.
    folder = Path(tempfile.mkdtemp(prefix="edgemere-image-"))
    reaper.watch_folder(folder)
    os.chmod(folder, 0o755)  # noqa: S103
    yield Image(folder / "image", sys.executable)
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            os.chmod(path, 0o700)
    shutil.rmtree(folder)
    reaper.forget_folder(folder)


def test_the_image_migrates_serves_and_says_that_it_is_well_on_a_tree_that_it_cannot_write(image, rabbitmq_node, fresh_database):
    rabbit, database = rabbitmq_node.create_vhost(), fresh_database()
    described = merged("prod")["services"]["requests-migration"]
    image.configure({"database_password": "none"}, "migrations.yaml", {
        f"postgresql://edgemere:${{file:{image.folder}/run/secrets/database_password}}@{{service}}-database:5432/edgemere": plain_url(database)})
    migrated = image.run(described["command"], image.environment(described, 1))
    told, _ = migrated.communicate(timeout=120)
    assert migrated.returncode == 0 and told.strip().endswith("requests: current"), told
    with _running(image, "requests", rabbit, database) as (process, health):
        with urllib.request.urlopen(f"http://127.0.0.1:{health}/metrics", timeout=120) as answer:
            assert b"edgemere_build_info" in answer.read()
        if os.geteuid() == 0:
            status = Path(f"/proc/{process.pid}/status").read_text()
            assert re.search(rf"^Uid:\t{USER}\t{USER}\t", status, re.MULTILINE) and re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
            assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
            tried = subprocess.run(_as_user("touch", str(image.folder / "app" / "shared" / "x")), capture_output=True)
            assert tried.returncode != 0
    with _running(image, "web", rabbit, database, EDGEMERE_ALLOWED_HOSTS="127.0.0.1") as (_, web):
        with urllib.request.urlopen(f"http://127.0.0.1:{web}/health/live", timeout=120) as answer:
            assert json.load(answer)["ok"]
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{web}/edgemere/diml/dml/do/datarequest/list", timeout=120)
        assert refused.value.code == 401
    made = (image.folder / "run" / "configs").stat().st_ctime + 1
    assert [path for path in (image.folder / "app").rglob("*") if path.stat().st_mtime > made] == []


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_install_commands_of_the_image_make_an_environment_that_has_what_it_needs_and_no_pip(tmp_path):
    (tmp_path / "build").mkdir()
    shutil.copy(ROOT / "requirements-tracing.lock", tmp_path / "build")
    (install,) = [rest for instruction, rest in _stage("build") if instruction == "RUN" and "pip install" in rest]
    command = install.replace("/opt/venv", str(tmp_path / "venv")).replace("/build/", f"{tmp_path}/build/")
    command = command.replace("python -m venv", f"{sys.executable} -m venv", 1)
    done = subprocess.run(["sh", "-ec", command], capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    python = str(tmp_path / "venv" / "bin" / "python")
    assert subprocess.run([python, "-c", "import pip"], capture_output=True).returncode != 0
    shown = subprocess.run([python, "-m", "gateway", "--help"], env={"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "PATH": "/usr/bin:/bin"},
                           capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0 and "serve" in shown.stdout, shown.stderr
    checked = subprocess.run([python, "-c", "import opentelemetry.sdk, psycopg2, nameko, pyarrow"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
