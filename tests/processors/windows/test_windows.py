"""Windows: exact sums of any stretch of the last 24 hours, one slot for each record, bounded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen_otel.testing import SteppingClock
from kaizen_processors.ledger import OVERFLOW
from kaizen_processors.pricing.price import MISSING_USAGE
from kaizen_processors.window_sums import WindowSums
from kaizen_processors.windows import Group, Windows
from tests.processors.windows.records import CENT, call, execution
from tests.processors.windows.watched import NS, Watched

ANN = Group(agent="ann")


def slot_of(window_s: float) -> float:
    return 10 if window_s <= 300 else 60 if window_s <= 3_600 else 300


# -- what a window holds ------------------------------------------------------------------------------------------

RECORDS = st.builds(
    lambda agent, model, status, ms: execution(agent, model, status=status, duration_ms=ms, quality_score=ms / 1e4),
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["m", "n"]),
    st.sampled_from(["success", "error", "cancelled"]),
    st.integers(0, 10_000),
) | st.builds(
    lambda agent, model, tokens, cents: call(agent, model, (tokens, None), MISSING_USAGE if cents else None),
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["m", "n"]),
    st.integers(0, 10**6),
    st.booleans(),
)
STEPS = st.one_of(
    st.tuples(st.just("see"), RECORDS),
    st.tuples(st.just("see"), RECORDS),
    st.tuples(st.just("wait"), st.floats(0.001, 40) | st.floats(0, 4_000) | st.floats(0, 30_000)),
    st.tuples(st.just("tick"), st.none()),
)
GROUPS = st.sampled_from([Group(), ANN, Group(model="m"), Group("bob", "n"), Group("nobody")])
LENGTHS = st.sampled_from([1.0, 10.0, 60.0, 299.5, 300.0, 301.0, 3_600.0, 4_000.0, 86_400.0]) | st.floats(1, 86_400)


@given(st.lists(STEPS, max_size=60), st.lists(st.tuples(GROUPS, LENGTHS), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_a_window_holds_exactly_what_ended_in_the_time_that_it_observed(
    steps: list[tuple[str, Any]], asked: list[tuple[Group, float]]
) -> None:
    watched = Watched()
    for what, value in steps:
        if what == "tick":
            watched.windows.tick()
        else:
            getattr(watched, what)(value)
    for group, window_s in asked:
        window = watched.windows.read(group, window_s)
        assert window.sums == watched.in_the_last(window.observed_s, group)
        # Nothing of the window is left out, and no more than one slot is added to it.
        assert min(window_s, watched.at_s) - 1e-6 <= window.observed_s < window_s + slot_of(window_s) + 1e-6


@given(
    st.lists(STEPS, max_size=60),
    GROUPS,
    st.sampled_from([(10.0, 30), (60.0, 60), (300.0, 12), (3_600.0, 24), (86_400.0, 1), (97.0, 40)]),
)
@settings(max_examples=200, deadline=None)
def test_periods_lie_end_to_end_and_hold_everything_once(
    steps: list[tuple[str, Any]], group: Group, cut: tuple[float, int]
) -> None:
    watched = Watched()
    for what, value in steps:
        if what == "tick":
            watched.windows.tick()
        else:
            getattr(watched, what)(value)
    period_s, count = cut

    periods = watched.windows.periods(group, period_s, count)

    assert len(periods) <= count
    together, back_s = WindowSums(), 0.0
    for period in reversed(periods):
        back_s += period.observed_s
        together.merge(period.sums)
        assert together == watched.in_the_last(back_s, group)
    assert min(period_s * count, watched.at_s) - 1e-6 <= back_s < period_s * count + 3_600


@pytest.mark.parametrize(("period_s", "count"), [(9.0, 1), (60.0, 0), (3_600.0, 25)])
def test_periods_are_slots_of_the_last_day(period_s: float, count: int) -> None:
    with pytest.raises(ValueError, match="periods are at least 10 s and at most 24 hours"):
        Watched().windows.periods(ANN, period_s, count)


def test_a_record_touches_one_slot_and_a_tick_adds_it_up() -> None:
    watched = Watched()
    watched.see(execution())
    tiers = watched.windows._tiers._tiers
    assert len(watched.windows._open) == 1
    assert not any(tier.closed or tier.open for tier in tiers)
    watched.wait(10)
    watched.windows.tick()
    assert watched.windows._open == {}
    assert [len(tier.closed) for tier in tiers] == [1, 0, 0, 0]
    watched.wait(3_600)
    watched.windows.tick()
    assert [len(tier.closed) for tier in tiers] == [0, 1, 1, 1]
    watched.wait(86_400 + 3_600)
    watched.windows.tick()
    assert [len(tier.closed) for tier in tiers] == [0, 0, 0, 0]


def test_nothing_is_lost_when_nobody_ticks() -> None:
    watched = Watched()
    for _ in range(500):
        watched.see(execution())
        watched.wait(10)
    assert len(watched.windows._pending) <= 61
    assert watched.windows.read(window_s=86_400).sums.executions == 500


def test_a_young_process_has_observed_as_long_as_it_lives() -> None:
    watched = Watched()
    watched.see(execution())
    watched.wait(4)
    assert watched.windows.read(window_s=300).observed_s == pytest.approx(4)


def test_a_stepped_wall_clock_changes_nothing() -> None:
    class Stepped(SteppingClock):
        def time_ns(self) -> int:
            raise AssertionError("windows read the wall clock")

    clock = Stepped(step_ns=0)
    windows = Windows(clock)
    windows.on_execution(execution())
    clock.advance(20)
    windows.tick()
    assert windows.read(window_s=60).sums.executions == 1


def test_calls_count_under_their_own_model_and_executions_under_theirs() -> None:
    watched = Watched()
    watched.see(call(model="small"))
    watched.see(call(model="large"))
    watched.see(execution(model="multiple"))
    small, agent = watched.windows.read(Group("ann", "small")).sums, watched.windows.read(ANN).sums
    assert (small.executions, small.model_calls, small.cost_units) == (0, 1, CENT)
    assert (agent.executions, agent.model_calls, agent.cost_units) == (1, 2, 2 * CENT)


@pytest.mark.parametrize("window_s", [-1.0, 86_401.0, float("nan")])
def test_a_window_is_at_most_a_day(window_s: float) -> None:
    with pytest.raises(ValueError, match="a window is from 0 to 86400 seconds"):
        Windows().read(window_s=window_s)


def test_what_is_older_than_the_retention_is_forgotten() -> None:
    watched = Watched()
    watched.windows.keep(600.0)
    watched.see(execution())
    watched.wait(500)
    assert watched.windows.read(window_s=86_400).sums.executions == 1
    watched.wait(700)
    watched.windows.tick()
    day = watched.windows.read(window_s=86_400)
    assert day.sums.executions == 0
    assert day.observed_s <= 660
    assert not any(tier.closed for tier in watched.windows._tiers._tiers)


# -- what is reported later ---------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(0, 2_000), st.floats(0, 50_000)), min_size=1, max_size=15),
    GROUPS,
    LENGTHS,
)
@settings(max_examples=200, deadline=None)
def test_what_is_reported_later_counts_where_it_ended(
    reports: list[tuple[float, float]], group: Group, window_s: float
) -> None:
    watched = Watched()
    watched.wait(60_000)
    for wait_s, ago_s in reports:
        watched.wait(wait_s)
        watched.see(execution(ended_ago_ns=int(ago_s * NS)))
        watched.see(call("bob", ended_ago_ns=int(ago_s * NS)))
    window = watched.windows.read(group, window_s)
    assert window.sums == watched.in_the_last(window.observed_s, group)
    watched.wait(7_000)
    watched.windows.tick()
    window = watched.windows.read(group, 86_400)
    assert window.sums == watched.in_the_last(window.observed_s, group)


def test_what_ended_before_the_watching_or_the_last_day_is_counted_as_too_late() -> None:
    watched = Watched()
    watched.wait(10)
    watched.windows.on_execution(execution(ended_ago_ns=11 * NS))
    watched.wait(2 * 86_400)
    watched.windows.on_execution(execution(ended_ago_ns=86_401 * NS))
    assert watched.windows.stats()["too_late"] == 2
    assert watched.windows.read(window_s=86_400).sums.executions == 0


def test_a_later_score_takes_the_place_of_the_first() -> None:
    watched = Watched()
    watched.see(execution(quality_score=0.5))
    watched.see(execution(quality_score=None))
    watched.wait(700)
    watched.windows.change_quality(("ann", "m"), 0.5, 1.0, 700 * NS)
    watched.windows.change_quality(("ann", "m"), None, 0.25, 700 * NS)
    sums = watched.windows.read(window_s=3_600).sums
    assert (sums.quality_units, sums.quality_count, sums.executions) == (1_250_000_000, 2, 2)
    assert watched.windows.read(window_s=60).sums.quality_count == 0


# -- bounds -------------------------------------------------------------------------------------------------------


def test_keys_beyond_the_bound_count_under_overflow_and_sums_stay_exact() -> None:
    watched = Watched(max_keys=3)
    for number in range(100):
        watched.see(execution(f"agent-{number % 10}"))
        watched.see(call(f"agent-{number % 10}"))
        watched.wait(3)
    watched.windows.tick()
    everything = watched.windows.read(window_s=3_600).sums
    assert (everything.executions, everything.model_calls, everything.cost_units) == (100, 100, 100 * CENT)
    overflow = watched.windows.read(Group(OVERFLOW, OVERFLOW), 3_600).sums
    assert (overflow.executions, overflow.cost_units) == (70, 70 * CENT)
    assert sorted(watched.windows.groups())[:3] == [Group(f"agent-{number}", "m") for number in range(3)]
    stats = watched.windows.stats()
    assert stats["keys"] == 4
    assert stats["overflowed"] > 0


def test_keys_of_which_nothing_is_kept_make_room() -> None:
    watched = Watched(max_keys=1)
    watched.see(execution("ann"))
    watched.wait(26 * 3_600)
    watched.see(execution("bob"))
    assert watched.windows.read(Group(OVERFLOW, OVERFLOW), 60).sums.executions == 1
    watched.windows.tick()
    watched.wait(10)
    watched.see(execution("bob"))
    assert watched.windows.read(Group("bob"), 60).sums.executions == 1
    assert ANN not in watched.windows.groups()


def test_beyond_the_bytes_the_oldest_slots_keep_only_the_sums_of_all() -> None:
    watched = Watched(max_bytes=300_000)
    for minute in range(300):
        for number in range(20):
            watched.see(execution(f"agent-{number}", duration_ms=minute + 1))
        watched.see(call("agent-0"))
        watched.wait(60)
    watched.windows.tick()
    stats = watched.windows.stats()
    assert stats["bytes"] <= 300_000
    assert stats["folded_s"] > 0
    everything = watched.windows.read(window_s=86_400)
    assert everything.sums.executions == 20 * 300
    assert everything.sums.latency.count == 20 * 300
    one = watched.windows.read(Group("agent-0"), 86_400)
    assert one.observed_s == pytest.approx(watched.at_s - stats["folded_s"])
    assert one.sums == watched.in_the_last(one.observed_s, Group("agent-0"))
    assert 0 < one.sums.executions < 300
    recent = watched.windows.read(Group("agent-0"), 300)
    assert recent.sums == watched.in_the_last(recent.observed_s, Group("agent-0"))


def test_figures_that_fit_no_bytes_are_kept_as_they_are() -> None:
    watched = Watched()
    watched.see(call(tokens=(2**69, 2**69)))
    watched.wait(10)
    watched.see(call(tokens=(2**69, 2**69)))
    watched.wait(10)
    watched.windows.tick()
    assert watched.windows.read(ANN, 300).sums.input_tokens == 2**70
    for duration_ms in (10**16, 1e-6):
        watched.see(execution(duration_ms=duration_ms))
    for duration_ms in (10**12, 1e-6):  # these fit, but not into the span of one sketch
        watched.see(execution("bob", duration_ms=duration_ms))
    for _ in range(30):
        watched.wait(300)
        watched.windows.tick()
    ann, bob, everybody = (watched.windows.read(group, 86_400).sums for group in (ANN, Group("bob"), Group()))
    assert (ann.input_tokens, ann.executions, ann.latency.maximum) == (2**70, 2, 10**22)
    assert (bob.executions, bob.latency.maximum, bob.latency.collapsed) == (2, 10**18, 1)
    assert (everybody.input_tokens, everybody.executions, everybody.latency.collapsed) == (2**70, 4, 2)


def sums_of(records: list[Any]) -> WindowSums:
    sums = WindowSums()
    for record in records:
        (sums.add_execution if hasattr(record, "status") else sums.add_call)(record)
    return sums


PACKED = st.builds(sums_of, st.lists(RECORDS, max_size=30))


@given(PACKED, PACKED)
@settings(max_examples=200, deadline=None)
def test_sums_are_read_back_from_their_bytes(one: WindowSums, other: WindowSums) -> None:
    packed = one.pack()
    assert isinstance(packed, bytes)
    assert WindowSums.unpack(packed) == one
    both = other.copy()
    both.add(packed)
    one.merge(other)
    assert both == one


class Interrupted:
    """An outlet whose taking of its second slot is interrupted, as by Ctrl+C."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    def take(self, number: int, _: object) -> None:
        self.taken.append(number)
        if len(self.taken) == 2:
            raise KeyboardInterrupt

    def waiting(self) -> tuple[()]:
        return ()


def test_an_interrupt_while_slots_are_handed_over_costs_no_sums_and_hands_none_over_twice() -> None:
    watched, outlet = Watched(), Interrupted()
    watched.windows.hand_over_to(outlet)
    for _ in range(4):
        watched.see(call())
        watched.wait(10)
    with pytest.raises(KeyboardInterrupt):
        watched.windows.read()
    assert watched.windows.read().sums.model_calls == 4
    assert outlet.taken == sorted(set(outlet.taken))
    assert len(outlet.taken) == 4
