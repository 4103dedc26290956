"""Workers of one host, without processes: each with a ledger and instruments of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from kaizen_processors.host_metrics import Reading, WorkerMetrics, to_metrics_data
from kaizen_processors.ledger import Ledger
from kaizen_processors.pricing.price import Price
from tests.processors.ledger_calls import call

if TYPE_CHECKING:
    from kaizen_otel.testing.deterministic import SteppingClock

SCOPE = InstrumentationScope("kaizen-otel", "0")
RESOURCE = Resource({"service.name": "desk"})


class Worker(WorkerMetrics):
    """One process's metrics, and what it does."""

    def __init__(self, clock: SteppingClock, conventions: int = 41) -> None:
        self.ledger = Ledger(clock=clock)
        super().__init__(self.ledger, clock, SCOPE, RESOURCE, conventions)
        self.environment = "test"
        self.instruments.arm(self.ledger, "test")

    def run(self, agent: str = "ann", *, model: str = "m", status: str = "success", duration_s: float = 0.5) -> None:
        """One execution, from its begin to its end."""
        activity = self.ledger.start_execution(agent)
        self.ledger.end_execution(agent, model, status, activity)
        self.instruments.execution_duration.record(duration_s, {"agent_name": agent, "model": model})

    def ask(self, agent: str = "ann", *, model: str = "m", tokens: tuple[int, int] = (10, 5), price: int = 3) -> None:
        """One model call; `price` in 1e-24 USD."""
        self.ledger.add_call(call(agent, model, tokens, Price(price)))


def points_of(reading: Reading, name: str) -> list[Any]:
    """The points of one metric, as the SDK would give them."""
    (resource,) = to_metrics_data(reading, RESOURCE, SCOPE).resource_metrics
    (scope,) = resource.scope_metrics
    (found,) = [one for one in scope.metrics if one.name == name]
    return list(found.data.data_points)


def values(reading: Reading, name: str) -> dict[tuple[object, ...], float]:
    """The numbers of one metric, by the values of its labels in the order of their keys."""
    return {tuple(dict(sorted(p.attributes.items())).values()): p.value for p in points_of(reading, name)}
