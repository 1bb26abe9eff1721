"""``edgemere doctor``: looks at the environment, the data folder, the port and the server, and says what to do.

Changes nothing; a broker or database is only knocked at.
"""
from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.cli import certificates, checkup
from gateway.cli.exits import FAILED, OK, Failure
from gateway.cli.findings import Finding
from gateway.cli.perform import Options
from gateway.cli.text import bytes_text, clean, pad

NEEDED = ("nameko", "kombu", "eventlet", "werkzeug", "sqlalchemy", "alembic", "marshmallow", "click", "pyyaml", "orjson", "google-re2")
LEAST_ROOM_BYTES = 256 * 1024 * 1024


def examine(config: Any, options: Options, database_url: str, no_fuse: str | None) -> int:
    """Print a line for each thing looked at; 1 when one of them fails.

    ``database_url`` is how a service opens its PostgreSQL, with what is to be said of certificates; empty where it has a file.
    ``no_fuse`` says why a server here cannot mount by FUSE; None where it can.
    """
    findings = [*_environment(), *_configuration(config), *_data_folder(config), *_fuse(no_fuse), *_broker(config), *_database(database_url),
                *_server(config, options)]
    if options.output == "json":
        print(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        wide = max(len(finding.what) for finding in findings)
        for finding in findings:
            print(f"{options.terminal.state(finding.verdict, pad(finding.verdict, 4))}  {pad(finding.what, wide)}  {clean(finding.said)}")
            if finding.next_step:
                print(f"{' ' * 6}{' ' * wide}  Next: {clean(finding.next_step)}")
    return FAILED if any(finding.verdict == "fail" for finding in findings) else OK


def _environment() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= (3, 11):
        yield Finding("python", "ok", f"{version} in {sys.prefix}")
    else:
        yield Finding("python", "fail", f"{version} is too old.", "Install Python 3.11 or newer.")
    missing = []
    for name in NEEDED:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("packages", "fail", f"Missing: {', '.join(missing)}.", "Remove the folder .venv of the project and call ./edgemere again.")
    else:
        yield Finding("packages", "ok", f"nameko {metadata.version('nameko')} and the others are there")


def _configuration(config: Any) -> Iterator[Finding]:
    yield Finding("settings", "ok", f"environment {config.environment}, port {config.web.port}, owner {config.owner.default}")


def _data_folder(config: Any) -> Iterator[Finding]:
    folder = Path(config.data_dir)
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        yield Finding("data folder", "fail", f"{folder} cannot be written.", "Make it writable, or name another with --data.")
        return
    room = shutil.disk_usage(nearest).free
    there = "" if folder.exists() else " (made at the first start)"
    if room < LEAST_ROOM_BYTES:
        yield Finding("data folder", "warn", f"{folder}{there} has only {bytes_text(room)} left.", "Make room, or name another with --data.")
    else:
        yield Finding("data folder", "ok", f"{folder}{there}, {bytes_text(room)} free")


def _fuse(why: str | None) -> Iterator[Finding]:
    if why is None:
        yield Finding("fuse", "ok", "data of stores and web servers can be mounted, where the system lets the server mount")
    else:
        yield Finding("fuse", "ok", f"{why} Data of stores and web servers is read through the server (via: read_through).")


def _broker(config: Any) -> Iterator[Finding]:
    yield from _knock("broker", config.broker.uri, 5671 if config.broker.uri.startswith("amqps:") else 5672, "embedded", "EDGEMERE_AMQP_URI",
                      lambda: certificates.of_broker(config.broker.uri, config.broker.tls))


def _database(url: str) -> Iterator[Finding]:
    yield from _knock("database", url, 5432, "SQLite in the data folder", "EDGEMERE_DATABASE_URL", lambda: certificates.of_database(url))


def _knock(what: str, uri: str, port: int, otherwise: str, variable: str, certificate: Callable[[], Finding | None]) -> Iterator[Finding]:
    """Whether somebody listens where a server should be, and who; the address is shown without its password."""
    parts = urlsplit(uri)
    if not uri or not parts.hostname:
        yield Finding(what, "ok", otherwise)
        return
    where = f"{parts.hostname}:{parts.port or port}"
    try:
        socket.create_connection((parts.hostname, parts.port or port), timeout=3).close()
    except OSError as error:
        yield Finding(what, "fail", f"Nobody answers at {where}: {error.strerror or error}.", f"Start it, or correct {variable}.")
        return
    yield Finding(what, "ok", f"somebody answers at {where}")
    if (found := certificate()) is not None:
        yield found


def _server(config: Any, options: Options) -> Iterator[Finding]:
    server = options.server()
    try:
        health = server.ask("GET", "/health/ready").body
    except Failure as failure:
        if failure.code == "cli.unreachable":
            yield from _port(config, server.url)
        elif failure.code.startswith("cli."):
            # Somebody is there, and is not believed or does not answer as a server does.
            yield Finding("server", "fail", str(failure.problem["detail"]), str(failure.problem.get("next_step") or "Look at what listens there."))
        else:
            # A server that is starting, or has lost a part, answers 503 with what it waits for.
            yield Finding("server", "fail", f"{server.url} is not ready: {_told(failure.problem)}", "Wait a moment, or read what it writes.")
        return
    yield Finding("server", "ok", f"{server.url} is ready{_parts(health)}")
    if (certificate := certificates.of_server(server.url)) is not None:
        yield certificate
    yield from checkup.running(config, server)


def _port(config: Any, url: str) -> Iterator[Finding]:
    yield Finding("server", "warn", f"None runs at {url}.", "Start one with: ./edgemere up")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((config.web.host, config.web.port))
        except OSError as error:
            yield Finding("port", "fail", f"{config.web.host}:{config.web.port} cannot be used: {error.strerror}.",
                          "Stop what uses it, or start with --port.")
            return
    yield Finding("port", "ok", f"{config.web.host}:{config.web.port} is free")


def _told(problem: Mapping[str, Any]) -> str:
    return str(problem.get("detail") or json.dumps({key: value for key, value in problem.items() if key != "errors"}, ensure_ascii=False))


def _parts(health: Any) -> str:
    services = health.get("services") if isinstance(health, Mapping) else None
    return f": {', '.join(services)}" if services else ""
