"""A program run as a user who is not root, in mounts of its own: FUSE's device open to everybody there, as distributions have it, and
the program ``fusermount3`` of Debian's package, which mounts for such users. Nothing of the machine is changed. Needs to be root.
"""
from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.debian import unpacked
from tests.support.fuse import library

UID = GID = 65534
_AS = ["setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups"]


class Nobody:
    """``folder`` is his; ``program`` runs Python's module ``gateway`` as he would, with ``environment``."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edgemere-nobody-"))
        self.folder.chmod(0o755)
        helper, lib, device = self.folder / "bin" / "fusermount3", self.folder / "libfuse3.so.3", self.folder / "fuse"
        helper.parent.mkdir()
        shutil.copy(next(unpacked("fusermount3", ("fuse3",)).glob("**/bin/fusermount3")), helper)
        helper.chmod(0o4755)
        shutil.copy(library(), lib)
        os.mknod(device, 0o666 | stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
        device.chmod(0o666)
        self.home = self.folder / "home"
        self.home.mkdir()
        os.chown(self.home, UID, GID)
        self.environment = {"PATH": f"{helper.parent}:{os.environ['PATH']}", "FUSE_LIBRARY_PATH": str(lib), "HOME": str(self.home)}
        script = self.folder / "as-nobody"
        script.write_text("\n".join(("set -e", f"mount --bind {device} /dev/fuse", *self._reachable(),
                                     f'exec {shlex.join(_AS)} {sys.executable} -m gateway "$@"')))
        self.program = ["unshare", "--mount", "bash", str(script)]

    def _reachable(self) -> list[str]:
        """The interpreter may lie in the home of root, which nobody else sees: here that home is empty but for it."""
        python = Path(sys.executable).resolve()
        home = Path.home()
        if not python.is_relative_to(home) or home.stat().st_mode & stat.S_IXOTH:
            return []
        top = python.relative_to(home).parts[0]
        stage = self.folder / "root-home"
        (stage / top).mkdir(parents=True)
        return [f"mount --bind {home / top} {stage / top}", f"mount --rbind {stage} {home}"]

    def run(self, pid: int, *words: str, user: bool = True) -> subprocess.CompletedProcess[bytes]:
        """A command among the mounts of a process, as nobody or as root."""
        return subprocess.run(["nsenter", f"--mount=/proc/{pid}/ns/mnt", *(_AS if user else ()), *words], capture_output=True, timeout=60)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
