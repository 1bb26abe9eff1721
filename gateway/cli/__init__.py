"""The command line: every word under ``diml`` is a rendering of the action table; no module here names an action.

Imports no part of the mesh, so that a command costs what click and the table cost.
"""
from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: this process's own) and give its exit code."""
    from gateway.cli.entry import run

    return run(arguments)
