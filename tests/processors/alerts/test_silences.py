"""Silences: Alertmanager's matchers, and time bounds."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaizen_processors.alerts.silences import Matcher, Silence, SilenceError

LABELS = {"alertname": "high_cost", "agent_name": "test-7", "severity": "warning"}
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ('alertname="high_cost"', True),
        ("alertname=high_cost", True),
        (' alertname = "high_cost" ', True),
        ('alertname="high"', False),
        ('alertname!="high_cost"', False),
        ('alertname!="other"', True),
        ('agent_name=~"test-.*"', True),
        ('agent_name=~"test"', False),  # the whole value
        ('agent_name=~"live-.*|test-[0-9]"', True),
        ('agent_name!~"test-.*"', False),
        ('agent_name!~"live-.*"', True),
        ('model=""', True),  # a label that is not there is empty
        ('model!=""', False),
        ('model=~".+"', False),
    ],
)
def test_matchers_mean_what_alertmanager_means(text: str, matches: bool) -> None:
    assert Matcher.parse(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    "text", ["", "a", "a=", '="b"', 'a=="b"', 'a="b', 'a="b"c"', '1a="b"', 'a=~"("', "a=" + "b" * 600, 'a="b",']
)
def test_what_is_no_matcher_is_refused(text: str) -> None:
    if text == "a=":
        assert Matcher.parse(text).matches({})
        return
    with pytest.raises(SilenceError, match="allowed"):
        Matcher.parse(text)


@given(value=st.text(max_size=40))
def test_any_value_can_be_written_and_read_again(value: str) -> None:
    matcher = Matcher("agent_name", "=", value)
    assert Matcher.parse(str(matcher)) == matcher


def test_a_silence_holds_from_its_start_until_just_before_its_end() -> None:
    silence = Silence.of(['alertname="high_cost"'], "2026-01-01T00:00:00Z", "2026-01-01T02:00:00+01:00")
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 10**9
    hour = 3600 * 10**9
    assert not silence.silences(LABELS, start - 1)
    assert silence.silences(LABELS, start)
    assert silence.silences(LABELS, start + hour - 1)
    assert not silence.silences(LABELS, start + hour)


def test_every_matcher_must_pass() -> None:
    silence = Silence.of(['alertname="high_cost"', 'agent_name="test-8"'], ends_at=FOREVER)
    assert not silence.silences(LABELS, 0)
    assert silence.silences({**LABELS, "agent_name": "test-8"}, 0)


@pytest.mark.parametrize(
    ("given", "key", "problem"),
    [
        ({"matchers": []}, "matchers", "needs at least one"),
        ({"matchers": ['alertname=~".*"', 'model!="x"']}, "matchers", "match every alert"),
        ({"ends_at": None}, "ends_at", "is missing"),
        ({"ends_at": "soon"}, "ends_at", "is no moment"),
        ({"ends_at": 5}, "ends_at", "is no moment"),
        ({"starts_at": FOREVER}, "ends_at", "later than"),
    ],
)
def test_a_silence_that_cannot_be_meant_is_refused(given: dict[str, Any], key: str, problem: str) -> None:
    whole: dict[str, Any] = {"matchers": ['alertname="a"'], "ends_at": FOREVER}
    with pytest.raises(SilenceError, match=problem) as caught:
        Silence.of(**(whole | given))
    assert caught.value.key == key


def test_a_day_begins_at_midnight_utc_and_the_same_silence_has_the_same_id() -> None:
    one = Silence.of('alertname="a"', ends_at=date(2026, 1, 2))
    other = Silence.of(['alertname="a"'], ends_at="2026-01-02T00:00:00Z", comment="other words")
    assert one.id == other.id
    assert one.id != Silence.of('alertname="a"', ends_at="2026-01-03").id
