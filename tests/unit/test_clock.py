"""Durations and moments, as people and programs write them."""
from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from marshmallow import ValidationError

from shared.contracts.fields import Duration, When
from shared.kernel.clock import parse_duration, stamp, stamp_in


@pytest.mark.parametrize(("text", "seconds"), [
    ("PT1H30M", 5400), ("P1W", 604800), ("P1DT0.5S", 86400.5), ("90m", 5400), ("1.5h", 5400), ("250ms", 0.25), (7, 7), ("P36525D", 36525 * 86400),
])
def test_a_duration_is_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(("text", "said"), [
    (1e300, "hundred years"), (10**400, "hundred years"), ("P99999999D", "hundred years"), ("9" * 400 + "w", "hundred years"),
    ("P" + "9" * 400 + "D", "hundred years"), ("P36526D", "hundred years"), ("P1Y", "write days"), ("P2M", "write days"), ("P1Y2DT3H", "write days"),
    (float("nan"), "hundred years"), (-1, "negative"), ("soon", "not a duration"), ("P", "not a duration"), ("PT", "not a duration"),
])
def test_a_duration_that_cannot_be_kept_is_refused_with_the_reason(text, said):
    with pytest.raises(ValueError, match=said):
        parse_duration(text)
    with pytest.raises(ValidationError, match=said):
        Duration().deserialize(text)


@pytest.mark.parametrize(("text", "said"), [("P1Y", "write days"), ("P99999999D", "hundred years"), ("soon", "neither a time")])
def test_a_moment_that_is_no_moment_is_refused_with_the_reason(text, said):
    with pytest.raises(ValidationError, match=said):
        When().deserialize(text)


def test_a_moment_after_the_end_of_all_calendars_is_their_last():
    assert stamp_in(1e300) == stamp_in(8e12) == "9999-12-31T23:59:59.999999Z"


@pytest.mark.parametrize(("moment", "text"), [
    (datetime(2026, 11, 24, 18, 33, 14, 123456, timezone.utc), "2026-11-24T18:33:14.123456Z"),
    (datetime(2026, 11, 24, 18, 33, 14, 0, timezone(timedelta(hours=2))), "2026-11-24T16:33:14.000000Z"),
    (datetime(2026, 11, 24), "2026-11-24T00:00:00.000000Z"),
])
def test_a_moment_is_written_in_utc_with_six_digits(moment: datetime, text: str) -> None:
    assert stamp(moment) == text
    assert len(stamp()) == len(text)
