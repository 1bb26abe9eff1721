"""Digests with the name of their algorithm, so that another can follow: what makes new ones, and which are believed.

Written as ``<name>:<the first 256 bits in base64url>``, which fits where the hexadecimal digits of SHA-256 fit; such digits without a name are of
SHA-256, as all were of releases before. The names are a short list: an unknown one, or one that is too weak to be on it, is no digest.
"""
from __future__ import annotations

import base64
import functools
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

FIRST = "sha256"
_HASHES = {"sha256": "sha256", "sha384": "sha384", "sha512": "sha512", "sha3-256": "sha3_256"}
ALGORITHMS = tuple(_HASHES)
_BYTES = 32


def digest(algorithm: str, content: bytes) -> str:
    """The digest of some bytes."""
    return _written(algorithm, hashlib.new(_HASHES[algorithm], content).digest())


def mac(algorithm: str, key: bytes, content: bytes) -> str:
    """The same of whom has the key (HMAC, RFC 2104)."""
    begun = _keyed(algorithm, key).copy()
    begun.update(content)
    return _written(algorithm, begun.digest())


@functools.lru_cache(16)
def _keyed(algorithm: str, key: bytes) -> hmac.HMAC:
    """The MAC that has its key already: to begin one costs more than a message, and each message and call of the mesh has one or two."""
    return hmac.new(key, digestmod=_HASHES[algorithm])


def algorithm_of(written: str) -> str:
    """The name that a digest carries; it may be none of ``ALGORITHMS``."""
    name, colon, _ = written.partition(":")
    return name if colon else FIRST


def _written(algorithm: str, found: bytes) -> str:
    return found.hex() if algorithm == FIRST else f"{algorithm}:{base64.urlsafe_b64encode(found[:_BYTES]).decode().rstrip('=')}"


@dataclass(frozen=True)
class Digests:
    """What new digests are made with (one of ``ALGORITHMS``), and which are believed beside it."""

    made_with: str = FIRST
    believed: tuple[str, ...] = ALGORITHMS

    def __post_init__(self) -> None:
        """Raises ValueError: a name that is not on the list."""
        if unknown := {self.made_with, *self.believed} - _HASHES.keys():
            raise ValueError(f"{sorted(unknown)[0]} is none of {', '.join(ALGORITHMS)}")

    def believes(self, algorithm: str) -> bool:
        return algorithm == self.made_with or algorithm in self.believed

    def fits(self, written: str, again: Callable[[str], str]) -> bool:
        """Whether ``again(algorithm)`` comes to the same; False of an algorithm that is not believed. Takes as long either way."""
        algorithm = algorithm_of(written)
        return self.believes(algorithm) and written.isascii() and hmac.compare_digest(written, again(algorithm))
