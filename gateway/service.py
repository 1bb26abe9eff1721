"""The gateway as a Nameko service: an HTTP server beside Nameko's worker pool, one greenlet per connection.

The only place of the gateway that knows eventlet and Nameko. A request never takes one of Nameko's workers, so waits
and streams cannot use them up. What cannot be read as HTTP is refused here with a problem document, never with HTML.
"""
from __future__ import annotations

import logging
import resource
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import eventlet
from eventlet import wsgi
from eventlet.green import socket
from nameko.extensions import DependencyProvider

from gateway.app import App, create_app
from gateway.listening import listen
from gateway.live import Live
from gateway.metrics import Metrics
from gateway.problems import MEDIA_TYPE, AddressTooLong, BadHttp, HeadersTooLarge, problem
from gateway.settings import Settings, from_config
from gateway.websocket.server import create_sockets
from gateway.wire import dumps
from shared.hosting.live import LiveFeeds
from shared.hosting.rpc import MeshClient, tracer_in
from shared.hosting.tether import inherited_listener
from shared.kernel.errors import EdgemereError, Unavailable
from shared.kernel.trace import NO_TRACER, Tracer

log = logging.getLogger(__name__)

# Databases, the broker's files, workers.
_FILES_BESIDE = 500
# A request has to be here as a whole within so many times the limit between two of its bytes.
READ_TIMES = 2
WATCH_S = 2.0
_LINGER_S = 1.0
_LINGER_BYTES = 16 * 1024 * 1024


@dataclass
class Front:
    """What the gateway serves: a WSGI application with a ``close()`` that ends its waits and streams.

    ``starts`` are called before the first request, ``stops`` after the last.
    """

    settings: Settings
    app: Any
    starts: list[Callable[[], Any]] = field(default_factory=list)
    stops: list[Callable[[], Any]] = field(default_factory=list)


def front_of(config: Mapping[str, Any]) -> Front:
    """The whole gateway on the mesh that ``config`` describes: Nameko's keys, and the product's under ``CONFIG``."""
    settings = from_config(config["CONFIG"])
    live = Live()
    tracer = tracer_in(config, Gateway.name)
    mesh = MeshClient(config["AMQP_URI"], timeout_s=settings.query_timeout_s, name="gateway", tracer=tracer, seal=config.get("SEAL"),
                      here=config.get("HERE"))
    feeds = LiveFeeds(config["AMQP_URI"], live)
    vitals = config.get("VITALS", {}).get(Gateway.name)
    if vitals is not None:
        vitals.consumer("live feed", lambda: feeds.listening)
    own_health = vitals.ready if vitals is not None else None
    app = application(mesh, live, settings, own_health, config.get("FIGURES"), tracer)
    return Front(settings, app, [feeds.start], [feeds.close, mesh.stop])


def application(mesh: Any, live: Live, settings: Settings, own_health: Callable[[], Any] | None = None, figures: Any = None,
                tracer: Tracer = NO_TRACER) -> App:
    """The gateway's application with its WebSocket, which only this web server can carry.

    ``figures`` are those of the services in the same process, shown with the gateway's own.
    """
    metrics = Metrics(figures.registry) if figures is not None else None
    return create_app(mesh, live, settings, metrics, make_sockets=create_sockets, own_health=own_health, tracer=tracer)


class Protocol(wsgi.HttpProtocol):
    """HTTP/1.1 for one connection; refuses what it cannot read with a problem document."""

    lingers = False
    # Until when a request has to be here, its body included; None between requests and while one is answered.
    read_until: float | None = None

    def _read_request_line(self) -> Any:
        line = super()._read_request_line()
        if line:
            self.read_until = time.monotonic() + READ_TIMES * self.server.socket_timeout
            self.server.readers.add(self)
        if line and len(line) >= self.server.url_length_limit:
            self._refuse(AddressTooLong(
                "address_too_long", f"The request line is longer than {self.server.url_length_limit} bytes.",
                next_step="Send long parameters in the body."))
            return ""
        return line

    def parse_request(self) -> bool:
        try:
            if not super().parse_request():
                return False
        except (wsgi.HeaderLineTooLong, wsgi.HeadersTooLarge):
            self.send_error(431)
            return False
        length = self.headers.get("content-length")
        if length is not None and not (length.isascii() and length.isdigit() and len(length) < 19):
            self.send_error(400, "Content-Length is not a number of bytes")
            return False
        encoding = self.headers.get("transfer-encoding")
        if encoding is not None and (length is not None or encoding.lower() != "chunked"):
            self.send_error(400, "Transfer-Encoding can be 'chunked' alone, and without Content-Length")
            return False
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Where the standard library would send a page of HTML."""
        if code == 431:
            self._refuse(HeadersTooLarge("headers_too_large", "The header fields are too many or too long.",
                                         next_step="Send fewer or shorter headers."))
        else:
            self._refuse(BadHttp("bad_http", f"This is not HTTP that the server understands: {message or code}."[:300],
                                 next_step="Use HTTP/1.1."))

    def _refuse(self, error: EdgemereError) -> None:
        refuse(self.wfile, error)
        self.close_connection = True
        self.lingers = True

    def get_environ(self) -> dict[str, Any]:
        environ = super().get_environ()
        environ["edgemere.connected"] = self._is_connected
        environ["edgemere.close"] = self._close_after
        environ["edgemere.abort"] = lambda: _shut(self.connection)
        environ["edgemere.read"] = self._has_read
        if not environ.get("CONTENT_LENGTH") and not environ.get("HTTP_TRANSFER_ENCODING"):
            self._has_read()
        return environ

    def _has_read(self) -> None:
        """The request is here as a whole; what follows has time limits of its own."""
        self.read_until = None
        self.server.readers.discard(self)

    def is_too_slow(self) -> bool:
        return self.read_until is not None and self.read_until < time.monotonic()

    def break_off(self) -> None:
        """End a connection whose request does not come to its end."""
        _shut(self.connection)

    def _is_connected(self) -> bool:
        try:
            return self.connection.fd.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _close_after(self) -> None:
        """Close the connection after this answer; the rest of the request is not worth reading."""
        self.close_connection = True
        self.lingers = True

    def finish(self) -> None:
        self._has_read()
        if self.lingers:
            linger(self.connection, self.wfile)
        super().finish()


def refuse(wfile: Any, error: EdgemereError) -> None:
    """Write a problem document for a request that never became one."""
    request_id = uuid.uuid4().hex
    body = dumps(problem(error, "", request_id))
    head = (f"HTTP/1.1 {error.status} Refused\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
            f"X-Request-Id: {request_id}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
            "Connection: close\r\n\r\n")
    wfile.write(head.encode() + body)
    wfile.flush()


def linger(connection: Any, wfile: Any = None) -> None:
    """Read on for a moment: closing with unread bytes would reset the connection before the answer is read."""
    left = _LINGER_BYTES
    try:
        if wfile is not None:
            wfile.flush()
        connection.settimeout(_LINGER_S)
        connection.shutdown(socket.SHUT_WR)
        while left > 0 and (dropped := len(connection.recv(65536))):
            left -= dropped
    except (OSError, ValueError):
        pass


class Web(DependencyProvider):
    """Listens, accepts and serves, for as long as the service runs.

    The container's config may bring a ``Front`` under ``GATEWAY``; without one it is made from the config. The port
    that is really listened on is put there as ``GATEWAY_PORT``; ``GATEWAY_LISTENER`` is a socket that listens already.
    """

    def setup(self) -> None:
        config = self.container.config
        self._front: Front = config.get("GATEWAY") or front_of(config)
        settings = self._settings = self._front.settings
        self._listener = config.pop("GATEWAY_LISTENER", None) or listen(settings)
        config["GATEWAY_PORT"] = self._listener.getsockname()[1]
        _allow_files(settings.max_connections)
        self._connections: dict[int, list[Any]] = {}
        self._pool = eventlet.GreenPool(settings.max_connections)
        self._full = eventlet.GreenPool(16)
        self._stopping = False
        self._acceptor: Any = None
        self._watcher: Any = None

    def start(self) -> None:
        settings = self._settings
        for start in self._front.starts:
            start()
        self._server = wsgi.Server(
            self._listener, self._listener.getsockname(), self._front.app, protocol=Protocol, keepalive=settings.socket_timeout_s,
            socket_timeout=settings.socket_timeout_s, url_length_limit=settings.max_url_bytes, log_output=False, debug=False)
        # Headers are written as the application names them.
        self._server.capitalize_response_headers = False
        self._server.readers = set()
        self._watcher = self.container.spawn_managed_thread(self._watch)
        self._acceptor = self.container.spawn_managed_thread(self._accept)

    def stop(self) -> None:
        """No new connection; waits and streams end; what is under way gets a moment."""
        self._close_listener()
        self._front.app.close()
        for connection in tuple(self._connections.values()):
            idle = connection[2] == wsgi.STATE_IDLE
            connection[2] = wsgi.STATE_CLOSE
            if idle:
                _shut(connection[1])
        with eventlet.Timeout(self._settings.stop_s, False):
            self._pool.waitall()
        self.kill()

    def kill(self) -> None:
        self._close_listener()
        for connection in tuple(self._connections.values()):
            _shut(connection[1])
        while self._front.stops:
            self._front.stops.pop(0)()

    def _close_listener(self) -> None:
        self._stopping = True
        for thread in (self._acceptor, self._watcher):
            if thread is not None:
                thread.kill()
        self._listener.close()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                sock, address = self._listener.accept()
            except OSError as error:
                if self._stopping:
                    return
                # Out of file descriptors, most likely: connections that end give some back.
                log.warning("no connection can be accepted: %s", error)
                eventlet.sleep(0.1)
                continue
            if len(self._connections) >= self._settings.max_connections:
                if self._full.free():
                    self._full.spawn_n(self._turn_away, sock)
                else:
                    sock.close()
                continue
            connection = [address, sock, wsgi.STATE_IDLE]
            self._connections[id(connection)] = connection
            self._pool.spawn_n(self._serve, connection)

    def _watch(self) -> None:
        """Break off requests that come a byte at a time: each byte is in time, the whole never is."""
        while not self._stopping:
            eventlet.sleep(min(WATCH_S, self._settings.socket_timeout_s))
            for reader in tuple(self._server.readers):
                if reader.is_too_slow():
                    reader.break_off()

    def _serve(self, connection: list[Any]) -> None:
        sock = connection[1]
        try:
            sock.settimeout(self._settings.socket_timeout_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._server.process_request(connection)
        except (OSError, ValueError):
            # The client went away in the middle of something; nobody is left to tell.
            log.debug("a connection from %s broke", connection[0])
        except Exception:
            log.exception("a connection from %s failed", connection[0])
        finally:
            self._connections.pop(id(connection), None)
            _shut(sock)
            sock.close()

    def _turn_away(self, sock: Any) -> None:
        error = Unavailable("unavailable", f"There are {self._settings.max_connections} connections, as many as this "
                            "gateway holds.", next_step="Try again later.")
        try:
            with sock.makefile("wb") as wfile:
                refuse(wfile, error)
            linger(sock)
        except OSError:
            pass
        finally:
            sock.close()


def _allow_files(connections: int) -> None:
    """Raise this process's own limit of open files to what the connections need, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _shut(sock: Any) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


class Gateway:
    """REST for the whole action table."""

    name = "gateway"

    web = Web()

    @staticmethod
    def prepare(config: dict[str, Any]) -> None:
        """Listen before anything else has begun, so that an address in use is refused in one sentence.

        Under a supervisor the socket is there already: all gateways accept from it.

        Raises:
            EdgemereError: as ``listen``.
        """
        inherited = inherited_listener()
        config["GATEWAY_LISTENER"] = listen(from_config(config["CONFIG"])) if inherited is None else socket.socket(fileno=inherited)
