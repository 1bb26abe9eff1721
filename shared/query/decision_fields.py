"""What a policy, and a preference of a selection, may ask about: ``data``, ``source``, ``target``, ``request``, ``owner``.

The documents are ``{"data": {…}, "source": {…}, "target": {…}, "request": {…}, "owner": {…}}``. All but the tags of data are
closed: a name that nobody has is refused. Reads no document.
"""
from __future__ import annotations

from difflib import get_close_matches

from shared.contracts.objects import DATAREQUEST, DATASOURCE
from shared.kernel.errors import Malformed
from shared.query.fields import DATA_FIELDS, Field, FieldSet
from shared.query.tree import Query

_SOURCE = FieldSet.of_kinds("source", {
    **{name: kind for name, kind in DATASOURCE.fields.items() if name not in ("parameters", "scan")},
    "writable": "boolean", "local": "boolean", "deletable": "boolean"})
_REQUEST = FieldSet.of_kinds("request", DATAREQUEST.fields)
_OWNER = FieldSet("owner", {"id": Field(), "name": Field()})

DECISION_FIELDS = FieldSet("policy", {
    "data": Field("ref", of=DATA_FIELDS), "source": Field("ref", of=_SOURCE), "target": Field("ref", of=_SOURCE),
    "request": Field("ref", of=_REQUEST), "owner": Field("ref", of=_OWNER)})

# So near to a field of data that a tag of this name is more likely a slip.
_SLIP = 0.8


def check_slips(query: Query, written: str) -> None:
    """Refuse a tag of data that looks like a field written wrongly; any other name may be a tag.

    ``written`` is the expression as it was given: there ``data.tags.sizes`` says that a tag is meant.

    Raises:
        Malformed: ``query.unknown_field``, with the field that was probably meant.
    """
    for name in query.tags():
        if len(name.below) != 1 or f"tags.{name.below[0]}" in written:
            continue
        near = get_close_matches(name.below[0], DATA_FIELDS.fields, n=1, cutoff=_SLIP)
        if near:
            detail = f"Data has no field '{name.below[0]}'. Did you mean '{near[0]}'?"
            raise Malformed("query.unknown_field", detail,
                            next_step=f"Write data.{near[0]}, or data.tags.{name.below[0]} when a tag of that name is meant.",
                            errors=[{"pointer": f"/{name.text}", "detail": detail}], nearest=near)
