"""Ranges beyond 24 hours: what the store remembers, what is refused without one, and what a broken one costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import kaizen_otel
from kaizen_otel.testing import SteppingClock, capture
from tests.kaizen_otel.surfaces import scenes

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

DAY_S = 86_400


def run_on_three_days(captured: Captured, clock: SteppingClock) -> None:
    """One run, two runs, and one of another agent, each a day and a half after those before."""
    for names in (["desk"], ["desk", "desk"], ["other"]):
        for name in names:
            scenes.base_agent(agent_id=name).run(question="x")
        clock.advance(10)
        captured.tick()  # the slot has closed: the store has it
        clock.advance(1.5 * DAY_S)
        captured.tick()


def test_with_a_store_a_range_may_be_a_week(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    transparency = kaizen_otel.get_transparency_interface()
    clock = SteppingClock(step_ns=0)
    with capture(clock=clock, store=tmp_path / "s.db") as captured:
        run_on_three_days(captured, clock)
        assert transparency.get_performance_summary("24h") == {"error": "No metrics in time range"}
        week = transparency.get_performance_summary("7d")
        desk = transparency.agent("desk").get_agent_metrics("last_7d")
        assert (week["total_executions"], desk["total_executions"]) == (4, 3)
        assert week["cost_usd"] == pytest.approx(float(captured.cost))
        assert transparency.get_agent_metrics("desk", "2d") == {"error": "No metrics found for agent"}
        assert (week["window_s"], week["daily_cost"]) == (7 * DAY_S, 0.0)  # the last of these days was idle
        assert week["p95_latency_ms"] is not None
        assert 4.5 * DAY_S <= week["observed_s"] < 4.6 * DAY_S
    assert len(kaizen_offline.requests) == 4


def test_with_a_store_a_daily_report_has_its_days(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    transparency = kaizen_otel.get_transparency_interface()
    clock = SteppingClock(step_ns=0)
    with capture(clock=clock, store=tmp_path / "s.db") as captured:
        run_on_three_days(captured, clock)
        rows = transparency.get_performance_report("daily", ["latency", "cost"])["periods"]
        of_other = transparency.get_performance_report("daily", ["errors"], agent_name="other")["periods"]
    assert [row["executions"] for row in rows if row["executions"]] == [1, 2, 1]
    assert len(rows) in {5, 6}
    assert sum(row["executions"] * (row["cost_per_execution"] or 0) for row in rows) == pytest.approx(
        float(captured.cost)
    )
    assert all(row["start"].endswith("T00:00:00+00:00") for row in rows[1:])
    assert [row["start"] for row in rows[1:]] == [row["end"] for row in rows[:-1]]
    assert sum(row["executions"] for row in of_other) == 1
    assert len(kaizen_offline.requests) == 4


def test_without_a_store_the_refusal_names_the_setting(kaizen_telemetry: Captured) -> None:
    transparency = kaizen_otel.get_transparency_interface()
    for ask in (transparency.get_performance_summary, transparency.agent("desk").get_agent_metrics):
        with pytest.raises(ValueError, match=r"window cannot be '7d'.*up to 24h, or longer with the setting store"):
            ask("7d")
    assert kaizen_telemetry.executions == []


def test_a_store_that_is_not_there_is_an_answer_not_an_error(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    transparency = kaizen_otel.get_transparency_interface()
    with capture(store=tmp_path / "s.db"):
        scenes.base_agent(agent_id="desk").run(question="x")  # no tick: the file has not been made yet
        assert transparency.get_performance_summary("7d")["error"].startswith("the store cannot be read: ")
        assert [row["executions"] for row in transparency.get_performance_report("daily")["periods"]] == [1]
    assert len(kaizen_offline.requests) == 1
