"""A label that takes more values than anybody can look at: memory and series stay bounded, and no token is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from kaizen_processors.execution import CallRecord
from kaizen_processors.ledger import OVERFLOW, Ledger
from kaizen_processors.meters import Instruments
from kaizen_processors.pricing.price import Price
from kaizen_processors.usage import Usage

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

AGENTS = 200_000
"""A hundred times the cap: what comes after the cap is all the same."""
CAP = 2_000
SERIES = 2 * CAP + 2
"""Of the counter of tokens: input and output of each agent that is counted apart, and of the overflow."""


def points_of(data: MetricsData | None) -> dict[str, list[Any]]:
    assert data is not None
    return {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_any_number_of_agents_makes_a_bounded_number_of_series_with_exact_sums() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    ledger, instruments = Ledger(), Instruments(provider.get_meter("test"))
    instruments.arm(ledger, "testing")
    for number in range(AGENTS):
        agent = f"agent{number}"
        price, usage = Price(1), Usage(3, 2)
        activity = ledger.start_execution(agent)
        ledger.add_call(
            CallRecord(operation="chat", provider="openai", model="m", agent_name=agent, usage=usage, price=price)
        )
        ledger.end_execution(agent, "m", "success", activity)
        if number < 3 * CAP:
            labels = {"agent_name": agent, "model": "m"}
            instruments.execution_duration.record(0.1, labels, None)
    snapshot = ledger.snapshot()
    assert len(snapshot.calls) == CAP + 1
    assert snapshot.calls[OVERFLOW, OVERFLOW].calls == AGENTS - CAP
    assert snapshot.cost_units == AGENTS
    assert ledger.active_agents() <= CAP + 1

    points = points_of(reader.get_metrics_data())
    provider.shutdown()
    tokens = points["kaizen.tokens.consumed"]
    assert len(tokens) <= SERIES
    assert sum(point.value for point in tokens) == 5 * AGENTS
    assert sum(point.value for point in points["kaizen.agent.executions"]) == AGENTS
    durations = points["kaizen.execution.duration"]
    assert len(durations) <= CAP + 1
    assert sum(point.count for point in durations) == 3 * CAP
