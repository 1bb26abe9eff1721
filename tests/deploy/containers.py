"""The images of the Dockerfile, built and run without a Docker engine: by buildah and runc, on a base of Debian's packages.

Nothing is fetched from a registry of images. In the place of the base that the Dockerfile names stands a Debian of the same release
with its own Python 3.11: every step of the Dockerfile runs as it is written, the base itself is not tried.
Needs root and ``apt-get install --no-install-recommends buildah runc debootstrap``.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.debian import Missing
from tests.support.servers import ROOT

TOOLS = ("buildah", "runc", "debootstrap")
BASE = "localhost/python:3.11-of-debian"
# What the base of the Dockerfile has and Debian's Python lacks: its name, and pip where packages of one's own go.
FINISH = """
rm -f /usr/lib/python3.11/EXTERNALLY-MANAGED
ln -s /usr/bin/python3 /usr/local/bin/python
set -- /usr/share/python-wheels/pip-*.whl
python3 "$1/pip" install --quiet --no-index --find-links /usr/share/python-wheels --root-user-action=ignore pip setuptools
rm -rf /var/cache/apt /var/lib/apt/lists
"""


def _run(*command: str, limit_s: float = 900, **more: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, **more)
    assert done.returncode == 0, f"{' '.join(command[:6])}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


class Workshop:
    """Builds images under a folder, and keeps what they need there."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            Missing: a tool is not installed, or this is not root.
        """
        absent = [name for name in TOOLS if not shutil.which(name)]
        if absent or os.geteuid() != 0:
            raise Missing(f"Building images needs root and {', '.join(TOOLS)}; missing: {', '.join(absent) or 'root'}.")
        self.folder = folder
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n')
        (folder / "registries.conf").write_text("unqualified-search-registries = []\n")
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        (folder / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
        self._environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
                             "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf")}

    def buildah(self, *words: str) -> str:
        return _run("buildah", *words, env=self._environment).strip()

    def _policy(self) -> tuple[str, str]:
        return "--signature-policy", str(self.folder / "policy.json")

    def make_base(self) -> None:
        """A Debian with Python, as the image ``BASE``."""
        rootfs = self.folder / "rootfs"
        _run("debootstrap", "--variant=minbase", "--include=ca-certificates,python3,python3-venv,python3-pip-whl,python3-setuptools-whl", "bookworm",
             str(rootfs))
        _run("chroot", str(rootfs), "sh", "-ec", FINISH)
        made = self.buildah("from", "scratch")
        place = self.buildah("mount", made)
        _run("cp", "-a", f"{rootfs}/.", place)
        self.buildah("umount", made)
        self.buildah("config", "--env", "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", made)
        self.buildah("commit", "--quiet", *self._policy(), "--rm", made, BASE)
        shutil.rmtree(rootfs)

    def fetch_wheels(self) -> None:
        """The packages of the image's lock file, for a build that reaches no index."""
        _run(sys.executable, "-m", "venv", str(self.folder / "pip"))
        _run(str(self.folder / "pip/bin/python"), "-m", "pip", "download", "--quiet", "--require-hashes", "--only-binary=:all:", "--no-deps",
             "-r", str(ROOT / "requirements-tracing.lock"), "-d", str(self.folder / "wheels"))

    def build(self, target: str) -> str:
        """The name of the image that the Dockerfile makes of a target."""
        name = f"localhost/edgemere-{target}"
        self.buildah("build", "--isolation", "chroot", "--format", "docker", *self._policy(), "--pull-never", "--build-arg", f"PYTHON_IMAGE={BASE}",
                     "--volume", f"{self.folder}/wheels:/wheels:ro", "--volume", f"{self.folder}/pip.conf:/etc/pip.conf:ro",
                     "--target", target, "--tag", name, str(ROOT))
        return name

    def described(self, image: str) -> dict[str, Any]:
        """What the image says of itself: User, Env, Entrypoint, Cmd, Healthcheck, WorkingDir."""
        return json.loads(self.buildah("inspect", "--type", "image", image))["Docker"]["config"]

    def root_of(self, image: str) -> Path:
        """Where a new container of an image has its files."""
        return Path(self.buildah("mount", self.buildah("from", "--pull-never", *self._policy(), image)))

    def clean(self) -> None:
        subprocess.run(["buildah", "rm", "--all"], env=self._environment, capture_output=True, timeout=600)


class Container:
    """One container of an image as a service of the compose file has it, on this machine's network. ``files`` are {place: text} under /run."""

    def __init__(self, workshop: Workshop, image: str, service: Mapping[str, Any], name: str, words: Sequence[str], environment: Mapping[str, str],
                 files: Mapping[str, str]) -> None:
        self.name, self.folder = f"edgemere-{os.getpid()}-{name}", workshop.folder / name
        self.log = self.folder / "log"
        self._state = workshop.folder / "containers"
        self.image = workshop.described(image)
        self.root = workshop.root_of(image)
        self.process: subprocess.Popen[bytes] | None = None
        self._health = environment["EDGEMERE_HEALTH_PORT"]
        self.folder.mkdir()
        mounts = [{"destination": "/proc", "type": "proc", "source": "proc"},
                  {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]}]
        for given in service["tmpfs"]:
            place, _, options = given.partition(":")
            mounts.append({"destination": place, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", *options.split(",")]})
        for place, text in files.items():
            held = self.folder / place.strip("/").replace("/", "-")
            held.write_text(text)
            held.chmod(0o444)
            mounts.append({"destination": place, "type": "bind", "source": str(held), "options": ["bind", "ro"]})
        uid, gid = map(int, service["user"].split(":"))
        variables = dict(item.split("=", 1) for item in self.image["Env"]) | {key: str(value) for key, value in environment.items()}
        capabilities = {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")}
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service
        (self.folder / "config.json").write_text(json.dumps({
            "ociVersion": "1.0.2", "root": {"path": str(self.root), "readonly": service["read_only"]}, "mounts": mounts,
            "process": {"terminal": False, "user": {"uid": uid, "gid": gid}, "cwd": self.image["WorkingDir"], "args": [*self.image["Entrypoint"], *words],
                        "env": [f"{key}={value}" for key, value in variables.items()], "capabilities": capabilities,
                        "noNewPrivileges": "no-new-privileges:true" in service["security_opt"]},
            "linux": {"namespaces": [{"type": kind} for kind in ("mount", "pid", "ipc", "uts")], "cgroupsPath": f"/{self.name}",
                      "resources": _resources(service["deploy"]["resources"]["limits"])}}))

    def start(self) -> Container:
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([*self._runc(), "run", "--bundle", str(self.folder), self.name], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True)
        return self

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command inside, as the container's user."""
        return subprocess.run([*self._runc(), "exec", self.name, *words], capture_output=True, text=True, timeout=120)

    def is_well(self) -> bool:
        """What the image's own health check says; on a network with others each has a port of its own."""
        kind, *command = self.image["Healthcheck"]["Test"]
        assert kind == "CMD"
        return self.run(*(word.replace(":8080/", f":{self._health}/") for word in command)).returncode == 0

    def until_well(self, limit_s: float = 120) -> None:
        end = time.monotonic() + limit_s
        while not self.is_well():
            assert self.process is not None and self.process.poll() is None and time.monotonic() < end, self.log.read_text()[-3000:]
            time.sleep(0.5)

    def stop(self) -> int:
        """End it as an engine does, by SIGTERM; its exit code."""
        assert self.process is not None
        subprocess.run([*self._runc(), "kill", self.name, "TERM"], capture_output=True, timeout=120)
        try:
            return self.process.wait(120)
        finally:
            subprocess.run([*self._runc(), "delete", "--force", self.name], capture_output=True, timeout=120)

    def _runc(self) -> list[str]:
        return ["runc", "--root", str(self._state)]


def _resources(limits: Mapping[str, Any]) -> dict[str, Any]:
    """The limits of the compose file in the words of the runtime."""
    sizes = {"M": 1 << 20, "G": 1 << 30}
    memory = int(limits["memory"][:-1]) * sizes[limits["memory"][-1]]
    return {"memory": {"limit": memory}, "pids": {"limit": int(limits["pids"])},
            "cpu": {"period": 100_000, "quota": int(float(limits["cpus"]) * 100_000)}}
