"""What an action is: one row of the table that every face renders.

REST, CLI, RPC, OpenAPI and the documents are made from rows; no face knows an action by its name.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import RAISE, Schema, ValidationError

from shared.kernel.errors import Invalid, did_you_mean
from shared.kernel.rights import EVERYBODY, either

TREES = {"do": "edgemere.diml.dml.do", "fmdm": "edgemere.diml.dml.fmdm"}


@dataclass(frozen=True)
class Wait:
    """How the gateway waits for what an action set going.

    The answer's member at ``id_path`` (dotted) names an object of class ``noun``; it is waited for until the
    object's ``field`` (dotted) has a value in ``until``. Then ``refresh`` (service, method, parameter) is asked
    for the answer. ``default_s`` is the wait without ``Prefer: wait=N``; 0 answers at once, with 200 or 201.
    """

    noun: str
    id_path: str
    field: str
    until: frozenset[str]
    refresh: tuple[str, str, str]
    default_s: float = 0
    operation_path: str = "id"


@dataclass(frozen=True)
class Action:
    """One row: an action of the product, with everything that a face needs to know.

    ``path`` are the words after the tree (``("datainstance", "create")``); ``service.method`` answers the RPC.
    ``answer`` is ``object``, ``page``, ``stream`` or ``content``; ``noun`` is the class of the object(s) in it, or of the
    schema in ``shape``. ``creates`` makes REST answer 201 with ``Location``. ``positional`` is the parameter that
    the CLI also takes without its name. ``built`` is False for rows that answer 501 ``not_yet``. ``move`` is the event of
    the noun's net that the action makes, so that a face can say where it is legal; where there is no net, ``within`` are the statuses that
    allow it. ``roles`` are those of which a caller
    needs one; whose objects he gets then is decided beside (``shared.kernel.rights``). ``fresh`` rows are those with which somebody
    could do the most harm at a place that its user has left: they ask a person for a login that is not old (``auth.fresh_s``); but for calls
    in which every parameter of ``harmless`` has one of its values.
    ``inline`` is the parameter that may describe the object instead of naming it: REST answers 201 then.
    """

    tree: str
    path: tuple[str, ...]
    service: str
    method: str
    kind: str
    parameters: type[Schema]
    summary: str
    noun: str
    answer: str = "object"
    shape: type[Schema] | None = None
    errors: tuple[str, ...] = ()
    roles: tuple[str, ...] = EVERYBODY
    example: Mapping[str, Any] = field(default_factory=dict)
    creates: bool = False
    inline: str | None = None
    positional: str | None = None
    wait: Wait | None = None
    built: bool = True
    confirm: bool = False
    fresh: bool = False
    harmless: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    move: str | None = None
    within: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``do.datainstance.create``, unique in the table."""
        return ".".join((self.tree, *self.path))

    @property
    def address(self) -> str:
        """The REST address."""
        return "/" + TREES[self.tree].replace(".", "/") + "/" + "/".join(self.path)

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the CLI after ``edgemere``."""
        return (*TREES[self.tree].split(".")[1:], *self.path)

    @property
    def changes(self) -> bool:
        return self.kind == "command"

    @property
    def asks_anew(self) -> str:
        """Of rows with ``fresh`` the sentence that says so; empty for others."""
        but = " and ".join(f"{name} is {' or '.join(map(str, values))}" for name, values in self.harmless.items())
        return f"Asks a person for a login that is not old (auth.fresh_s){f', but where {but}' if but else ''}." if self.fresh else ""

    @property
    def may_create(self) -> bool:
        """Whether a call may make something, which REST answers with 201."""
        return self.creates or self.inline is not None

    def is_harmful(self, given: Mapping[str, Any]) -> bool:
        """Whether a call with these checked parameters asks for a login that is not old."""
        return self.fresh and not (self.harmless and all(given.get(name) in values for name, values in self.harmless.items()))

    @property
    def restricted(self) -> bool:
        """Whether there is a role that does not do."""
        return set(self.roles) != set(EVERYBODY)

    @property
    def needs(self) -> str:
        """The roles, as a part of a sentence."""
        return either(self.roles)

    @property
    def rpc(self) -> str:
        return f"{self.service}.{self.method}"


def load_parameters(action: Action, given: Mapping[str, Any]) -> dict[str, Any]:
    """The checked parameters of a call, in their Python kinds, with defaults.

    Raises:
        Invalid: ``parameter.unknown``, ``parameter.missing`` or ``parameter.invalid``, with a pointer for each.
    """
    schema = schema_of(action.parameters)
    # None is how RPC callers and JSON spell "not given".
    given = {ALIASES.get(key, key) if key not in schema.fields else key: value
             for key, value in given.items() if value is not None}
    unknown = [key for key in given if key not in schema.fields]
    if unknown:
        errors = [{"pointer": f"/{key}", "detail": f"Unknown parameter '{key}'.{did_you_mean(key, schema.fields)}"}
                  for key in unknown]
        raise Invalid("parameter.unknown", f"{action.name}: {errors[0]['detail']}",
                      next_step=f"It takes: {', '.join(schema.fields) or 'nothing'}.", errors=errors)
    try:
        return schema.load(given)
    except ValidationError as error:
        raise invalid(action.name, error.messages, described=schema.fields) from None


def known_members(action: Action, obj: Mapping[str, Any]) -> dict[str, Any]:
    """Those members of an object in a message that the action takes: one from a newer program may carry more."""
    taken = schema_of(action.parameters).fields
    return {name: value for name, value in obj.items() if name in taken or ALIASES.get(name) in taken}


ALIASES = {
    "shortName": "short_name", "dataReference": "data_reference", "reference": "data_reference",
    "neededBy": "needed_by", "dataref": "dataref",
}
_schemas: dict[type[Schema], Schema] = {}


def schema_of(kind: type[Schema]) -> Schema:
    """One instance of a schema class: making one costs more than using it."""
    schema = _schemas.get(kind)
    if schema is None:
        schema = _schemas[kind] = kind(unknown=RAISE)
    return schema


# marshmallow's words for what is wrong, in ours.
_SAID = {
    "Missing data for required field.": "This is required.", "Not a valid string.": "A text is needed here.",
    "Not a valid integer.": "A whole number is needed here.", "Not a valid number.": "A number is needed here.",
    "Not a valid boolean.": "true or false is needed here.",
}


def invalid(where: str, messages: Mapping[str, Any], prefix: str = "",
            described: Mapping[str, Any] | None = None) -> Invalid:
    """marshmallow's messages as one error with a pointer for each; ``described`` are the fields, for the next step."""
    errors: list[dict[str, str]] = []

    def walk(pointer: str, found: Any) -> None:
        if isinstance(found, Mapping):
            for key, inner in found.items():
                walk(pointer if key == "_schema" else f"{pointer}/{key}", inner)
        else:
            errors.extend({"pointer": pointer, "detail": _SAID.get(str(text), str(text))} for text in found)

    walk(prefix, messages)
    missing = all("required" in error["detail"].lower() for error in errors)
    first = errors[0]
    name = first["pointer"].lstrip("/")
    field = (described or {}).get(name)
    about = field.metadata.get("description", "") if field is not None else ""
    return Invalid(
        "parameter.missing" if missing else "parameter.invalid",
        f"{where}: {name}: {first['detail']}" if name else f"{where}: {first['detail']}",
        next_step=f"What {name} is: {about}" if about else "Correct what the pointers name.", errors=errors,
    )
