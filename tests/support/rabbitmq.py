"""A RabbitMQ of the test run's own: a private node on free ports of the loopback interface.

It comes from ``EDGEMERE_TEST_AMQP_URI``, else from an installed ``rabbitmq-server``, else from Debian's packages,
unpacked into a folder without being installed. A run without any of these fails; it never skips.
"""
from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from kombu import Connection

from tests.support.ports import free_port
from tests.support.reaper import end_group, reaper
from tests.support.starting import until_it_answers

PACKAGES = ("rabbitmq-server", *(f"erlang-{part}" for part in (
    "base", "asn1", "crypto", "public-key", "mnesia", "runtime-tools", "ssl", "eldap", "ftp", "tftp", "inets", "snmp",
    "os-mon", "parsetools", "syntax-tools", "tools", "xmerl")))
_counter = itertools.count(1)


class RabbitMissing(RuntimeError):
    """No RabbitMQ could be found; the text says what was tried."""


class RabbitNode:
    """One running node; ``uri`` is its address. A foreign one, from the environment, cannot be killed."""

    def __init__(self, uri: str, folder: Path | None = None, environment: dict[str, str] | None = None,
                 program: str = "") -> None:
        self.uri = uri
        self._folder = folder
        self._environment = environment or {}
        self._program = program
        self._groups: list[subprocess.Popen] = []

    @classmethod
    def start(cls, more: str = "") -> RabbitNode:
        """Use the node of the environment, or start one; ``more`` lines of its configuration make it one of one's own in any case.

        Raises:
            RabbitMissing: there is none.
            ServerFailed: it did not come up; the text carries its log.
        """
        foreign = os.environ.get("EDGEMERE_TEST_AMQP_URI")
        if foreign and not more:
            node = cls(foreign)
            node.wait_until_it_answers()
            return node
        program, path = _program()
        folder = Path(tempfile.mkdtemp(prefix="edgemere-rabbitmq-"))
        reaper.watch_folder(folder)
        port, distribution, mapper = free_port(), free_port(), free_port()
        (folder / "plugins").write_text("[].\n")
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{port}\nvm_memory_high_watermark.relative = 0.4\ndisk_free_limit.absolute = 50MB\n"
            f"log.console = false\nlog.file.level = warning\n{more}")
        environment = {
            "HOME": str(folder), "PATH": f"{path}:{os.environ['PATH']}", "LANG": "C.UTF-8", "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_NODENAME": f"edgemere{port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution), "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"), "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"), "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"), "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2",
        }
        node = cls(f"amqp://guest:guest@127.0.0.1:{port}//", folder, environment, program)
        # Erlang's port mapper would outlive the node as a daemon of its own.
        node._spawn("epmd", "-port", str(mapper), "-address", "127.0.0.1")
        node.run()
        return node

    def run(self) -> None:
        """Start the node (again) on its data, and wait until it answers."""
        self._spawn(self._program)
        self.wait_until_it_answers()

    def create_vhost(self) -> str:
        """The address of a new, empty virtual host; a foreign node has but the one that it was named with."""
        if self._folder is None:
            return self.uri
        name = f"mesh{next(_counter)}"
        self._eval(f'rabbit_vhost:add(<<"{name}">>, <<"edgemere">>), rabbit_auth_backend_internal:set_permissions('
                   f'<<"guest">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"edgemere">>).')
        return self.uri.rstrip("/") + f"/{name}"

    def let_in(self, user: str, password: str, vhost: str) -> None:
        """Make a user who may do everything in a virtual host."""
        self._eval(f'rabbit_auth_backend_internal:add_user(<<"{user}">>, <<"{password}">>, <<"edgemere">>), '
                   f'rabbit_auth_backend_internal:set_permissions(<<"{user}">>, <<"{vhost}">>, <<".*">>, <<".*">>, <<".*">>, <<"edgemere">>).')

    @property
    def host(self) -> str:
        """Where it listens: host and port."""
        return self.uri.rpartition("@")[2].strip("/")

    def change_password(self, user: str, password: str) -> None:
        self._eval(f'rabbit_auth_backend_internal:change_password(<<"{user}">>, <<"{password}">>, <<"edgemere">>).')

    def _eval(self, expression: str) -> None:
        """Have the node evaluate Erlang, which is quicker than its commands."""
        control = str(Path(self._program).with_name("rabbitmqctl"))
        made = subprocess.run([control, "eval", expression], env=self._environment, cwd=self._folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=180)
        if made.returncode != 0:
            raise RabbitMissing(f"The node did not do {expression[:40]}…: {made.stdout}{made.stderr}")

    def kill9(self) -> None:
        """``kill -9`` of the node; its data stays."""
        node = self._groups.pop()
        end_group(node.pid)
        node.wait()
        reaper.forget_group(node.pid)

    def freeze(self) -> None:
        """SIGSTOP for the node: connections stay open, and nothing answers."""
        os.killpg(self._groups[-1].pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.killpg(self._groups[-1].pid, signal.SIGCONT)

    def stop(self) -> None:
        """End what was started; a foreign node goes on."""
        while self._groups:
            self.kill9()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            reaper.forget_folder(self._folder)

    def wait_until_it_answers(self) -> None:
        until_it_answers("RabbitMQ", self._answers, self._groups[-1] if self._groups else None, self._log, not_yet=(Exception,))

    def _answers(self) -> bool:
        with Connection(self.uri, connect_timeout=20) as connection:
            connection.connect()
        return True

    def _spawn(self, *command: str) -> None:
        with open(self._folder / "output", "ab") as output:
            process = subprocess.Popen(command, env=self._environment, cwd=self._folder, stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        reaper.watch_group(process.pid)
        self._groups.append(process)

    def _log(self) -> str:
        texts = [self._folder / "output", *sorted((self._folder / "log").glob("*.log"))] if self._folder else []
        return "\n".join(path.read_text(errors="replace")[-5000:] for path in texts if path.exists())


def _program() -> tuple[str, str]:
    """The server's program, and the folder where Erlang's are."""
    installed = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    if installed.exists() and shutil.which("erl"):
        return str(installed), str(Path(shutil.which("erl")).parent)
    home = _unpacked()
    return str(home / "usr/lib/rabbitmq/bin/rabbitmq-server"), str(home / "usr/lib/erlang/bin")


def _unpacked() -> Path:
    """Debian's packages in the user's cache, without installing them."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgemere-test" / "rabbitmq"
    if cache.exists():
        return cache
    if not shutil.which("apt-get"):
        raise RabbitMissing("There is no RabbitMQ: set EDGEMERE_TEST_AMQP_URI, or install rabbitmq-server.")
    cache.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=cache.parent))
    try:
        subprocess.run(["apt-get", "download", "-qq", *PACKAGES], cwd=made, check=True, capture_output=True, text=True)
        for package in made.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package.name, "tree"], cwd=made, check=True)
        tree = made / "tree"
        erlang = cache / "usr/lib/erlang"
        for script in [*tree.glob("usr/lib/erlang/bin/*"), *tree.glob("usr/lib/erlang/erts-*/bin/*")]:
            if script.is_file() and not script.is_symlink() and script.read_bytes()[:2] == b"#!":
                # Erlang's scripts name the place where they are installed.
                script.write_text(script.read_text().replace("/usr/lib/erlang", str(erlang)))
        tree.rename(cache)
    except (subprocess.CalledProcessError, OSError) as error:
        if not cache.exists():
            raise RabbitMissing(f"There is no RabbitMQ, and Debian's packages could not be had: {error} "
                                f"{getattr(error, 'stderr', '') or ''}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return cache
