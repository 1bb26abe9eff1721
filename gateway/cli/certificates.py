"""What ``edgemere doctor`` finds about the certificates of server, broker and database, judged by the settings that the mesh itself uses.

Each is greeted as its protocol begins, and left again; nobody logs in.
"""
from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gateway.cli.findings import Finding

TIMEOUT_S = 5.0
EXPIRES_DAYS = 21
AMQP = b"AMQP\x00\x00\x09\x01"
# How a PostgreSQL is asked whether it speaks TLS: https://www.postgresql.org/docs/current/protocol-message-formats.html
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@dataclass(frozen=True)
class Trust:
    """Whom one believes, and as whom one comes: files in PEM form. ``names`` is whether the certificate's name is compared."""

    ca: str = ""
    cert: str = ""
    private_key: str = ""
    verify: bool = True
    names: bool = True

    def context(self) -> ssl.SSLContext:
        """Raises OSError for a file that is not there or is none."""
        context = ssl.create_default_context(cafile=self.ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if not self.names or not self.verify:
            context.check_hostname = False
        if not self.verify:
            context.verify_mode = ssl.CERT_NONE
        if self.cert:
            context.load_cert_chain(self.cert, self.private_key or None)
        return context


def of_server(url: str) -> Finding | None:
    """About the server at ``url``; None where it has no TLS."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return None
    return _looked_at("server", parts.hostname, parts.port or 443, Trust())


def of_broker(uri: str, tls: Any) -> Finding | None:
    """About the broker at ``uri``, with the settings ``broker.tls``; None where it has no TLS."""
    parts = urlsplit(uri)
    if parts.scheme != "amqps" or not parts.hostname:
        return None
    said = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    trust = Trust(said.get("ssl_ca_certs", tls.ca), said.get("ssl_certfile", tls.cert), said.get("ssl_keyfile", tls.private_key),
                  tls.verify and said.get("ssl_cert_reqs") != "none")
    return _looked_at("broker", parts.hostname, parts.port or 5671, trust, after=_greets)


def of_database(url: str) -> Finding | None:
    """About the PostgreSQL at ``url``, as its services open it; None where it asks for no TLS."""
    parts = urlsplit(url)
    said = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    mode = said.get("sslmode", "")
    if mode not in ("require", "verify-ca", "verify-full") or not parts.hostname:
        return None
    ca = "" if said.get("sslrootcert") == "system" else said.get("sslrootcert", "")
    trust = Trust(ca, said.get("sslcert", ""), said.get("sslkey", ""), mode != "require", mode == "verify-full")
    return _looked_at("database", parts.hostname, parts.port or 5432, trust, before=_asks_for_tls)


def _asks_for_tls(plain: socket.socket) -> None:
    plain.sendall(SSL_REQUEST)
    if plain.recv(1) != b"S":
        raise ConnectionError("it offers none")


def _greets(secure: ssl.SSLSocket) -> None:
    """With TLS 1.3 a server says only after the handshake that it does not take our certificate."""
    secure.sendall(AMQP)
    secure.recv(1)


def _looked_at(what: str, host: str, port: int, trust: Trust, before: Callable[[socket.socket], None] | None = None,
               after: Callable[[ssl.SSLSocket], None] | None = None) -> Finding:
    where = f"{what} at {host}:{port}"
    try:
        context = trust.context()
    except OSError as error:
        return Finding("certificates", "fail", f"The files with certificates for the {what} cannot be used: {error}.",
                       f"Correct {what}.tls: ca, cert, private_key.")
    shaken = False
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_S) as plain:
            if before:
                before(plain)
            with context.wrap_socket(plain, server_hostname=host) as secure:
                certificate: Any = secure.getpeercert()
                shaken = True
                if after:
                    after(secure)
    except ssl.SSLCertVerificationError as error:
        return Finding("certificates", "fail", f"The certificate of the {where} is not trusted: {error.verify_message}.",
                       "Renew it, or have its authority trusted: SSL_CERT_FILE" + (f", or {what}.tls.ca." if what != "server" else "."))
    except ssl.SSLError as error:
        if shaken:
            return Finding("certificates", "fail", f"The {where} does not take our certificate: {error.reason or error}.",
                           f"Give it one that it trusts: {what}.tls.cert and {what}.tls.private_key.")
        return Finding("certificates", "fail", f"The {where} does not speak TLS: {error.reason or error}.", "Look at its listener and its log.")
    except OSError as error:
        return Finding("certificates", "fail", f"The {where} does not speak TLS: {error}.", "Look at its listener and its log.")
    if not certificate:
        return Finding("certificates", "warn", f"Whoever answers as the {where} is believed: its certificate is not verified.",
                       f"Name its authority ({what}.tls.ca), and have it verified ({what}.tls.verify).")
    days = (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86400
    verdict = "ok" if days > EXPIRES_DAYS else "warn"
    return Finding("certificates", verdict, f"that of the {where} ends in {days:.0f} days", "" if verdict == "ok" else "Renew it.")
