"""A query is shown as it was asked, also where it is about a name."""
from __future__ import annotations

import pytest

from gateway.cli.columns import is_ref, query_text


@pytest.mark.parametrize(("query", "shown"), [
    ({"owner": "darren"}, "owner:darren"),
    ({"name": {"$like": "*.csv"}, "size": {"$gt": 5}}, "name:*.csv size>5"),
    ({"$or": [{"topic": "weather"}, {"data.licence": {"$ne": "closed"}}], "rows": 3}, "(topic:weather OR -data.licence:closed) rows:3"),
    ({"owner": "who is it"}, 'owner:"who is it"'), ({"owner": "true"}, 'owner:"true"'),
    ({"owner": {"$unknown": 1}}, '{"owner": {"$unknown": 1}}'),
    ({}, "everything"),
])
def test_a_query_is_shown_whole(query, shown):
    assert query_text(query).replace('":', '": ').replace('  ', ' ').replace(',"', ', "') == shown


def test_only_an_object_with_an_id_or_a_name_is_a_reference():
    assert is_ref({"id": "dsrc_1", "name": "lab"}) and is_ref({"name": "lab"})
    assert not is_ref({"name": {"$like": "*"}}) and not is_ref({"a": 1}) and not is_ref(None)
