"""The two records that everything after the instrumentation works on: one model call, one execution.

Both are plain slotted objects, made once and never changed afterwards (design decision 20: a frozen dataclass costs
2 µs more to build). What users see, `ExecutionMetrics`, is built from an `ExecutionRecord` when somebody asks.
Units: times in integer nanoseconds, money in integers of 1e-24 USD, tokens in tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.money import to_float

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_processors.ledger import TallySnapshot
    from kaizen_processors.pricing import Price
    from kaizen_processors.resources import ResourceUsage
    from kaizen_processors.usage import Usage

NO_AGENT = "none"
"""Agent name that model calls without an agent above them are accounted to (contracts: the unit)."""

NO_MODEL = "none"
"""Model of an execution that made no call."""

MULTIPLE_MODELS = "multiple"
"""Model of an execution that called several."""

UNKNOWN_MODEL = "unknown"
"""Label of a call whose model is not known."""


class CallRecord:
    """One finished model call.

    `model` is the label the call is counted under: the response's model when the provider named one that we price
    under, else the requested one. `duration_ns` covers the call as its caller saw it. `ended_ago_ns` is how long before
    it was handed over it ended: nothing but for a `ReportedCall`.
    """

    ended_ago_ns: int = 0

    __slots__ = (
        "agent_name",
        "duration_ns",
        "error_type",
        "execution_id",
        "model",
        "operation",
        "price",
        "provider",
        "span_id",
        "start_time_ns",
        "trace_id",
        "usage",
    )

    def __init__(  # noqa: PLR0913 - a record: each argument is a field
        self,
        *,
        operation: str,
        provider: str,
        model: str,
        agent_name: str,
        usage: Usage,
        price: Price,
        start_time_ns: int = 0,
        duration_ns: int = 0,
        error_type: str | None = None,
        execution_id: str | None = None,
        trace_id: int = 0,
        span_id: int = 0,
    ) -> None:
        """Hold the call; see the class for units."""
        self.operation = operation
        self.provider = provider
        self.model = model
        self.agent_name = agent_name
        self.usage = usage
        self.price = price
        self.start_time_ns = start_time_ns
        self.duration_ns = duration_ns
        self.error_type = error_type
        self.execution_id = execution_id
        self.trace_id = trace_id
        self.span_id = span_id


class ExecutionRecord:
    """One finished execution: a run of one agent (contracts: the unit).

    `own` and `total` are snapshots taken when the agent's span ended. `status` is `success`, `error` or `cancelled`.
    `ended_ago_ns` is how long before it was handed over it ended: nothing but for a `ReportedExecution`. `resources` is
    what the process used meanwhile, where that is measured.
    """

    ended_ago_ns: int = 0

    __slots__ = (
        "agent_name",
        "business",
        "confidence",
        "conversation_id",
        "duration_ns",
        "error_message",
        "error_type",
        "execution_id",
        "late_calls",
        "metadata",
        "model",
        "own",
        "quality_score",
        "resources",
        "session_id",
        "span_id",
        "start_time_ns",
        "status",
        "tags",
        "total",
        "trace_id",
        "user_id",
    )

    def __init__(  # noqa: PLR0913 - a record: each argument is a field
        self,
        *,
        execution_id: str,
        agent_name: str,
        model: str,
        status: str,
        start_time_ns: int,
        duration_ns: int,
        own: TallySnapshot,
        total: TallySnapshot,
        late_calls: int = 0,
        error_type: str | None = None,
        error_message: str | None = None,
        quality_score: float | None = None,
        confidence: float | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
        conversation_id: str | None = None,
        tags: tuple[str, ...] = (),
        business: Mapping[str, float] | None = None,
        metadata: Mapping[str, Any] | None = None,
        trace_id: int = 0,
        span_id: int = 0,
        resources: ResourceUsage | None = None,
    ) -> None:
        """Hold the execution; see the class for units."""
        self.resources = resources
        self.execution_id = execution_id
        self.agent_name = agent_name
        self.model = model
        self.status = status
        self.start_time_ns = start_time_ns
        self.duration_ns = duration_ns
        self.own = own
        self.total = total
        self.late_calls = late_calls
        self.error_type = error_type
        self.error_message = error_message
        self.quality_score = quality_score
        self.confidence = confidence
        self.user_id = user_id
        self.session_id = session_id
        self.conversation_id = conversation_id
        self.tags = tags
        self.business = dict(business or {})
        self.metadata = dict(metadata or {})
        self.trace_id = trace_id
        self.span_id = span_id


class ReportedCall(CallRecord):
    """A model call that was reported some time after it ended."""

    __slots__ = ("ended_ago_ns",)

    def __init__(self, *, ended_ago_ns: int, **fields: Any) -> None:
        """Hold the call."""
        super().__init__(**fields)
        self.ended_ago_ns = ended_ago_ns


class ReportedExecution(ExecutionRecord):
    """An execution that was reported some time after it ended."""

    __slots__ = ("ended_ago_ns",)

    def __init__(self, *, ended_ago_ns: int, **fields: Any) -> None:
        """Hold the execution."""
        super().__init__(**fields)
        self.ended_ago_ns = ended_ago_ns


@dataclass(frozen=True, slots=True)
class ExecutionMetrics:
    """What one execution did, as a user reads it: by attribute or by key (`metrics["cost_usd"]`).

    Durations in milliseconds, money in US dollars, scores from 0 to 1. Tokens and cost are the execution's *own*:
    model calls of agents below it are theirs. `cost_complete` is False when some call's cost is not known, so that
    `cost_usd` is a lower bound.
    """

    execution_id: str
    agent_name: str
    model: str
    timestamp: datetime
    duration_ms: float
    tokens_input: int
    tokens_output: int
    tokens_total: int
    cost_usd: float
    success: bool
    error_message: str | None = None
    confidence: float | None = None
    quality_score: float | None = None
    user_id: str | None = None
    session_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    status: str = "success"
    error_type: str | None = None
    cost_complete: bool = True
    model_calls: int = 0
    tool_calls: int = 0
    cpu_usage_percent: float | None = None
    memory_usage_mb: float | None = None
    network_io_bytes: int | None = None
    resources_alone: bool | None = None

    @classmethod
    def of(cls, record: ExecutionRecord) -> ExecutionMetrics:
        """Build the public view of a record."""
        own, used = record.own, record.resources
        return cls(
            execution_id=record.execution_id,
            agent_name=record.agent_name,
            model=record.model,
            timestamp=datetime.fromtimestamp(record.start_time_ns / 1e9, tz=UTC),
            duration_ms=record.duration_ns / 1e6,
            tokens_input=own.input_tokens,
            tokens_output=own.output_tokens,
            tokens_total=own.input_tokens + own.output_tokens,
            cost_usd=to_float(own.cost_units),
            success=record.status == "success",
            error_message=record.error_message,
            confidence=record.confidence,
            quality_score=record.quality_score,
            user_id=record.user_id,
            session_id=record.session_id,
            metadata={**record.metadata, **record.business},
            status=record.status,
            error_type=record.error_type,
            cost_complete=own.complete,
            model_calls=own.model_calls,
            tool_calls=own.tool_calls,
            cpu_usage_percent=None if used is None else used.cpu_usage_percent,
            memory_usage_mb=None if used is None else used.memory_usage_mb,
            network_io_bytes=None if used is None else used.network_io_bytes,
            resources_alone=None if used is None else used.alone,
        )

    def enriched(self, said: Mapping[str, Any] | None) -> ExecutionMetrics:
        """Give a copy with fields that were said later; its `metadata` are added to these."""
        if not said:
            return self
        return replace(self, **{**said, "metadata": {**self.metadata, **said.get("metadata", {})}})

    def figures(self) -> dict[str, Any]:
        """Give the figures that real-time metrics are made of, by their names there."""
        return {name: self[name] for name in _FIGURES}

    @property
    def execution_time(self) -> float:
        """Duration in milliseconds, under the name the transparency interface uses."""
        return self.duration_ms

    @property
    def tokens_consumed(self) -> int:
        """Input and output tokens together."""
        return self.tokens_total

    @property
    def estimated_cost(self) -> float:
        """Cost in US dollars, under the name the transparency interface uses."""
        return self.cost_usd

    @property
    def cost_per_token(self) -> float | None:
        """US dollars per token, input and output; None without tokens."""
        return self.cost_usd / self.tokens_total if self.tokens_total else None

    def __getitem__(self, key: str) -> Any:
        if key in _METRIC_KEYS:
            return getattr(self, key)
        if key in BUSINESS_FIGURES:
            return self.metadata.get(key)
        if key in _ALIASES:
            return getattr(self, _ALIASES[key])
        raise KeyError(key)

    def keys(self) -> tuple[str, ...]:
        """Names that `metrics[name]` accepts, without those that real-time metrics have of their own."""
        return tuple(_METRIC_KEYS)


_METRIC_KEYS = {f.name: None for f in fields(ExecutionMetrics)} | {
    "execution_time": None,
    "tokens_consumed": None,
    "estimated_cost": None,
    "cost_per_token": None,
}

BUSINESS_FIGURES: Final = ("user_satisfaction", "task_completion_rate", "business_value_score")
"""What an application may tell of an execution (`record_business_metrics`)."""

_ALIASES: Final = {
    "model_used": "model",
    "execution_time_ms": "duration_ms",
    "estimated_cost_usd": "cost_usd",
    "response_quality_score": "quality_score",
    "confidence_level": "confidence",
}

_FIGURES: Final = (
    "timestamp",
    "execution_id",
    "agent_name",
    "model_used",
    "execution_time_ms",
    "tokens_input",
    "tokens_output",
    "tokens_total",
    "memory_usage_mb",
    "cpu_usage_percent",
    "network_io_bytes",
    "estimated_cost_usd",
    "cost_per_token",
    "response_quality_score",
    "confidence_level",
    *BUSINESS_FIGURES,
)
"""Names of the real-time metrics of one execution."""
