"""The numbers of rules out of the windows, and which executions were the worst."""

from __future__ import annotations

from typing import Any

import pytest

from kaizen_processors.alerts.values import EVERYTHING, Group
from kaizen_processors.alerts.window_values import WindowValues
from kaizen_processors.execution import CallRecord, ExecutionRecord
from kaizen_processors.ledger import TallySnapshot
from kaizen_processors.pricing.price import Price
from kaizen_processors.recent import RecentExecutions
from kaizen_processors.snapshots import Snapshots
from kaizen_processors.usage import Usage
from kaizen_processors.windows import Windows
from tests.processors.alerts.support import HandClock

WRITER = Group("agent", "writer")


class Kept:
    """Windows and recent executions with a clock at hand."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.windows = Windows(self.clock)
        self.recent = RecentExecutions(self.clock)
        self.values = WindowValues(Snapshots(self.windows, self.clock, lambda _: 2), self.recent, self.clock)

    def run(self, execution_id: str, *, agent: str = "writer", seconds: float = 1.0, **fields: Any) -> None:
        self.clock.advance(seconds)
        cost_units, unpriced = fields.pop("cost_units", 10**21), fields.pop("unpriced_calls", 0)
        own = TallySnapshot(1, fields.pop("tokens", 100), 0, cost_units, unpriced)
        record = ExecutionRecord(
            execution_id=execution_id,
            agent_name=agent,
            model=fields.pop("model", "gpt-4o"),
            status=fields.pop("status", "success"),
            start_time_ns=self.clock.time_ns() - int(seconds * 10**9),
            duration_ns=int(seconds * 10**9),
            own=own,
            total=own,
            **fields,
        )
        self.windows.on_execution(record)
        self.recent.on_execution(record)

    def worst(self, condition: str, group: Group = EVERYTHING, window_s: float = 300.0) -> list[str]:
        return [one.execution_id for one in self.values.worst(condition, group, window_s, 3)]


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_figures_are_those_of_the_windows_for_all_an_agent_or_a_model(kept: Kept) -> None:
    for number in range(4):
        kept.run(f"e{number}", status="error" if number < 2 else "success", agent="writer" if number else "editor")
    kept.windows.on_call(
        CallRecord(
            operation="chat",
            provider="openai",
            model="gpt-4o",
            agent_name="writer",
            usage=Usage(60, 40),
            price=Price(10**24),
        )
    )
    assert kept.values.value("error_rate", EVERYTHING, 300.0) == 0.5
    assert kept.values.value("error_rate", WRITER, 300.0) == pytest.approx(1 / 3)
    assert kept.values.value("cost_per_execution", Group("model", "gpt-4o"), 300.0) == pytest.approx(0.25)
    assert kept.values.value("error_rate", Group("agent", "nobody"), 300.0) is None
    assert kept.values.value("active_agents", EVERYTHING, 300.0) == 2.0
    assert sorted(kept.values.groups("agent", 300.0)) == [Group("agent", "editor"), WRITER]
    assert list(kept.values.groups("model", 300.0)) == [Group("model", "gpt-4o")]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("p95_latency", ["slow", "bad", "dear"]),
        ("executions", ["slow", "bad", "dear"]),
        ("error_rate", ["broken"]),
        ("success_rate", ["broken"]),
        ("cost_per_hour", ["dear", "broken", "bad"]),
        ("tokens_per_second", ["long", "broken", "bad"]),
        ("quality_average", ["bad", "dear"]),
    ],
)
def test_the_worst_are_those_by_what_the_rule_is_about(kept: Kept, condition: str, expected: list[str]) -> None:
    kept.run("slow", seconds=9.0, cost_units=0)
    kept.run("dear", seconds=2.0, cost_units=10**24, quality_score=0.9)
    kept.run("long", seconds=1.0, tokens=9_000, cost_units=0)
    kept.run("bad", seconds=3.0, quality_score=0.1)
    kept.run("broken", seconds=0.5, status="error")
    assert kept.worst(condition) == expected


def test_the_worst_are_of_the_group_and_within_the_window(kept: Kept) -> None:
    kept.run("old", seconds=9.0)
    kept.clock.advance(400.0)
    kept.run("other", agent="editor", seconds=8.0, model="gpt-4o-mini")
    kept.run("mine", seconds=1.0, trace_id=255)
    assert kept.worst("p95_latency", WRITER) == ["mine"]
    assert kept.worst("p95_latency", Group("model", "gpt-4o-mini")) == ["other"]
    assert kept.worst("p95_latency") == ["other", "mine"]
    (mine,) = kept.values.worst("p95_latency", WRITER, 300.0, 3)
    assert (mine.trace_id, mine.agent_name, mine.value, mine.status) == (f"{255:032x}", "writer", 1_000.0, "success")


def test_a_cost_that_is_not_known_is_told_as_such_and_not_as_nothing(kept: Kept) -> None:
    kept.run("known", cost_units=2 * 10**24)
    kept.run("in part", cost_units=10**24, unpriced_calls=1)
    kept.run("unknown", cost_units=0, unpriced_calls=1)
    told = [(one.execution_id, one.value, one.cost_complete) for one in kept.values.worst("daily_cost", WRITER, 300, 3)]
    assert told == [("known", 2.0, True), ("in part", 1.0, False), ("unknown", None, False)]
    assert [one.value for one in kept.values.worst("p95_latency", WRITER, 300, 3)] == [1_000.0] * 3
