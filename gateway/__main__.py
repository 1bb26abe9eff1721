"""The entry of ``python -m gateway``: ``test`` goes to pytest, everything else to the command line."""
from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["test"]:
        from gateway import testing

        return testing.main(arguments[1:])
    from gateway.cli import main as command_line

    return command_line(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
