"""Which queues a message goes to: exchanges, bindings and the patterns of topic exchanges. Holds no messages."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

REMEMBERED = 4096


def matches(pattern: list[str], words: list[str]) -> bool:
    """Whether a topic pattern covers a routing key, both split at dots: ``*`` is one word, ``#`` any number."""
    if not pattern:
        return not words
    head, rest = pattern[0], pattern[1:]
    if head == "#":
        return any(matches(rest, words[start:]) for start in range(len(words) + 1))
    return bool(words) and head in ("*", words[0]) and matches(rest, words[1:])


class Exchange:
    """A name that messages are sent to, and the queues bound to it."""

    def __init__(self, name: str, kind: str, durable: bool, auto_delete: bool = False) -> None:
        self.name = name
        self.kind = kind
        self.durable = durable
        self.auto_delete = auto_delete
        self._bindings: dict[tuple[str, str], Any] = {}
        self._known: dict[str, tuple[Any, ...]] = {}

    def bind(self, queue: Any, key: str) -> bool:
        """Bind a queue; False when it was bound like this already."""
        fresh = (queue.name, key) not in self._bindings
        self._bindings[queue.name, key] = queue
        self._known.clear()
        return fresh

    def unbind(self, queue_name: str, key: str) -> bool:
        self._known.clear()
        return self._bindings.pop((queue_name, key), None) is not None

    def forget(self, queue_name: str) -> list[str]:
        """Drop every binding of a queue; the keys that were dropped."""
        keys = [key for name, key in self._bindings if name == queue_name]
        for key in keys:
            self.unbind(queue_name, key)
        return keys

    @property
    def in_use(self) -> bool:
        return bool(self._bindings)

    def route(self, key: str) -> tuple[Any, ...]:
        """The queues that get a message with this routing key, each once."""
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[key] = tuple({queue.name: queue for queue in self._fitting(key)}.values())
        return found

    def _fitting(self, key: str) -> Iterable[Any]:
        if self.kind == "fanout":
            return self._bindings.values()
        if self.kind == "topic":
            words = key.split(".") if key else []
            return [queue for (_, pattern), queue in self._bindings.items()
                    if pattern == key or matches(pattern.split(".") if pattern else [], words)]
        return [queue for (_, wanted), queue in self._bindings.items() if wanted == key]
