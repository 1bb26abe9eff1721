"""YAML text with the place of everything in it: what a value is, and at which line and column it stands."""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_PLACES = 100_000


class Misplaced(Exception):
    """The text cannot be used; ``line`` and ``column`` count from 1, None where nobody knows."""

    def __init__(self, detail: str, line: int | None = None, column: int | None = None, pointer: str = "/") -> None:
        super().__init__(detail)
        self.detail, self.line, self.column, self.pointer = detail, line, column, pointer


@dataclass
class Placed:
    """``body`` as plain values; ``places`` has line and column of each member's name and of each item, by pointer.

    ``values`` has the same for values: where the text of a line of shorthand begins, its quotation mark left out.
    """

    body: Any
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    values: dict[str, tuple[int, int]] = field(default_factory=dict)

    def place(self, pointer: str) -> tuple[int, int] | None:
        """Line and column of what ``pointer`` names, or of the nearest thing around it."""
        while pointer and pointer not in self.places:
            pointer = pointer.rpartition("/")[0]
        return self.places.get(pointer)


class _Loader(yaml.SafeLoader):
    """Safe, without references from one place to another; dates, and words such as ``no``, stay texts, as they are in JSON."""

    yaml_implicit_resolvers = {
        first: [(tag, test) for tag, test in resolvers if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise Misplaced(f"References such as '*{event.anchor}' are not used here.", *_of(event.start_mark))
        return super().compose_node(parent, index)


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("(?:true|false)$"), ["t", "f"])


def read_placed(text: str) -> Placed:
    """The one document of a YAML text.

    Raises:
        Misplaced: it is not YAML, refers to itself, or names a member twice.
    """
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:
        # A character that YAML does not have.
        raise Misplaced(f"Not valid YAML: {str(error).splitlines()[0]}.") from None
    try:
        node = loader.get_single_node()
        if node is None:
            return Placed(None)
        placed = Placed(None)
        _walk(node, "", placed)
        placed.body = loader.construct_document(node)
        return placed
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line, column = _of(mark) if mark else (None, None)
        raise Misplaced(f"Not valid YAML: {getattr(error, 'problem', None) or error}.", line, column) from None
    except RecursionError:
        raise Misplaced("Not valid YAML: nested too deeply.") from None
    except ValueError as error:
        raise Misplaced(f"Not valid YAML: {error}.") from None
    finally:
        loader.dispose()


def step(pointer: str, key: Any) -> str:
    """The pointer to a member of what ``pointer`` names."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


def _walk(node: yaml.Node, pointer: str, placed: Placed) -> None:
    placed.places.setdefault(pointer, _of(node.start_mark))
    line, column = _of(node.start_mark)
    quoted = isinstance(node, yaml.ScalarNode) and node.style in ("'", '"')
    placed.values[pointer] = line, column + quoted
    if len(placed.places) > MAX_PLACES:
        raise Misplaced("There is more in it than anybody can read.")
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            _walk(item, f"{pointer}/{position}", placed)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise Misplaced("A member's name is a text.", *_of(key.start_mark), pointer or "/")
            below = step(pointer, key.value)
            if below in placed.places:
                raise Misplaced(f"'{key.value}' is there twice.", *_of(key.start_mark), below)
            placed.places[below] = _of(key.start_mark)
            _walk(value, below, placed)


def _of(mark: Any) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1
