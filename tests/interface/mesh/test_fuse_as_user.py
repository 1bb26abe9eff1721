"""A server that is not root mounts by FUSE with the help of ``fusermount3``: read, served again, gone, and closed to everybody else."""
from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from tests.interface.mesh.test_far_sources import DO, Lab
from tests.interface.mesh.test_fuse import BODY, until
from tests.support import fuse
from tests.support.nobody import Nobody
from tests.support.object_store import SECRET, ObjectStore
from tests.support.servers import EdgemereServer


class Shelf(Lab):
    def __init__(self, nobody: Nobody) -> None:
        self.nobody, self.store, self.said = nobody, ObjectStore(), []
        self.server = EdgemereServer(nobody.home, program=nobody.program, environment={"EDGEMERE_SECRET_TEST_STORE": SECRET, **nobody.environment})
        self.store.fs.mkdir("shelf")
        self.store.fs.pipe_file("shelf/x.bin", BODY)
        try:
            self.server.start()
            self.source("shelf", "fsspec", self.store.parameters("shelf"))
        except BaseException:
            self.stop()
            raise

    def read(self, path: str, user: bool = True) -> bytes:
        return self.nobody.run(self.server.process.pid, "cat", path, user=user).stdout

    def mounts(self) -> list[str]:
        """Where this server has mounted; what others of the machine had mounted when it began is among its mounts, too."""
        with open(f"/proc/{self.server.process.pid}/mountinfo") as lines:
            return [place for line in lines if " - fuse" in line and (place := line.split()[4]).startswith(str(self.nobody.home))]


@pytest.fixture
def shelf() -> Iterator[Shelf | None]:
    """None where nothing can be mounted, and where the tests are run by a user: then each test of FUSE is this one."""
    if os.geteuid() != 0 or not fuse.mounts_here():
        yield None
        return
    nobody = Nobody()
    try:
        made = Shelf(nobody)
        yield made
        made.stop()
    finally:
        nobody.close()


def test_a_user_mounts_reads_and_is_served_again_and_nobody_else_sees_it(shelf: Shelf | None) -> None:
    if shelf is None:
        assert os.geteuid() != 0 or not fuse.mounts_here()
        return
    with open(f"/proc/{shelf.server.process.pid}/status") as status:
        said = dict(line.split(":", 1) for line in status.read().splitlines())
    assert said["Uid"].split() == ["65534"] * 4 and int(said["CapEff"], 16) == 0, "it has no right of root"
    assert shelf.request("mine", query="source:shelf", action="mount")["state"] == "Satisfied"
    entry, = shelf.access("mine")
    assert entry["via"] == "fuse" and len(shelf.mounts()) == 1, entry
    path = entry["path"]
    assert shelf.read(path) == BODY
    assert shelf.read(path, user=False) == b"", "also root is somebody else"
    serving, = (one for one in psutil.Process(shelf.server.process.pid).children(recursive=True) if "services.instances.fuse" in one.cmdline())
    serving.send_signal(signal.SIGKILL)
    until(lambda: shelf.read(path) == BODY and len(shelf.mounts()) == 1, "another process clears it away and serves it")
    shelf.call(f"{DO}/datainstance/destroy", id=entry["instance"])
    assert shelf.read(path) == b""
