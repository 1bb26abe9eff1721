"""What the server answers, as objects that show themselves well: one object, and a page of several."""
from __future__ import annotations

import html
import json
from typing import Any
from collections.abc import Callable, Iterator, Mapping

_FIRST = ("name", "state", "action", "cost", "source", "request", "reference", "size", "media_type", "bytes_total", "message", "path", "id")
_SHOWN_COLUMNS = 8
_SHOWN_ROWS = 30
_SHOWN_CHARS = 120


class Object(dict):
    """One object as the server shows it: a dict whose members are attributes, too (``request.state``).

    ``about`` has what HTTP said beside it: ``{status, request_id, location, version, operation}``.
    """

    about: "dict[str, Any]" = {}

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"There is no '{name}' here; there are: {', '.join(map(str, self))}.") from None

    def __repr__(self) -> str:
        words = [str(self[name]) for name in ("name", "state") if self.get(name) is not None]
        return f"<{' '.join(words) or 'Object'} {self.get('id', '')}>".replace(" >", ">")

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th style='text-align:left'>{_escaped(name)}</th><td style='text-align:left'>{_escaped(_text(value))}</td></tr>"
                       for name, value in self.items() if value not in (None, {}, []))
        return f"<table>{rows}</table>"


class Page(list):
    """A page of objects: a list with ``total``, and ``everything()`` to go through the pages after it, too."""

    def __init__(self, raw: Mapping[str, Any], turn: "Callable[[str], Page] | None" = None) -> None:
        super().__init__(whole(item) for item in raw.get("items") or ())
        self.raw = Object(raw)
        self.about: "dict[str, Any]" = {}
        self._turn = turn

    @property
    def total(self) -> "int | None":
        """How many there are in all pages; an estimate where ``raw["total_is_estimate"]`` says so."""
        return self.raw.get("total")

    def everything(self) -> Iterator[Any]:
        """The objects of this page and of all after it."""
        page: "Page | None" = self
        while page is not None:
            yield from page
            cursor = page.raw.get("next")
            page = page._turn(cursor) if cursor and page._turn else None

    def __repr__(self) -> str:
        return f"<{len(self)} of {self.total if self.total is not None else '?'}: {', '.join(map(repr, self[:5]))}{', …' if len(self) > 5 else ''}>"

    def _repr_html_(self) -> str:
        names = [name for item in self[:1] if isinstance(item, Mapping) for name in item]
        names = sorted(names, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))[:_SHOWN_COLUMNS]
        head = "".join(f"<th>{_escaped(name)}</th>" for name in names)
        rows = "".join("<tr>" + "".join(f"<td style='text-align:left'>{_escaped(_text(item.get(name)))}</td>" for name in names) + "</tr>"
                       for item in self[:_SHOWN_ROWS] if isinstance(item, Mapping))
        return f"<table><tr>{head}</tr>{rows}</table><small>{min(len(self), _SHOWN_ROWS)} of {_escaped(self.total)}</small>"


def whole(value: Any) -> Any:
    """A JSON value with every object in it as an ``Object``."""
    if isinstance(value, Mapping):
        return Object({key: whole(inner) for key, inner in value.items()})
    return [whole(inner) for inner in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    if isinstance(value, Mapping) and set(value) <= {"id", "name"}:
        value = value.get("name") or value.get("id")
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS - 1] + "…"


def _escaped(value: Any) -> str:
    return html.escape(str(value if value is not None else ""))
