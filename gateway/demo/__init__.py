"""``edgemere demo``: the main job end to end on real files, each step the command that a user would type.

Talks to a server of its own through the command line and REST alone; there is no back door.
"""
from __future__ import annotations


def main(port: int | None = None, data: str | None = None, stays: bool = True) -> int:
    """Play the demo and give its exit code; with ``stays`` the server is left running until Ctrl-C."""
    from gateway.demo.play import play

    return play(port, data, stays)
