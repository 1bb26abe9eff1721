"""The server and the client of ``tests.support.commands``: forks a command line for whoever asks over a socket.

As a program it is the client: ``forking.py SOCKET WORDS…`` passes its files and environment on. Imports the standard library only.
"""
from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

STANDARD = 3


def call(place: str, words: Sequence[str], environment: Mapping[str, str], files: Sequence[int], timeout_s: float | None = None) -> int:
    """The exit code of one command line whose standard files are these."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout_s)
        sock.connect(place)
        asked = json.dumps({"words": list(words), "environment": dict(environment), "folder": os.getcwd()}).encode()
        socket.send_fds(sock, [len(asked).to_bytes(8, "big")], list(files))
        sock.sendall(asked)
        return int(sock.recv(16) or b"1")


def serve(place: str) -> None:
    """Fork a command line for whoever asks, until ended."""
    _import_what_calls_need()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen(64)
        print("ready", flush=True)
        while True:
            sock, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                with contextlib.suppress(OSError):
                    _answer(sock)
                os._exit(0)
            sock.close()
            _collect()


def _import_what_calls_need() -> None:
    import gc
    import importlib
    import pkgutil

    import gateway.cli
    from shared.contracts.action import schema_of
    from shared.contracts.table import ACTIONS

    for module in pkgutil.iter_modules(gateway.cli.__path__):
        importlib.import_module(f"gateway.cli.{module.name}")
    importlib.import_module("yaml")
    for row in ACTIONS.values():
        schema_of(row.parameters)
    gc.freeze()


def _collect() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _answer(sock: socket.socket) -> None:
    """Run the command line in one more process, so that its end can be told, whatever it ends with."""
    head, files, _, _ = socket.recv_fds(sock, 8, STANDARD)
    length, asked = int.from_bytes(head, "big"), b""
    while len(asked) < length:
        asked += sock.recv(length - len(asked))
    given = json.loads(asked)
    child = os.fork()
    if child == 0:
        sock.close()
        _become(given, files)
    for file in files:
        os.close(file)
    # Whoever gives up waiting (a timeout, a closed test) takes the command with him.
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([ended, sock], [], [])
    if ended not in ready:
        os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    sock.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _become(given: Mapping[str, object], files: Sequence[int]) -> None:
    import runpy

    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(given["environment"])
    os.chdir(given["folder"])
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode, encoding="utf-8", errors=errors, buffering=1 if number == 2 else -1)
                                         for number, mode, errors in ((0, "r", "strict"), (1, "w", "surrogateescape"), (2, "w", "backslashreplace")))
    sys.argv = ["edgemere", *given["words"]]
    code = 1
    try:
        runpy.run_module("gateway", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(call(sys.argv[1], sys.argv[2:], os.environ, [0, 1, 2]))
