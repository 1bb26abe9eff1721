"""A system that has FUSE and does not let this process mount: real ones, in a namespace of their own."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import fuse
from tests.support.servers import ROOT, project_environment

ASK = """
import sys
from services.instances.fuse.keeper import Keeper
keeper = Keeper([sys.executable, "-m", "services.instances.fuse"], sys.argv[1], "auto", {}, 1)
print(keeper.why_not(), flush=True)
print(keeper.why_not(), flush=True)
keeper.stop()
"""


@pytest.mark.parametrize(("namespace", "first", "says"), [
    # Root of a user namespace, in mounts that are not its own.
    (["--user", "--map-root-user"], "", "The system does not let this server mount by FUSE: "),
    # A device of this name that is another.
    (["--user", "--map-root-user", "--mount"], "mount --bind /dev/null /dev/fuse && ", "The system does not let this server mount by FUSE: "),
])
def test_a_system_that_refuses_is_quoted_and_not_asked_again_and_again(tmp_path: Path, namespace: list[str], first: str, says: str) -> None:
    done = subprocess.run(["unshare", *namespace, "sh", "-c", first + 'exec "$@"', "sh", sys.executable, "-c", ASK, str(tmp_path / "fuse")],
                          cwd=ROOT, env=project_environment(**fuse.environment()), capture_output=True, text=True, timeout=90)
    once, again = done.stdout.splitlines()
    assert once == again, "what was found out is remembered for a minute"
    if fuse.mounts_here():
        assert once.startswith(says) and len(once) > len(says) + 10, done.stderr
    else:
        assert "FUSE" in once or "/dev/fuse" in once or "libfuse3" in once
    assert fuse.mounted(tmp_path) == []
