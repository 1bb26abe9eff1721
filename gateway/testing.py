"""``edgemere test``: the whole test suite, with pytest's words and exit code. Imports no test and no service."""
from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TAKES_A_WORD = ("-k", "-m", "-p", "-o", "-c", "-W", "-r")
"""Options of pytest whose next word is no path, whatever it is called."""
SIDE_BY_SIDE = ("-n", "4", "--dist", "loadfile", "--no-loadscope-reorder")
"""How the whole suite runs: tests wait for servers of their own for about half of their time, so four processes keep two cores busy.
A file stays in one process, for what its tests share; files start in their order, the longest first (``tests/conftest.py``)."""
NO_CHOICE_LEFT = ("-n", "--numprocesses", "--dist", "--pdb", "--trace", "--co", "--version", "-V", "-h", "--fixtures", "--markers")
"""Beginnings of the options with which pytest's user decides about processes, or needs none."""


def main(arguments: Sequence[str] = ()) -> int:
    """Replace this process by pytest over ``tests/``, or over the paths named in ``arguments``.

    Every argument is pytest's own; ``--long`` adds the tests of many seeded rounds. The whole suite runs in four processes
    beside each other, unless an argument says otherwise (``-n 0``). Returns (2) only where the test
    group is not installed, which the launcher sees to.
    """
    if importlib.util.find_spec("pytest") is None:
        print("The test group is not installed; './edgemere test' installs it.", file=sys.stderr)
        return 2
    arguments = [
        argument if before in TAKES_A_WORD else _absolute(argument)
        for before, argument in zip(["", *arguments], arguments, strict=False)
    ]
    if not any(argument.startswith(str(ROOT)) for argument in arguments):
        if os.cpu_count() != 1 and not any(argument.startswith(NO_CHOICE_LEFT) for argument in arguments):
            arguments.extend(SIDE_BY_SIDE)
        arguments.append(str(ROOT / "tests"))
    os.chdir(ROOT)
    # Settings of this shell must not reach the tests; EDGEMERE_TEST_* is how it may name servers to test with.
    for name in [name for name in os.environ if name.startswith("EDGEMERE_") and not name.startswith("EDGEMERE_TEST_")]:
        del os.environ[name]
    # The suite starts some hundred processes; where the shell says that Python shall keep nothing compiled, each would compile the whole project.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])


def _absolute(argument: str) -> str:
    """A path that exists, in the folder that the user is in or in the project, as one that holds anywhere."""
    path, separator, test = argument.partition("::")
    if path and not argument.startswith("-"):
        for folder in (os.getcwd(), ROOT):
            if os.path.exists(os.path.join(folder, path)):
                return os.path.realpath(os.path.join(folder, path)) + separator + test
    return argument
