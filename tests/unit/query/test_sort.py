"""Sort orders are read, and refused with the nearest field."""
import pytest

from shared.kernel.errors import Malformed
from shared.query import DATA_FIELDS, parse_sort


def test_a_minus_reverses_a_field_and_the_first_mention_counts() -> None:
    assert parse_sort("-size, name,size", DATA_FIELDS) == [("size", True), ("name", False)]
    assert parse_sort(None, DATA_FIELDS) == parse_sort("", DATA_FIELDS) == []


@pytest.mark.parametrize(("text", "near"), [("-sise", ["size"]), ("owner", []), ("tags.x", [])])
def test_what_is_no_field_to_sort_by_is_refused(text: str, near: list[str]) -> None:
    with pytest.raises(Malformed) as refused:
        parse_sort(text, DATA_FIELDS)
    assert refused.value.code == "query.bad_sort" and refused.value.status == 400
    assert refused.value.extra["nearest"][:1] == near
