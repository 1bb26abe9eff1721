"""AMQP over TLS: whom the broker has to be, by its certificate, for every connection of this process.

What there is to say stands in the address itself, ``amqps://host/vhost?ssl_ca_certs=/file&ssl_cert_reqs=required``, so that everybody
who connects, Nameko too, connects alike. kombu reads it there in the words of another of its transports; here they become AMQP's.
"""
from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urlencode

import kombu.transport
from kombu.transport.pyamqp import SSLTransport

SCHEME = "amqps"


class TlsTransport(SSLTransport):
    """``amqps://``: the certificate is verified, and its name compared with the host, unless the address says otherwise."""

    def establish_connection(self) -> Any:
        said = self.client.ssl if isinstance(self.client.ssl, dict) else {}
        # A connection that is made again finds what it left here.
        given = {name.removeprefix("ssl_"): value for name, value in said.items()}
        verify = given.get("cert_reqs", ssl.CERT_REQUIRED)
        named = {"server_hostname": self.client.hostname} if verify else {}
        self.client.ssl = {**given, **named, "cert_reqs": verify, "tls_minimum_version": ssl.TLSVersion.TLSv1_2}
        return super().establish_connection()


def register_transport() -> None:
    """Make ``amqps://`` this one, for kombu and all that stands on it."""
    kombu.transport.TRANSPORT_ALIASES[SCHEME] = f"{__name__}:{TlsTransport.__name__}"


def address(uri: str, *, ca: str = "", cert: str = "", key: str = "", verify: bool = True) -> str:
    """An ``amqps://`` address with what there is to say about certificates; any other as it is."""
    if not uri.startswith(f"{SCHEME}:"):
        return uri
    said = {"ssl_ca_certs": ca, "ssl_certfile": cert, "ssl_keyfile": key, "ssl_cert_reqs": "required" if verify else "none"}
    given = urlencode({name: value for name, value in said.items() if value and name not in uri})
    return f"{uri}{'&' if '?' in uri else '?'}{given}" if given else uri
