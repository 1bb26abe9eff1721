"""FUSE for tests: Debian's library where none is installed, whether this machine mounts at all, and the end of what is left mounted.

Judged without the product: by a file system of one file, in a process of its own that has a few seconds.
"""
from __future__ import annotations

import ctypes
import functools
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.debian import Missing, unpacked

_TRIAL = """
import mfusepy, sys
class One(mfusepy.Operations):
    use_ns = True
mfusepy.FUSE(One(), sys.argv[1], foreground=True, ro=True)
"""


@functools.cache
def library() -> str:
    """The library of FUSE: an installed one, else Debian's, unpacked; empty where neither can be had."""
    if named := os.environ.get("FUSE_LIBRARY_PATH"):
        return named
    for folder in ("/lib/*", "/usr/lib/*", "/usr/lib", "/lib"):
        if found := sorted(glob.glob(f"{folder}/libfuse3.so.[0-9]*")):
            return found[0]
    try:
        home = unpacked("fuse3", ("libfuse3-3",))
    except Missing:
        return ""
    return str(next(iter(sorted(home.glob("**/libfuse3.so.[0-9]*"))), ""))


def environment() -> dict[str, str]:
    """What a server needs to find it."""
    return {"FUSE_LIBRARY_PATH": library()} if library() else {}


@functools.cache
def mounts_here() -> bool:
    """Whether this machine lets the tests mount by FUSE."""
    if not library() or not os.path.exists("/dev/fuse"):
        return False
    place = tempfile.mkdtemp(prefix="edgemere-fuse-trial-")
    trial = subprocess.Popen([sys.executable, "-c", _TRIAL, place], env={**os.environ, **environment()}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until and trial.poll() is None:
            if os.path.realpath(place) in mounted():
                return True
            time.sleep(0.02)
        return False
    finally:
        take_down(place)
        trial.kill()
        trial.wait()
        shutil.rmtree(place, ignore_errors=True)


def mounted(below: str | os.PathLike = "/") -> list[str]:
    """The places below a folder at which something is mounted by FUSE, served or not."""
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        found = [(line.split(" ")[4], line.partition(" - ")[2]) for line in lines]
    return [place for place, kind in found if kind.split(" ")[0].partition(".")[0] == "fuse" and place.startswith(os.fspath(below).rstrip("/") + "/")]


def take_down(place: str) -> None:
    """Take one mount away, whatever still reads from it."""
    if ctypes.CDLL(None).umount2(os.fsencode(place), 2) != 0:
        subprocess.run(["fusermount3", "-u", "-z", place], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, check=False)


def take_down_all(below: Path) -> list[str]:
    """Take away what is mounted below a folder, for the end of a test; which that was."""
    left = mounted(below)
    for place in left:
        take_down(place)
    return left
