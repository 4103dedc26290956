"""Snapshots and conditions: what is known is right, what is not known is None."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from kaizen_otel.testing import SteppingClock
from kaizen_processors.conditions import CONDITIONS, MIN_OBSERVED_S, condition_named
from kaizen_processors.pricing.price import MISSING_PRICE
from kaizen_processors.snapshots import PerformanceSnapshot, Snapshots, window_seconds
from kaizen_processors.windows import Group, Windows
from tests.processors.windows.records import CENT, call, execution

EVERYTHING = Group()
RATES = ("throughput_rpm", "tokens_per_second", "cost_per_hour")


class Desk:
    """Windows with snapshots of them."""

    def __init__(self, active_agents: Any = None) -> None:
        self.clock = SteppingClock(step_ns=0)
        self.windows = Windows(self.clock)
        self.snapshots = Snapshots(self.windows, self.clock, active_agents)

    def see(self, *records: Any) -> None:
        for record in records:
            (self.windows.on_execution if hasattr(record, "status") else self.windows.on_call)(record)


def a_busy_minute() -> Desk:
    """Ann: 18 runs that succeed, one that fails, one that is cancelled, each of 100 ms, one of 2 s; and her calls."""
    desk = Desk()
    for number in range(18):
        desk.see(execution(duration_ms=100 if number else 2_000, quality_score=0.5 if number % 2 else 1.0), call())
    desk.see(execution(status="error"), execution(status="cancelled"))
    desk.see(execution("bob", "n", status="error", duration_ms=10), call("bob", "n", (100, None), MISSING_PRICE))
    desk.clock.advance(60)
    return desk


def test_a_snapshot_has_every_figure() -> None:
    taken = a_busy_minute().snapshots.take(60.0, agent="ann")
    assert taken.timestamp == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    assert (taken.agent_name, taken.model, taken.window_s, taken.observed_s) == ("ann", None, 60.0, 60.0)
    assert (taken.total_executions, taken.failed_executions, taken.cancelled_executions) == (20, 1, 1)
    assert (taken.success_rate, taken.error_rate) == (18 / 19, 1 / 19)
    assert taken.average_latency_ms == pytest.approx((19 * 100 + 2_000) / 20)
    assert taken.p50_latency_ms == pytest.approx(100, rel=0.01)
    assert taken.p95_latency_ms == pytest.approx(100, rel=0.01)
    assert taken.p99_latency_ms == pytest.approx(2_000, rel=0.01)
    assert taken.throughput_rpm == pytest.approx(20)
    assert (taken.model_calls, taken.tokens_input, taken.tokens_output, taken.tokens_total) == (18, 180, 90, 270)
    assert taken.tokens_per_second == pytest.approx(270 / 60)
    assert taken.cost_usd == pytest.approx(0.18)
    assert taken.cost_per_hour == pytest.approx(0.18 * 60)
    assert taken.cost_per_execution == pytest.approx(0.18 / 20)
    assert taken.cost_per_token == pytest.approx(0.18 / 270)
    assert taken.daily_cost == pytest.approx(0.18)
    assert taken.cost_complete
    assert taken.quality_average == 0.75


def test_a_snapshot_is_of_everything_an_agent_a_model_or_one_by_the_other() -> None:
    snapshots = a_busy_minute().snapshots
    assert snapshots.take(60.0).total_executions == 21
    assert snapshots.take(60.0, model="n").total_executions == 1
    assert snapshots.take(60.0, agent="bob", model="n").total_executions == 1
    assert snapshots.take(60.0, agent="bob", model="m").total_executions == 0
    assert sorted(snapshots.groups()) == [Group("ann", "m"), Group("bob", "n")]


def test_what_is_not_known_is_none() -> None:
    desk = Desk()
    desk.clock.advance(60)
    taken = desk.snapshots.take(60.0)
    unknown = {name for name in CONDITIONS if taken.value(name) is None}
    assert unknown == {
        "error_rate", "success_rate", "avg_latency", "p50_latency", "p95_latency", "p99_latency",
        "cost_per_execution", "cost_per_token", "quality_average", "active_agents",
    }  # fmt: skip
    # That nothing was done in a minute is known.
    assert {name: taken.value(name) for name in CONDITIONS if name not in unknown} == {
        "throughput_rpm": 0.0, "tokens_per_second": 0.0, "cost_per_hour": 0.0, "daily_cost": 0.0, "executions": 0.0,
    }  # fmt: skip


def test_only_cancelled_executions_have_no_error_rate() -> None:
    desk = Desk()
    desk.see(execution(status="cancelled"))
    taken = desk.snapshots.take()
    assert (taken.total_executions, taken.error_rate, taken.success_rate) == (1, None, None)


def test_calls_of_which_no_price_is_known_cost_nobody_knows_what() -> None:
    taken = a_busy_minute().snapshots.take(60.0, agent="bob")
    assert not taken.cost_complete
    assert [taken[name] for name in ("cost_usd", "cost_per_hour", "cost_per_execution", "daily_cost")] == [None] * 4
    everything = a_busy_minute().snapshots.take(60.0)
    assert not everything.cost_complete
    assert everything.cost_usd == pytest.approx(0.18)


def test_rates_need_a_minimum_of_time_and_divide_by_what_was_observed() -> None:
    desk = Desk()
    desk.see(execution(), call())
    desk.clock.advance(MIN_OBSERVED_S - 0.001)
    young = desk.snapshots.take(300.0)
    assert [young.value(name) for name in RATES] == [None] * 3
    desk.clock.advance(0.001)
    assert desk.snapshots.take(300.0).throughput_rpm == pytest.approx(60 / MIN_OBSERVED_S)
    desk.clock.advance(110)
    assert desk.snapshots.take(300.0).throughput_rpm == pytest.approx(0.5)


def test_the_cost_of_the_day_is_that_of_24_hours_whatever_the_window() -> None:
    desk = Desk()
    for _ in range(24):
        desk.see(call())
        desk.clock.advance(3_600)
    assert desk.snapshots.take(300.0).daily_cost == pytest.approx(0.24)
    assert desk.snapshots.value("daily_cost", Group("ann"), 60.0) == pytest.approx(0.24)
    assert desk.snapshots.value("cost_per_hour", Group("ann"), 60.0) == 0.0


@pytest.mark.parametrize("name", [name for name in CONDITIONS if name != "active_agents"])
@pytest.mark.parametrize("group", [EVERYTHING, Group("ann"), Group("bob", "n"), Group("nobody")])
def test_a_condition_is_the_figure_of_the_snapshot(name: str, group: Group) -> None:
    snapshots = a_busy_minute().snapshots
    taken = snapshots.take(60.0, agent=group.agent, model=group.model)
    assert snapshots.value(name, group, 60.0) == taken.value(name) == taken[name]


def test_active_agents_are_those_that_the_ledger_knows() -> None:
    asked: list[str | None] = []

    def active(agent_name: str | None) -> int:
        asked.append(agent_name)
        return 2 if agent_name is None else 1

    snapshots = Desk(active).snapshots
    assert snapshots.value("active_agents", EVERYTHING, 60.0) == 2.0
    assert snapshots.take(agent="ann").active_agents == 1
    assert snapshots.take(agent="ann", model="m").active_agents is None
    assert asked == [None, "ann"]


def test_an_unknown_condition_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="unknown condition 'p90_latency'; known: error_rate, success_rate"):
        Desk().snapshots.value("p90_latency", EVERYTHING, 60.0)
    with pytest.raises(ValueError, match="unknown condition"):
        condition_named("")


def test_a_snapshot_reads_as_a_dictionary_too() -> None:
    taken = a_busy_minute().snapshots.take(60.0, agent="ann")
    assert dict(taken)["p95_latency_ms"] == taken["p95_latency_ms"] == taken["p95_latency"] == taken.p95_latency_ms
    assert (taken["execution_time_p99"], taken["time_window"]) == (taken.p99_latency_ms, 60.0)
    assert PerformanceSnapshot(**dict(taken)) == taken
    with pytest.raises(KeyError):
        taken["p90"]


# -- windows as people write them ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        (" 1h ", 3_600),
        ("last_24h", 86_400),
        ("1d", 86_400),
        (2.5, 2.5),
        (timedelta(hours=2), 7_200),
    ],
)
def test_a_window_is_seconds_or_a_text(given: Any, seconds: float) -> None:
    assert window_seconds(given) == seconds


@pytest.mark.parametrize(
    "given", ["", "5", "m", "25h", "7d", "-5m", "0s", 0, -1, float("nan"), True, None, timedelta(days=2)]
)
def test_what_is_no_window_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=r"allowed: seconds, or a text such as 30s, 5m, 1h; up to 24h"):
        window_seconds(given)


# -- history ------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_kept_every_thirty_seconds_for_a_day() -> None:
    desk = Desk()
    desk.see(execution())
    for _ in range(3 * 8_640):
        desk.snapshots.tick()
        desk.clock.advance(10)
    history = desk.snapshots.history()
    assert len(history) == 2_880
    assert {b.timestamp - a.timestamp for a, b in pairwise(history)} == {timedelta(seconds=30)}
    assert history[-1].total_executions == 0


def test_the_history_is_no_longer_than_the_retention() -> None:
    desk = Desk()
    desk.snapshots.keep(300.0)
    for _ in range(100):
        desk.snapshots.tick()
        desk.clock.advance(30)
    assert len(desk.snapshots.history()) == 11


def test_sums_are_integers_of_money() -> None:
    desk = Desk()
    for _ in range(3):
        desk.see(call())
    assert desk.windows.read(EVERYTHING, 60.0).sums.cost_units == 3 * CENT


def test_a_count_is_whole_by_every_way_of_asking() -> None:
    taken = Desk(lambda _: 2).snapshots.take(60.0)
    asked = [taken.active_agents, taken["active_agents"], dict(taken)["active_agents"]]
    assert [(type(found), found) for found in asked] == [(int, 2)] * 3
