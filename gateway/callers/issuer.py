"""The public keys of the issuer of tokens: fetched with bounds, kept while the issuer is away, fetched anew for an unknown one.

https, or http on the loopback interface, or a file. No redirect is followed: whoever answers there answers for it.
"""
from __future__ import annotations

import http.client
import json
import logging
import ssl
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.auth import is_loopback
from shared.kernel.errors import Invalid, Unavailable

log = logging.getLogger(__name__)

MAX_BYTES = 256 * 1024
MAX_KEYS = 100
FETCH_S = 5.0
LEAST_RSA_BITS = 2048
# Without being asked for, the keys are fetched anew so often: one that the issuer has withdrawn ends with it.
AGE_S = 3600.0


def check_place(place: str) -> None:
    """Refuse a place from which nobody should take keys.

    Raises:
        Invalid: ``config.invalid``.
    """
    parts = urlsplit(place)
    if parts.scheme in ("", "file") or parts.scheme == "https" and parts.hostname or (
            parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return
    raise Invalid("config.invalid", f"auth.jwt.jwks: keys are not taken from '{place[:200]}': whoever is on the way could change them.",
                  next_step="Name an https address, or a file.")


class Issuer:
    """The keys of one place, by their ids. ``refetch_s`` bounds how often unknown ids may cause a fetch."""

    def __init__(self, place: str, refetch_s: float) -> None:
        check_place(place)
        self._place, self._refetch_s = place, refetch_s
        self._keys: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._tried_at = float("-inf")
        self._fetched_at = float("-inf")
        self.generation = 0

    def key(self, kid: str) -> Any:
        """The public key of this id; None when the issuer has none.

        Raises:
            Unavailable: nothing could be fetched yet.
        """
        now = time.monotonic()
        if (kid not in self._keys or now - self._fetched_at > AGE_S) and now - self._tried_at > self._refetch_s:
            self._refresh(now)
        if not self._keys:
            raise Unavailable("credential.unavailable", "The keys of the issuer of tokens could not be fetched.",
                              next_step="Try again in a moment; auth.jwt.jwks says where they are looked for.")
        return self._keys.get(kid)

    def _refresh(self, came: float) -> None:
        with self._lock:
            if self._tried_at >= came:
                return
            self._tried_at = time.monotonic()
            try:
                self._keys = keys_in(self._read())
                self._fetched_at = time.monotonic()
                self.generation += 1
            except (OSError, ValueError, http.client.HTTPException) as error:
                # The keys that are there go on working: an issuer that is away stops nobody who was let in by it.
                log.warning("the keys of the issuer at %s cannot be fetched: %s", self._place, error)

    def _read(self) -> bytes:
        parts = urlsplit(self._place)
        if parts.scheme in ("", "file"):
            with Path(parts.path if parts.scheme else self._place).open("rb") as file:
                return bounded(file.read(MAX_BYTES + 1))
        end = time.monotonic() + FETCH_S
        if parts.scheme == "https":
            connection: Any = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=FETCH_S, context=ssl.create_default_context())
        else:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=FETCH_S)
        try:
            connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""), headers={"Accept": "application/json"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise ValueError(f"it answered with status {answer.status}")
            found = b""
            while chunk := answer.read1(64 * 1024):
                found = bounded(found + chunk)
                if time.monotonic() > end:
                    raise ValueError(f"it took longer than {FETCH_S:g} s")
            return found
        finally:
            connection.close()


def bounded(found: bytes) -> bytes:
    if len(found) > MAX_BYTES:
        raise ValueError(f"they are larger than {MAX_BYTES} bytes")
    return found


def keys_in(text: bytes) -> dict[str, Any]:
    """The keys of a JWK set that can be used here, by their ids: RSA of 2048 bits or more, and EC on P-256.

    Raises:
        ValueError: it is no set with such a key.
    """
    try:
        given = json.loads(text)["keys"]
        assert isinstance(given, list)
    except (KeyError, TypeError, AssertionError):
        raise ValueError("it is no set of keys") from None
    found: dict[str, Any] = {}
    for one in given[:MAX_KEYS]:
        kid = one.get("kid") if isinstance(one, dict) else None
        if not isinstance(kid, str) or one.get("use", "sig") != "sig" or one.get("kty") not in ("RSA", "EC") or "d" in one:
            continue
        try:
            key = jwt.PyJWK(one, algorithm="RS256" if one["kty"] == "RSA" else "ES256").key
        except (jwt.PyJWTError, ValueError, KeyError, TypeError):
            continue
        if isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA_BITS or (
                isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
            found[kid] = key
    if not found:
        raise ValueError("none of its keys can be used: RSA from 2048 bits or EC on P-256, each with a kid")
    return found


def algorithm_of(key: Any) -> str:
    """The one algorithm that a key is used with here: a key of one kind never checks a signature of another."""
    return "RS256" if isinstance(key, rsa.RSAPublicKey) else "ES256"
