"""Parameter schemas that many rows share: naming one object, and listing a class."""
from __future__ import annotations

from marshmallow import Schema, fields

from shared.contracts.fields import Expression, Ref, between
from shared.contracts.objects import OBJECTS

PAGE_LIMIT = 1000


def about(text: str) -> dict[str, str]:
    """The sentence that help and OpenAPI show for a parameter."""
    return {"description": text}


class Nothing(Schema):
    """No parameters."""


class One(Schema):
    """One object, by id or name."""

    id = Ref(required=True, metadata=about("The id or name of the object."))


def listing(noun: str, **more: fields.Field) -> type[Schema]:
    """The parameters of list and find over a class: ``attr1``, its filters, and the page wanted."""
    members: dict[str, fields.Field] = {
        "attr1": Expression(metadata=about("An id, a name, or a query over the object's fields.")),
    }
    for attribute in OBJECTS[noun].filters:
        members[attribute.name] = fields.String(metadata=about(attribute.about))
    members |= more
    members |= {
        "limit": fields.Integer(load_default=50, validate=between(1, PAGE_LIMIT),
                                metadata=about("How many at most in one page.")),
        "cursor": fields.String(metadata=about("Where to go on: the `next` of the page before.")),
        "sort": fields.String(metadata=about("A field, or several with commas; a minus before it turns it round.")),
    }
    return Schema.from_dict(members, name=f"{noun.capitalize()}Listing")
