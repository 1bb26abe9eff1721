"""Which places a scan has seen, in 16 bytes each: a million files are 16 MB. Knows no database."""
from __future__ import annotations

_HASHED = 15  # "data_" and the ten characters of time are the same for all places of one source
_BUCKET = 2
_REST = 14


class Seen:
    """A set of places of one source that is asked about in the order of the places.

    The hashed part of a place is kept in one of 1,024 buckets of bytes; a bucket becomes a set when it is asked.
    """

    def __init__(self) -> None:
        self._buckets: dict[str, bytearray] = {}
        self._open: tuple[str, frozenset[bytes]] = ("", frozenset())

    def add(self, place: str) -> None:
        bucket = place[_HASHED:_HASHED + _BUCKET]
        self._buckets.setdefault(bucket, bytearray()).extend(place[_HASHED + _BUCKET:].encode())

    def __contains__(self, place: str) -> bool:
        bucket = place[_HASHED:_HASHED + _BUCKET]
        if self._open[0] != bucket:
            held = bytes(self._buckets.get(bucket, b""))
            self._open = (bucket, frozenset(held[at:at + _REST] for at in range(0, len(held), _REST)))
        return place[_HASHED + _BUCKET:].encode() in self._open[1]
