"""Frames made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kaizen_otel.testing.deterministic import START_NS
from kaizen_otel.top.frame import Delivery, Firing, Frame, Worker
from kaizen_processors.snapshots import PerformanceSnapshot, snapshot_of
from kaizen_processors.store import BudgetStanding
from kaizen_processors.window_sums import WindowSums
from kaizen_processors.windows import EVERYTHING, Group, Window

NS = 10**9
USD = 10**24
NOW_NS = START_NS + 3_723 * NS


def snapshot(
    group: Group = EVERYTHING, *, executions: int = 0, window_s: float = 300.0, step_ms: int = 100, **sums: Any
) -> PerformanceSnapshot:
    """Figures of so many executions, that took one, two, three … steps."""
    window = WindowSums()
    window.success = executions - sums.pop("error", 0)
    window.error = executions - window.success
    for number in range(1, executions + 1):
        window.latency.add(number * step_ms * 1_000_000)
    for name, value in sums.items():
        setattr(window, name, value)
    of = Window(group, window_s, window_s, window)
    return replace(snapshot_of(of, of, NOW_NS, None), daily_cost=None)


def agent(name: str, **given: Any) -> PerformanceSnapshot:
    return snapshot(Group(agent=name), **given)


def frame(**given: Any) -> Frame:
    """A desk with two agents, and two workers."""
    calls: dict[str, Any] = {"model_calls": 20, "input_tokens": 40_000, "output_tokens": 8_000, "cost_units": USD // 2}
    fields: dict[str, Any] = {
        "taken_ns": NOW_NS,
        "store": "kaizen-otel.db",
        "service": "support-desk",
        "workers": [Worker(4711, START_NS, NOW_NS - NS), Worker(4712, START_NS + 60 * NS, NOW_NS - NS)],
        "window_s": 300.0,
        "overall": snapshot(executions=20, error=1, quality_units=17 * NS, quality_count=20, **calls),
        "by": "agent",
        "rows": [
            agent("writer", executions=12, quality_units=11 * NS, quality_count=12, **calls),
            agent("researcher", executions=8, error=1, quality_units=4 * NS, quality_count=8),
        ],
        "firing": [],
        **given,
    }
    return Frame(**fields)


FIRING = Firing(
    "high_error_rate", "critical", "error rate: 12.5% (researcher)", {"agent_name": "researcher"}, NOW_NS - 200 * NS
)
BUDGET = BudgetStanding(
    "desk_day", "all", "", "daily", START_NS, START_NS + 86_400 * NS, 41 * USD // 10, 5 * USD, (80,)
)
DELIVERY = (Delivery("logs", 40, 0, 0, 3), Delivery("traces", 12_034, 12, 7, 0))


def documented() -> Frame:
    """The frame of docs/top.md."""
    figures = [
        ("support-router", 131, 1, 131, 265_012, 42_114, 111, 107),
        ("researcher", 49, 4, 96, 106_630, 13_876, 187, 38),
        ("writer", 51, 0, 51, 103_391, 14_204, 53, 45),
        ("billing-clerk", 32, 7, 32, 69_870, 10_580, 31, 22),
    ]
    fields = ("error", "model_calls", "input_tokens", "output_tokens", "cost_units", "quality_units")
    rows = []
    for name, executions, *sums in figures:
        sums[4] *= USD // 1_000
        sums[5] *= NS
        given = dict(zip(fields, sums, strict=True))
        rows.append(agent(name, executions=executions, quality_count=executions, step_ms=1_800 // executions, **given))
    whole: dict[str, Any] = {name: sum(one[2:][at] for one in figures) for at, name in enumerate(fields)}
    whole["cost_units"] *= USD // 1_000
    whole["quality_units"] *= NS
    executions = sum(one[1] for one in figures)
    overall = snapshot(executions=executions, quality_count=executions, step_ms=7, **whole)
    error = Firing(
        "high_error_rate",
        "critical",
        "error rate: 21.9% (billing-clerk)",
        {"agent_name": "billing-clerk"},
        NOW_NS - 200 * NS,
    )
    return frame(
        workers=[Worker(pid, START_NS, NOW_NS - NS) for pid in range(4_711, 4_715)],
        overall=replace(overall, active_agents=4),
        rows=rows,
        firing=[error],
        budgets=[BUDGET],
        delivery=(Delivery("logs", 40, 0, 0, 0), Delivery("traces", 12_034, 12, 0, 0)),
    )
