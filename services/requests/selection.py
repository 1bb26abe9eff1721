"""How the candidates of a request are to be chosen: what ``select`` may say. Decides nothing; the choice is made elsewhere.

Described for users in docs/policies.md.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from shared.kernel.errors import EdgemereError, Invalid, did_you_mean, located
from shared.query import DATA_FIELDS, parse
from shared.query.decision_fields import DECISION_FIELDS

MODES = ("all", "best", "first")
PLACES = ("source", "location")
MEMBERS = ("mode", "count", "minimum", "distinct", "prefer", "max_cost", "max_bytes", "together", "apart", "expected_reads")
MOST = 1_000_000
LARGEST = 1e18
PREFERENCES = 20


def check_select(select: Mapping[str, Any] | None) -> None:
    """Check ``{mode, count, minimum, distinct, prefer, max_cost, max_bytes, together, apart, expected_reads}``.

    Raises:
        Invalid: ``parameter.invalid`` with a pointer, also where two members cannot both be had.
    """
    select = select or {}
    for key, value in select.items():
        if key not in MEMBERS:
            raise refused(f"/select/{key}", f"Unknown member '{key}'.{did_you_mean(key, MEMBERS)}", f"It takes: {', '.join(MEMBERS)}.")
        _CHECKS[key](f"/select/{key}", value)
    if select.get("together") and select.get("apart"):
        raise refused("/select/apart", "What is chosen cannot lie together and apart.", "Leave one of the two out.")
    if select.get("minimum", 1) > select.get("count", MOST):
        raise refused("/select/minimum", f"At least {select['minimum']} cannot be had of at most {select['count']}.",
                      "Raise select.count, or lower select.minimum.")
    if "count" not in select and select.get("mode") in ("best", "first") and select.get("minimum", 1) > 1:
        raise refused("/select/minimum", f"'{select['mode']}' takes one unless select.count says how many.",
                      f"Add select.count: {select['minimum']}.")


def refused(pointer: str, detail: str, next_step: str = "Correct the member that the pointer names.") -> Invalid:
    return Invalid("parameter.invalid", detail, next_step=next_step, errors=[{"pointer": pointer, "detail": detail}])


def _mode(at: str, value: Any) -> None:
    if value not in MODES:
        raise refused(at, f"'{value}' is none of {', '.join(MODES)}.{did_you_mean(str(value), MODES)}")


def _whole(at: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST:
        raise refused(at, f"A whole number from 1 to {MOST:,} is needed here.")


def _number(at: str, value: Any) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value) or not 0 <= value <= LARGEST:
        raise refused(at, f"A number from 0 to {LARGEST:g} is needed here.")


def _distinct(at: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise refused(at, "The name of a field or tag of data is needed here.", "Write for example distinct: checksum.")
    with located(at, whole=True):
        DATA_FIELDS.resolve(value, "")


def _prefer(at: str, value: Any) -> None:
    if not isinstance(value, list) or len(value) > PREFERENCES:
        raise refused(at, f"A list of at most {PREFERENCES} preferences {{when, weight}} is needed here.")
    for position, one in enumerate(value):
        where = f"{at}/{position}"
        if not isinstance(one, Mapping) or "when" not in one:
            raise refused(where, "A preference is an object {when, weight}.")
        for key in one:
            if key not in ("when", "weight"):
                raise refused(f"{where}/{key}", f"Unknown member '{key}'.{did_you_mean(str(key), ('when', 'weight'))}")
        weight = one.get("weight", 1)
        if not isinstance(weight, (int, float)) or isinstance(weight, bool) or not math.isfinite(weight) or abs(weight) > 1e12:
            raise refused(f"{where}/weight", "A weight is a number, in the unit of costs; below 0 it counts against.")
        try:
            with located(f"{where}/when"):
                parse(one["when"], DECISION_FIELDS)
        except EdgemereError as error:
            raise Invalid("parameter.invalid", error.detail, errors=error.errors,
                          next_step="Ask for data.*, source.*, target.*, request.* or owner.*.") from None


def _place(at: str, value: Any) -> None:
    if value is not True and value not in PLACES:
        raise refused(at, f"'{value}' is none of {', '.join(PLACES)}.{did_you_mean(str(value), PLACES)}")


_CHECKS = {
    "mode": _mode, "count": _whole, "minimum": _whole, "distinct": _distinct, "prefer": _prefer, "max_cost": _number,
    "max_bytes": _number, "together": _place, "apart": _place, "expected_reads": _number,
}
