"""`ExecutionTrace`: a named block of the application, with what happens in it counted while it happens."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry.trace import INVALID_SPAN, format_trace_id

from kaizen_otel.invocations.failure import Failure
from kaizen_otel.invocations.scope import MeasureScope, current_scope, with_scope
from kaizen_otel.invocations.trace_scope import TraceInvocation
from kaizen_otel.invocations.values import bounded_text
from kaizen_otel.patches.switch import active
from kaizen_processors.chance import random_id
from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.money import to_float

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextvars import Token
    from types import TracebackType
    from typing import Self

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext
    from opentelemetry.util.types import AttributeValue

    from kaizen_otel.telemetry import Telemetry
    from kaizen_otel.transparency.workflow_monitor import WorkflowMonitor
    from kaizen_processors.clock import Clock

MAX_EVENTS: Final = 1_000
"""Events that a trace keeps; further ones are only on its span."""

RUNNING: Final = "running"
SUCCESS: Final = "success"
ERROR: Final = "error"
CANCELLED: Final = "cancelled"

_NS: Final = 1_000_000_000
_NS_IN_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """Something that the application said while a trace ran."""

    event_type: str
    description: str | None
    timestamp: datetime
    metadata: Mapping[str, AttributeValue]

    def as_dictionary(self) -> dict[str, Any]:
        """The event as plain values; its time in seconds since the Unix epoch."""
        return {
            "timestamp": self.timestamp.timestamp(),
            "event_type": self.event_type,
            "description": self.description,
            "metadata": dict(self.metadata),
        }


@dataclass(frozen=True, slots=True)
class TraceMetrics:
    """What a trace came to, at one moment. Its fields are its keys, too.

    Attributes:
        execution_time: Milliseconds since it began, or that it took.
        tokens_consumed: Input and output together.
        estimated_cost: US dollars; a lower bound when `cost_complete` is False.
        tokens_input: Tokens sent, cached ones included.
        tokens_output: Tokens received, reasoning included.
        executions: Agents' runs that ended inside.
        model_calls: Model calls that ended inside.
        tool_calls: Tool calls that ended inside.
        cost_complete: Whether the cost of every call is known.
        events_count: What the application said with `add_event`.
        status: `running`, `success`, `error` or `cancelled`; None before it began.
    """

    execution_time: float
    tokens_consumed: int
    estimated_cost: float
    tokens_input: int
    tokens_output: int
    executions: int
    model_calls: int
    tool_calls: int
    cost_complete: bool
    events_count: int
    status: str | None

    def __getitem__(self, key: str) -> Any:
        if key not in _METRICS:
            raise KeyError(key)
        return getattr(self, key)

    def keys(self) -> tuple[str, ...]:
        """Names of the figures, so that `dict(metrics)` works."""
        return _METRICS


_METRICS: Final = tuple(field.name for field in fields(TraceMetrics))


class ExecutionTrace:
    """A named block: a span, and the sums of everything inside. A context manager, used once.

    Without instrumentation it runs the block and counts nothing. The figures of `TraceMetrics` are attributes and keys
    of the trace itself, too, live while it runs.

    Attributes:
        name: What the application calls it; `execution_name` is the same.
        start_time: When it began; None before.
        start_unix_ns: The same, as its span has it: nanoseconds since the Unix epoch.
        status: `running`, `success`, `error` or `cancelled`; None before it began.
        events: What the application said, the first 1,000.
    """

    def __init__(self, execution_name: str, monitor: WorkflowMonitor | None = None) -> None:
        """Prepare a block.

        Args:
            execution_name: Becomes the span's name, so it should be one of few: not an order's number.
            monitor: Told when the block has ended.

        Raises:
            TypeError: The name is no text.
            ValueError: It is empty.
        """
        text = bounded_text(execution_name)
        if text is None:
            raise TypeError(f"a trace's name must be text, not {type(execution_name).__name__}")
        if not text:
            raise ValueError("a trace's name must not be empty")
        self.name = text
        self.start_time: datetime | None = None
        self.start_unix_ns = 0
        self.status: str | None = None
        self.events: list[TraceEvent] = []
        self._events_count = 0
        self._own_id = random_id()
        self._monitor = monitor
        self._error_message: str | None = None
        self._telemetry: Telemetry | None = None
        self._clock: Clock = SYSTEM_CLOCK
        self._invocation: TraceInvocation | None = None
        self._scope = MeasureScope(None)
        self._token: Token[Context] | None = None
        self._began_ns = 0
        self._taken_ns: int | None = None

    # -- the block ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self.status is not None:
            raise RuntimeError(f"the trace {self.name!r} was entered before: make one for each block")
        self.status = RUNNING
        self._telemetry = telemetry = active()
        if telemetry is not None:
            self._clock = telemetry.clock
        self.start_unix_ns = self._clock.time_ns()
        self.start_time = datetime.fromtimestamp(self.start_unix_ns / _NS, tz=UTC)
        self._began_ns = self._clock.monotonic_ns()
        if telemetry is not None:
            with telemetry.fence("trace.begin"):
                invocation = TraceInvocation(telemetry, current_scope(), self.name).begin()
                self._invocation = invocation.__enter__()
                self.start_unix_ns = invocation.start_time_ns or self.start_unix_ns
        self._scope = MeasureScope(current_scope())
        if self._invocation is not None:
            self._invocation.inside = self._scope
        self._token = otel_context.attach(with_scope(self._scope))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
        self._taken_ns = self._clock.monotonic_ns() - self._began_ns
        failure = None if error is None else Failure.of(error)
        self.status = SUCCESS if failure is None else CANCELLED if failure.cancelled else ERROR
        self._error_message = None if failure is None else failure.message or failure.error_type
        invocation, telemetry = self._invocation, self._telemetry
        if invocation is not None and telemetry is not None:
            (sums,) = telemetry.ledger.snapshot_tallies(self._scope.total)
            invocation.observe(lambda trace: trace.counted(sums, len(self._scope.execution_ids)))
            invocation.__exit__(kind, error, traceback)
        if self._monitor is not None:
            self._monitor.trace_ended(self)

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def execution_name(self) -> str:
        """Its name, as the transparency interface calls it."""
        return self.name

    @property
    def trace_data(self) -> dict[str, Any]:
        """All that is known of it until now, as one dictionary of plain values; empty before it began.

        Returns:
            `execution_id`, `execution_name`, `start_time`, `events` (each with `timestamp`, `event_type`,
            `description`, `metadata`), `trace_id`, and the figures of `get_current_metrics()`; once it has
            ended also `end_time`, `duration_ms`, `success` and `error`. Times are seconds since the Unix epoch.
        """
        if self.status is None:
            return {}
        began_s = self.start_unix_ns / _NS
        told: dict[str, Any] = {
            "execution_id": self.execution_id,
            "execution_name": self.name,
            "start_time": began_s,
            "events": [event.as_dictionary() for event in self.events],
            "trace_id": self.trace_id,
            **dict(self.get_current_metrics()),
        }
        if self._taken_ns is not None:
            told["end_time"] = began_s + self._taken_ns / _NS
            told["duration_ms"] = self.duration_ms
            told["success"] = self.status == SUCCESS
            told["error"] = self._error_message
        return told

    @property
    def span_context(self) -> SpanContext:
        """Of its span; not valid where there is none."""
        return self._span().get_span_context()

    @property
    def trace_id(self) -> str | None:
        """The trace's id, 32 hex digits; None where there is no span."""
        context = self.span_context
        return format_trace_id(context.trace_id) if context.is_valid else None

    @property
    def execution_ids(self) -> tuple[str, ...]:
        """Ids of the executions that ended inside, in that order."""
        return tuple(self._scope.execution_ids)

    @property
    def execution_id(self) -> str:
        """The execution that a report about this block is about: the last that ended inside.

        So `record_execution_metrics` with this id enriches that execution. Where none was seen, it is an id of the
        block's own: the report then counts as one execution.
        """
        ids = self._scope.execution_ids
        return ids[-1] if ids else self._own_id

    @property
    def duration_ms(self) -> float:
        """Milliseconds since it began, or that it took; 0 before."""
        if self.status is None:
            return 0.0
        taken_ns = self._clock.monotonic_ns() - self._began_ns if self._taken_ns is None else self._taken_ns
        return taken_ns / _NS_IN_MS

    def get_current_metrics(self) -> TraceMetrics:
        """What it came to until now."""
        total = self._scope.total
        telemetry = self._telemetry
        sums = total if telemetry is None else telemetry.ledger.snapshot_tallies(total)[0]
        return TraceMetrics(
            execution_time=self.duration_ms,
            tokens_consumed=sums.input_tokens + sums.output_tokens,
            estimated_cost=to_float(sums.cost_units),
            tokens_input=sums.input_tokens,
            tokens_output=sums.output_tokens,
            executions=len(self._scope.execution_ids),
            model_calls=sums.model_calls,
            tool_calls=sums.tool_calls,
            cost_complete=not sums.incomplete_calls,
            events_count=self._events_count,
            status=self.status,
        )

    def add_event(
        self,
        event_type: str,
        description: str | None = None,
        metadata: Mapping[str, AttributeValue] | None = None,
    ) -> None:
        """Say that something happened: an event of the span, and an entry of `events`.

        Args:
            event_type: The event's name: one of few.
            description: What happened, in words; the attribute `description` of the span's event.
            metadata: Further attributes of it.

        Raises:
            TypeError: The type is no text.
        """
        name = bounded_text(event_type)
        if name is None:
            raise TypeError(f"an event's type must be text, not {type(event_type).__name__}")
        told = bounded_text(description)
        given = dict(metadata or {})
        self._events_count += 1
        if len(self.events) < MAX_EVENTS:
            now = datetime.fromtimestamp(self._clock.time_ns() / _NS, tz=UTC)
            self.events.append(TraceEvent(name, told, now, given))
        telemetry = self._telemetry
        if telemetry is not None:
            with telemetry.fence("trace.event"):
                self._span().add_event(name, given if told is None else {"description": told, **given})

    def __getattr__(self, name: str) -> Any:
        if name in _METRICS:
            return getattr(self.get_current_metrics(), name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getitem__(self, key: str) -> Any:
        if key in _OWN:
            return getattr(self, key)
        return self.get_current_metrics()[key]

    def keys(self) -> tuple[str, ...]:
        """Names of what a trace knows, so that `dict(trace)` works."""
        return tuple(dict.fromkeys((*_OWN, *_METRICS)))

    def _span(self) -> Span:
        return INVALID_SPAN if self._invocation is None else self._invocation.span


_OWN: Final = (
    "name",
    "execution_name",
    "execution_id",
    "trace_id",
    "start_time",
    "status",
    "duration_ms",
    "execution_ids",
    "events",
)
