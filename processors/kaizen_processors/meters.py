"""The metrics of an application's agents: counters read from the ledger, histograms recorded as calls end.

Counters are observable: their value is the ledger's own sum at the moment of collection, exact for cumulative and
delta readers alike, and free on the hot path. Histograms are recorded synchronously in the span's context, so that
exemplars point at the trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from opentelemetry.metrics import CallbackOptions, Observation

from kaizen_processors.money import to_float
from kaizen_processors.self_meters import SelfInstruments
from kaizen_semconv import DEFAULT_VERSION
from kaizen_semconv import metrics as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram, Meter

    from kaizen_processors.ledger import Ledger, LedgerSnapshot
    from kaizen_semconv.metrics import MetricDefinition

    Labels = dict[str, str | int] | dict[str, str]
    Recording = Callable[[float, Labels, Context | None], None]


class Recordable(Protocol):
    """A histogram, or what stands for one."""

    def record(self, amount: float, attributes: Labels, context: Context | None = None) -> None:
        """Record one value."""
        ...


class Instruments:
    """All instruments of one meter, made once for the meter's life and armed with one ledger at a time.

    Args:
        meter: where the instruments are made.
        conventions: version of the GenAI conventions; each has client metrics of its own.
    """

    def __init__(self, meter: Meter, conventions: int = DEFAULT_VERSION) -> None:
        """Create every instrument of the contract, reading nothing yet."""
        self._ledger: Ledger | None = None
        self._environment = ""
        self._counter(meter, m.KAIZEN_AGENT_EXECUTIONS, _executions)
        self._counter(meter, m.KAIZEN_TOKENS_CONSUMED, _tokens)
        self._counter(meter, m.KAIZEN_COST_USD, _cost)
        self._counter(meter, m.KAIZEN_USAGE_MISSING, _missing)
        definition = m.KAIZEN_ACTIVE_AGENTS
        meter.create_observable_gauge(definition.name, [self._active], definition.unit, definition.description)
        self.execution_duration = _histogram(meter, m.KAIZEN_EXECUTION_DURATION)
        self.quality_score = _histogram(meter, m.KAIZEN_QUALITY_SCORE)
        self.client: dict[str, Recording] = {d.name: _recording(meter, d) for d in _client_metrics(conventions)}
        """What records a value of a client metric of the conventions, at once, by its name."""
        self.invoke_agent_duration = _histogram(meter, m.GEN_AI_INVOKE_AGENT_DURATION)
        self.invoke_workflow_duration = _histogram(meter, m.GEN_AI_INVOKE_WORKFLOW_DURATION)
        self.execute_tool_duration = _histogram(meter, m.GEN_AI_EXECUTE_TOOL_DURATION)
        self.mcp_client_duration = _histogram(meter, m.MCP_CLIENT_OPERATION_DURATION)
        self.mcp_server_duration = _histogram(meter, m.MCP_SERVER_OPERATION_DURATION)
        self.about_telemetry = SelfInstruments(meter)

    def arm(self, ledger: Ledger, environment: str) -> None:
        """Read from this ledger; `environment` is the label of `kaizen.active_agents`."""
        self._ledger = ledger
        self._environment = environment

    def disarm(self) -> None:
        """Read nothing: an observable instrument cannot be removed from its meter, so it reports nothing then."""
        self._ledger = None
        self.about_telemetry.disarm()

    def _counter(
        self, meter: Meter, definition: MetricDefinition, read: Callable[[LedgerSnapshot], Iterable[Observation]]
    ) -> None:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            ledger = self._ledger
            return [] if ledger is None else read(ledger.snapshot())

        meter.create_observable_counter(definition.name, [observe], definition.unit, definition.description)

    def _active(self, _options: CallbackOptions) -> Iterable[Observation]:
        ledger = self._ledger
        if ledger is None:
            return []
        return [Observation(ledger.active_agents(), {"environment": self._environment})]


def _client_metrics(conventions: int) -> Iterable[MetricDefinition]:
    return (d for d in m.ALL if d.name.startswith("gen_ai.client.") and conventions in d.versions)


def _recording(meter: Meter, definition: MetricDefinition) -> Recording:
    if definition.instrument is m.Instrument.COUNTER:
        return meter.create_counter(definition.name, definition.unit, definition.description).add
    return _histogram(meter, definition).record


def _histogram(meter: Meter, definition: MetricDefinition) -> Histogram:
    return meter.create_histogram(
        definition.name,
        definition.unit,
        definition.description,
        explicit_bucket_boundaries_advisory=definition.boundaries or None,
    )


def _executions(snapshot: LedgerSnapshot) -> Iterable[Observation]:
    for (agent, model, status), count in snapshot.executions.items():
        yield Observation(count, {"agent_name": agent, "model": model, "status": status})


def _tokens(snapshot: LedgerSnapshot) -> Iterable[Observation]:
    for (agent, model), totals in snapshot.calls.items():
        labels = {"agent_name": agent, "model": model}
        yield Observation(totals.input_tokens, {**labels, "token_type": "input"})
        yield Observation(totals.output_tokens, {**labels, "token_type": "output"})


def _cost(snapshot: LedgerSnapshot) -> Iterable[Observation]:
    for (agent, model), totals in snapshot.calls.items():
        yield Observation(to_float(totals.cost_units), {"agent_name": agent, "model": model})


def _missing(snapshot: LedgerSnapshot) -> Iterable[Observation]:
    for (model, reason), count in snapshot.missing.items():
        yield Observation(count, {"model": model, "reason": reason})
