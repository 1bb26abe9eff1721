"""Whether this machine can mount by FUSE, as far as that can be seen without mounting anything: the device, the library, the right.

Says so in a sentence that stands alone. Imports no FUSE.
"""
from __future__ import annotations

import glob
import importlib.util
import os
import shutil
import stat
import sys

DEVICE = "/dev/fuse"
# Both the name by which a user names a library and the one by which the package of the protocol is told of it.
LIBRARY_VARIABLE = "FUSE_LIBRARY_PATH"
_FOLDERS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib/*-linux-*", "/usr/lib/*-linux-*", "/usr/local/lib/*-linux-*")
_CAP_SYS_ADMIN = 21


def why_not(setting: str) -> str | None:
    """Why nothing is mounted by FUSE here, as a sentence; None where it can be tried. ``setting`` is ``instances.fuse``."""
    if setting == "never":
        return "The configuration turns FUSE off (instances.fuse: never)."
    if not sys.platform.startswith("linux"):
        return "FUSE is used on Linux only."
    return _no_device() or _no_library() or _no_right()


def library() -> str | None:
    """The shared library of FUSE 3 on this machine: what the environment names, or what lies where libraries lie."""
    if named := os.environ.get(LIBRARY_VARIABLE):
        return named if os.path.exists(named) else None
    folders = [*filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")), *_FOLDERS]
    found = [path for folder in folders for path in sorted(glob.glob(f"{folder}/libfuse3.so.[0-9]*"))]
    return found[0] if found else None


def _no_device() -> str | None:
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return f"This machine has no FUSE: there is no {DEVICE}."
    except OSError as error:
        return f"{DEVICE} may not be used: {error.strerror}."
    return None


def _no_library() -> str | None:
    if importlib.util.find_spec("mfusepy") is None:
        return "The package mfusepy is not installed."
    return None if library() else "The library libfuse3 is not installed (Debian: fuse3)."


def _no_right() -> str | None:
    return None if _may_mount() or _helper() else "This process may not mount: it is not root, and there is no program fusermount3 (Debian: fuse3)."


def _may_mount() -> bool:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
            held = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    except (OSError, StopIteration, ValueError):
        return os.geteuid() == 0
    return bool(held >> _CAP_SYS_ADMIN & 1)


def _helper() -> bool:
    path = shutil.which("fusermount3")
    return path is not None and bool(os.stat(path).st_mode & stat.S_ISUID)
