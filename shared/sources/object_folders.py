"""Folders of a store that are one Data: all objects below a prefix that a pattern names. Knows no store: it is told of objects.

A store knows no folders and lists its objects in an order that not every one of them keeps, so the weight of a folder does not depend on one.
"""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from shared.sources.file_walk import meets
from shared.sources.port import Stat


class Weight:
    """What the objects of a folder are together; ``stat`` has their bytes, the newest time and a word that changes when one of them does."""

    def __init__(self) -> None:
        self._size = self._word = 0
        self._newest: str | None = None

    def add(self, inside: str, stat: Stat) -> None:
        """Count an object, by its path in the folder."""
        self._size += stat.size or 0
        self._newest = max(self._newest or "", stat.modified_at or "") or None
        said = f"{inside}\0{stat.size} {stat.etag or stat.modified_at}".encode("utf-8", "surrogateescape")
        self._word += int.from_bytes(hashlib.blake2b(said, digest_size=16).digest(), "big")

    @property
    def stat(self) -> Stat:
        return Stat(self._size, self._newest, etag=f"{self._word % (1 << 128):032x}")


class Folders:
    """The folders that patterns name, while objects pass by in any order."""

    def __init__(self, patterns: list[str]) -> None:
        self._meets: Callable[[str, str], bool] | None = meets(patterns)
        self._weights: dict[str, Weight] = {}
        self._names: set[str] = set()

    def named(self, path: str) -> bool:
        """Whether a pattern names this path."""
        return self._meets is not None and self._meets(path, path.rpartition("/")[2])

    def of(self, path: str) -> str | None:
        """The outermost folder above a path that is one Data."""
        if self._meets is None:
            return None
        end = path.find("/")
        while end >= 0:
            if self.named(path[:end]):
                return path[:end]
            end = path.find("/", end + 1)
        return None

    def take(self, path: str, stat: Stat) -> bool:
        """Count an object into its folder; False where it is in none and is an item of its own."""
        folder = self.of(path)
        if folder is None:
            if self.named(path):
                self._names.add(path)
            return False
        self._weights.setdefault(folder, Weight()).add(path[len(folder) + 1:], stat)
        return True

    def found(self) -> Iterator[tuple[str, Stat | None]]:
        """The folders whose objects passed, with what they are together; None where an object has the same name."""
        for path in sorted(self._weights):
            yield path, None if path in self._names else self._weights[path].stat
