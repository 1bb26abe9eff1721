"""Sort orders: ``-size,name``. Entry point: ``parse_sort``; ``ordering`` makes SQL of it."""
from __future__ import annotations

from shared.kernel.errors import Malformed, nearest
from shared.query.fields import FieldSet

_SORTABLE = ("text", "number", "boolean", "time", "ref")


def parse_sort(text: str | None, fields: FieldSet, *, most: int = 8) -> list[tuple[str, bool]]:
    """``[(field, descending)]`` for a comma-separated list in which a minus means descending.

    Closed fields with one value can be sorted by (a ref by its name); tags and lists cannot.

    Raises:
        Malformed: ``query.bad_sort``, with the nearest fields.
    """
    order: list[tuple[str, bool]] = []
    known = [name for name, field in fields.fields.items() if field.kind in _SORTABLE]
    for part in (text or "").split(","):
        part = part.strip()
        if not part:
            continue
        name, descending = part.lstrip("+-"), part.startswith("-")
        if name not in known:
            near = nearest(name, known, 3)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise Malformed("query.bad_sort", f"A {fields.noun} cannot be sorted by '{name}'.{hint}",
                            next_step=f"Sort by: {', '.join(known)}; '-' before a name reverses it.",
                            errors=[{"pointer": "sort", "detail": f"'{name}' is not a field to sort by"}], nearest=near)
        if name not in [seen for seen, _ in order]:
            order.append((name, descending))
    if len(order) > most:
        raise Malformed("query.bad_sort", f"A sort order has at most {most} fields.", next_step="Name fewer.",
                        errors=[{"pointer": "sort", "detail": f"{len(order)} fields"}])
    return order
