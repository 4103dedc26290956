"""One worker's own metrics, read at any moment for the sum of its host.

They have a meter provider of their own, since a histogram that a forked child inherits holds what its parent recorded,
and the sum would have it twice: the child begins with another provider. The application's provider, and the one that
exports by OTLP, are untouched.
"""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.host_metrics.reading import Labels, Reading, labels_of, read
from kaizen_processors.meters import Instruments
from kaizen_processors.money import UNITS_PER_USD
from kaizen_processors.series import series_limits
from kaizen_semconv import metrics as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from kaizen_processors.clock import Clock
    from kaizen_processors.host_metrics.reading import Members
    from kaizen_processors.ledger import Ledger


class WorkerMetrics:
    """The instruments of this process, and what they say.

    Args:
        ledger: what the counters are read from.
        clock: its wall clock dates the readings.
        scope: name, version and schema of the instruments.
        resource: what the process is.
        conventions: version of the GenAI conventions.

    Attributes:
        instruments: to be armed and recorded with.
        on_anew: called in a forked child, when `instruments` are others.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, scope: InstrumentationScope, resource: Resource, conventions: int
    ) -> None:
        """Make the instruments."""
        self._ledger = ledger
        self._clock = clock
        self._resource = resource
        self._conventions = conventions
        self.scope = scope
        self.environment = ""
        self.on_anew: Callable[[], object] = lambda: None
        self._begin()
        begin_anew_in_children(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()  # collecting is two steps: two at a time would take each other's
        self._reader = InMemoryMetricReader(**series_limits(self._ledger.max_keys))
        self._provider = MeterProvider([self._reader], resource=self._resource, shutdown_on_exit=False)
        meter = self._provider.get_meter(self.scope.name, self.scope.version, self.scope.schema_url)
        self.instruments = Instruments(meter, self._conventions)

    def after_fork_in_child(self) -> None:
        """Begin with nothing recorded."""
        self._begin()
        self.on_anew()

    def read(self) -> Reading:
        """What the instruments say now."""
        with self._lock:
            data = self._reader.get_metrics_data()
        now_ns = self._clock.time_ns()
        members = {m.KAIZEN_ACTIVE_AGENTS.name: {labels_of({"environment": self.environment}): self._active(now_ns)}}
        return read(data, now_ns, {m.KAIZEN_COST_USD.name: self._cost()}, members)

    def shutdown(self) -> None:
        """Collect no more."""
        self._provider.shutdown()

    def _cost(self) -> dict[Labels, Any]:
        """Dollars as the ledger has them: a float has lost what a sum over workers needs."""
        return {
            labels_of({"agent_name": agent, "model": model}): Fraction(totals.cost_units, UNITS_PER_USD)
            for (agent, model), totals in self._ledger.snapshot().calls.items()
        }

    def _active(self, now_ns: int) -> Members:
        active = self._ledger.active_for_ns()
        return {name: None if left_ns is None else now_ns + left_ns for name, left_ns in active.items()}
