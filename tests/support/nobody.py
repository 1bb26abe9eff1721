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
from tests.support.servers import ROOT

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
        """The interpreter, its packages and the project may lie in folders of root, which nobody else sees: here those are empty but for them."""
        shown: dict[Path, set[Path]] = {}
        for path in (Path(sys.executable).resolve(), Path(sys.prefix).resolve(), ROOT):
            shut = [parent for parent in reversed(path.parents) if not parent.stat().st_mode & stat.S_IXOTH]
            if shut:
                shown.setdefault(shut[0], set()).add(shut[-1] / path.relative_to(shut[-1]).parts[0])
        lines = []
        for number, (folder, wanted) in enumerate(shown.items()):
            stage = self.folder / f"open-{number}"
            for one in sorted(wanted):
                (stage / one.relative_to(folder)).mkdir(parents=True, exist_ok=True)
                lines.append(f"mount --bind {shlex.quote(str(one))} {shlex.quote(str(stage / one.relative_to(folder)))}")
            lines.append(f"mount --rbind {stage} {shlex.quote(str(folder))}")
        return lines

    def run(self, pid: int, *words: str, user: bool = True) -> subprocess.CompletedProcess[bytes]:
        """A command among the mounts of a process, as nobody or as root."""
        return subprocess.run(["nsenter", f"--mount=/proc/{pid}/ns/mnt", *(_AS if user else ()), *words], capture_output=True, timeout=120)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
