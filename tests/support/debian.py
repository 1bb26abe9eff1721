"""Programs from Debian's packages, unpacked into the user's cache without being installed, and without root."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

_PLANNED = re.compile(r"^Inst (\S+) ", re.MULTILINE)


class Missing(RuntimeError):
    """A program of the tests could not be had; the text says what was tried."""


def unpacked(name: str, packages: Sequence[str], instead: str = "") -> Path:
    """The folder with these packages and whatever they need that is not installed here; kept in the user's cache.

    ``instead`` says what else would do, for the error.

    Raises:
        Missing: there is no apt, or the packages could not be had.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgemere-test" / name
    if cache.exists():
        return cache
    if not shutil.which("apt-get"):
        raise Missing(f"There is no {name}, and no apt-get to fetch Debian's. {instead}")
    cache.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=cache.parent))
    try:
        planned = subprocess.run(
            ["apt-get", "install", "--simulate", "--quiet=2", "--no-install-recommends", *packages],
            check=True, capture_output=True, text=True).stdout
        needed = dict.fromkeys([*_PLANNED.findall(planned), *packages])
        subprocess.run(["apt-get", "download", "--quiet=2", *needed], cwd=made, check=True, capture_output=True, text=True)
        for package in made.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package.name, "tree"], cwd=made, check=True, capture_output=True, text=True)
        (made / "tree").rename(cache)
    except (subprocess.CalledProcessError, OSError) as error:
        if not cache.exists():
            raise Missing(f"There is no {name}, and Debian's packages could not be had ('apt-get update' may help): {error} "
                          f"{getattr(error, 'stderr', '') or ''} {instead}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return cache


def libraries(home: Path) -> str:
    """The folders with shared libraries of an unpacked program, for ``LD_LIBRARY_PATH``."""
    folders = {found.parent for pattern in ("usr/lib/*/*.so*", "lib/*/*.so*", "usr/lib/*/*/*.so*") for found in home.glob(pattern)}
    return ":".join(map(str, sorted(folders))) or "/nonexistent"
