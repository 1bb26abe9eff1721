"""What a query over one class of objects may name, and of which kind each field is.

Entry points: ``FieldSet``, ``Field``, ``DATA_FIELDS``. Knows no database and no documents.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.kernel.errors import Malformed, nearest

KINDS = ("text", "number", "boolean", "time", "ref", "refs", "list", "json")


@dataclass(frozen=True)
class Field:
    """One closed field.

    ``kind``: ``text``, ``number``, ``boolean``, ``time``; ``ref`` (``{"id", "name"}`` or an id: compares with
    either); ``refs`` and ``list`` (any element; elements that are refs compare with id or name); ``json``
    (dotted access below it, ``labels.x``). ``unit="bytes"``: shorthand shows and reads sizes. ``of``: what a
    ``ref`` holds when the document has the whole object in its place, as policies see it (``data.size``).
    """

    kind: str = "text"
    unit: str = ""
    of: "FieldSet | None" = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a field is one of {', '.join(KINDS)}, not '{self.kind}'")


@dataclass(frozen=True)
class Name:
    """A name that was found in a field set.

    ``text`` is its canonical spelling, ``kind`` one of ``KINDS`` or ``tag``. ``base`` are the keys that lead to
    the object it belongs to, ``head`` the field there (``tags`` for a tag), ``below`` the dotted rest.
    """

    text: str
    kind: str
    head: str
    below: tuple[str, ...] = ()
    base: tuple[str, ...] = ()
    unit: str = ""

    @property
    def is_open(self) -> bool:
        """Whether its values have no fixed type: a tag, or something inside a json, list or ref field."""
        return self.kind in ("tag", "json", "list") or bool(self.below)

    @property
    def is_many(self) -> bool:
        """Whether it may hold a list."""
        return self.is_open or self.kind == "refs"

    @property
    def key(self) -> str:
        """The dotted name below the head; for a tag, its name in the tag index."""
        return ".".join(self.below)


@dataclass(frozen=True)
class FieldSet:
    """The closed ``fields`` of the class ``noun``, and whether any other name is a metadata tag (``open_tags``).

    ``search``: the text fields in which a bare word of the shorthand is looked for.
    """

    noun: str
    fields: Mapping[str, Field] = field(default_factory=dict)
    open_tags: bool = False
    search: tuple[str, ...] = ()

    @classmethod
    def of_kinds(cls, noun: str, kinds: Mapping[str, str], *, open_tags: bool = False) -> "FieldSet":
        """A field set from ``{name: kind}`` as the contracts list it (``count`` is a number).

        Fields called ``size``, ``bytes_*`` or ``*_bytes`` are sizes; bare words search in ``name`` and ``path``.
        With ``open_tags`` the field ``tags`` is what holds the tags.
        """
        def make(name: str, kind: str) -> Field:
            kind = "number" if kind == "count" else kind
            bytes_ = kind == "number" and re.fullmatch(r"size|bytes_\w+|\w+_bytes", name)
            return Field(kind, unit="bytes" if bytes_ else "")

        fields = {name: make(name, kind) for name, kind in kinds.items() if not (open_tags and name == "tags")}
        return cls(noun, fields, open_tags, tuple(name for name in ("name", "path") if name in fields))

    def resolve(self, name: str, where: str) -> Name:
        """The field or tag called ``name``; ``where`` is the pointer or column for the error.

        Raises:
            Malformed: ``query.unknown_field``, with the nearest names.
        """
        segments = name.split(".")
        head = segments[0]
        if head not in self.fields and not self.open_tags:
            # Spellings of the seed, such as dataReference; where tags are open it is the name of a tag.
            snake = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda hit: "_" + hit.group(1).lower(), head)
            head = snake if snake in self.fields else head
        found = self.fields.get(head)
        below = tuple(segments[1:])
        if found is not None:
            if not below:
                return Name(head, found.kind, head, unit=found.unit)
            if found.of is not None:
                inner = found.of.resolve(".".join(below), where)
                return Name(f"{head}.{inner.text}", inner.kind, inner.head, inner.below, (head, *inner.base), inner.unit)
            if found.kind in ("json", "list"):
                return Name(".".join((head, *below)), found.kind, head, below)
            if found.kind in ("ref", "refs") and below in (("id",), ("name",)):
                return Name(f"{head}.{below[0]}", found.kind, head, below)
            if not self.open_tags:
                raise Malformed(
                    "query.unknown_field", f"The {self.noun} field '{head}' has nothing inside it, so '{name}' names nothing.",
                    next_step=f"Compare with '{head}' itself.",
                    errors=[{"pointer": where, "detail": f"'{head}' is a {found.kind}"}],
                )
        if self.open_tags:
            if segments[0] == "tags" and below:
                return self._tag(below)
            return self._tag(tuple(segments))
        near = nearest(head, self.fields, 3)
        raise Malformed(
            "query.unknown_field",
            f"A {self.noun} has no field '{name}'." + (f" Did you mean '{near[0]}'?" if near else ""),
            next_step=f"Use one of: {', '.join(sorted(self.fields))}.",
            errors=[{"pointer": where, "detail": f"unknown field '{name}'"}], nearest=near,
        )

    def _tag(self, below: tuple[str, ...]) -> Name:
        # Only a name that would be read as something else keeps the prefix.
        bare = ".".join(below)
        plain = below[0] not in self.fields and below[0] != "tags" and bare and not bare.startswith("$")
        return Name(bare if plain else f"tags.{bare}", "tag", "tags", below)


DATA_FIELDS = FieldSet(
    "data",
    {
        "id": Field(), "name": Field(), "path": Field(), "type": Field(),
        "size": Field("number", unit="bytes"), "media_type": Field(), "modified_at": Field("time"),
        "checksum": Field(), "source": Field("ref"), "location": Field(), "uri": Field(),
    },
    open_tags=True,
    search=("name", "path"),
)
