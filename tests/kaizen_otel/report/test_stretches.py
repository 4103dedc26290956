"""From when to when a report is, and its periods."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaizen_otel.report.stretches import Stretch, grain_of, label_of, moment, periods, stretch

NS = 10**9
UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


NOW_NS = at("2026-03-30T12:34:56")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-03-30T12:34:56"),
        ("90m", "2026-03-30T11:04:56"),
        ("7d", "2026-03-23T12:34:56"),
        ("2026-03-01", "2026-03-01T00:00:00"),
        ("2026-03-01T08:30", "2026-03-01T08:30:00"),
        ("2026-03-01T08:30+02:00", "2026-03-01T06:30:00"),
    ],
)
def test_a_moment_is_a_time_ago_or_a_date(text: str, expected: str) -> None:
    assert moment(text, UTC_ZONE, NOW_NS) == at(expected)


def test_a_date_begins_where_the_zone_is() -> None:
    assert moment("2026-03-30", BERLIN, NOW_NS) == at("2026-03-29T22:00:00")


@pytest.mark.parametrize("text", ["yesterday", "", "7 days", "2026-13-01", "-3d", "NaN"])
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: a time ago such as 90m, 24h, 7d; a date; a date and time"):
        moment(text, UTC_ZONE, NOW_NS)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("90m", "now", ("2026-03-30T11:00:00", "2026-03-30T12:34:56")),
        ("90m", "33m", ("2026-03-30T11:00:00", "2026-03-30T12:05:00")),
        ("7d", "now", ("2026-03-23T12:00:00", "2026-03-30T12:34:56")),
        ("7d", "5d", ("2026-03-23T12:00:00", "2026-03-25T13:00:00")),
        ("2026-03-01", "2027-01-01", ("2026-03-01T00:00:00", "2026-03-30T12:34:56")),
    ],
)
def test_both_ends_move_outwards_to_where_the_history_can_be_cut(
    since: str, until: str, expected: tuple[str, str]
) -> None:
    found = stretch(since, until, UTC_ZONE, NOW_NS)
    assert (found.since_ns, found.until_ns) == tuple(at(text) for text in expected)


@pytest.mark.parametrize(("since", "until"), [("1h", "2h"), ("now", "now"), ("2030-01-01", "now")])
def test_a_stretch_that_ends_before_it_begins_is_refused(since: str, until: str) -> None:
    with pytest.raises(ValueError, match="is not before"):
        stretch(since, until, UTC_ZONE, NOW_NS)


def test_the_stretch_before_is_as_long_and_ends_where_this_one_begins() -> None:
    found = stretch("7d", "now", UTC_ZONE, NOW_NS)
    assert found.before().until_ns == found.since_ns
    assert found.before().length_s == found.length_s


@pytest.mark.parametrize(
    ("hours", "grain"), [(1, "5 minutes"), (3, "5 minutes"), (4, "hour"), (48, "hour"), (49, "day")]
)
def test_the_longer_a_stretch_the_longer_its_periods(hours: int, grain: str) -> None:
    assert grain_of(Stretch(0, hours * 3_600 * NS)) == grain


@given(
    st.integers(0, 4 * 10**9), st.integers(1, 40 * 86_400), st.sampled_from(["5 minutes", "hour", "day"]),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe"]),
)  # fmt: skip
def test_periods_lie_end_to_end_and_fill_the_stretch(since_s: int, length_s: int, grain: str, zone: str) -> None:
    of = Stretch(since_s * NS, (since_s + min(length_s, 86_400 if grain == "5 minutes" else length_s)) * NS)
    found = periods(of, grain, ZoneInfo(zone))

    assert found[0].since_ns == of.since_ns
    assert found[-1].until_ns == of.until_ns
    assert all(one.until_ns == other.since_ns for one, other in pairwise(found))
    assert all(one.length_s > 0 for one in found)


def test_days_are_those_of_the_zone_also_when_the_clocks_change() -> None:
    of = Stretch(at("2026-03-28T23:00:00"), at("2026-03-30T22:00:00"))
    found = periods(of, "day", BERLIN)

    assert [one.length_s / 3_600 for one in found] == [23, 24]
    assert [label_of(one, "day", BERLIN) for one in found] == ["2026-03-29", "2026-03-30"]
