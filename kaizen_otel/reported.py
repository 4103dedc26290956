"""An execution that this process did not watch, as another system reports it: counted once, like any other."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.invocations.values import MAX_TOKENS, bounded_text, finite_number, token_count
from kaizen_processors.execution import NO_MODEL, ExecutionMetrics, ReportedCall, ReportedExecution
from kaizen_processors.ledger import TallySnapshot
from kaizen_processors.money import DECIMALS
from kaizen_processors.pricing.price import MISSING_USAGE, SOURCE_PROVIDER, Price
from kaizen_processors.usage import Usage
from kaizen_semconv import attributes as k
from kaizen_semconv.attributes import KaizenExecutionStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kaizen_otel.telemetry import Telemetry

_LATER = (
    "confidence",
    "quality_score",
    "user_id",
    "session_id",
    "error_message",
    "cpu_usage_percent",
    "memory_usage_mb",
    "network_io_bytes",
    "resources_alone",
)
"""What a report may say of an execution that was watched. Its counts are what was seen, not what is said."""

_MOST = 1e12
"""No duration in milliseconds and no amount of dollars is near it."""

_STATUSES = tuple(sorted(status.value for status in KaizenExecutionStatus))


def _is_amount(value: object) -> bool:
    number = finite_number(value)
    return number is not None and 0 <= number <= _MOST


def _is_score(value: object) -> bool:
    number = finite_number(value)
    return value is None or (number is not None and 0 <= number <= 1)


_TEXT = ("a text that is not empty", lambda value: bool(bounded_text(value)))
_AMOUNT = (f"a number from 0 to {_MOST:.0e}", _is_amount)
_COUNT = (f"a whole number from 0 to {MAX_TOKENS - 1}", lambda value: token_count(value) is not None)
_SCORE = ("between 0 and 1, or None", _is_score)

_FIELDS: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "execution_id": _TEXT,
    "agent_name": _TEXT,
    "model": _TEXT,
    "timestamp": ("a datetime", lambda value: isinstance(value, datetime)),
    "duration_ms": _AMOUNT,
    "cost_usd": _AMOUNT,
    "tokens_input": _COUNT,
    "tokens_output": _COUNT,
    "tool_calls": _COUNT,
    "quality_score": _SCORE,
    "confidence": _SCORE,
    "status": (f"one of {', '.join(_STATUSES)}", lambda value: value in _STATUSES),
    "metadata": ("a dictionary", lambda value: isinstance(value, dict)),
}


def check(metrics: ExecutionMetrics) -> None:
    """See that a report can be counted.

    Raises:
        TypeError: it is no `ExecutionMetrics`.
        ValueError: a field cannot be counted: which, and what is allowed.
    """
    if not isinstance(metrics, ExecutionMetrics):
        raise TypeError(f"record_execution_metrics: expected ExecutionMetrics, got {type(metrics).__name__}")
    for name, (allowed, is_allowed) in _FIELDS.items():
        if not is_allowed(metrics[name]):
            raise ValueError(f"record_execution_metrics: {name} must be {allowed}")


def said_of(metrics: ExecutionMetrics) -> dict[str, Any]:
    """Give what a report adds to an execution that was watched."""
    return {**{name: metrics[name] for name in _LATER}, "metadata": dict(metrics.metadata)}


def count(telemetry: Telemetry, metrics: ExecutionMetrics) -> None:
    """Count a reported execution and its model calls: in the ledger, the metrics, the windows.

    Its tokens and dollars are counted as one call of its model, and one more where it says that its cost is not
    complete: then the price of a call is not known.
    """
    agent_name = bounded_text(metrics.agent_name) or metrics.agent_name
    model = bounded_text(metrics.model) or NO_MODEL
    start_ns, duration_ns = round(metrics.timestamp.timestamp() * 1e9), round(metrics.duration_ms * 1e6)
    ago_ns = max(telemetry.clock.time_ns() - start_ns - duration_ns, 0)
    calls = [
        ReportedCall(
            operation="chat",
            provider="",
            model=model,
            agent_name=agent_name,
            usage=usage,
            price=price,
            start_time_ns=start_ns,
            execution_id=metrics.execution_id,
            ended_ago_ns=ago_ns,
        )
        for usage, price in _calls_of(metrics)
    ]
    for call in calls:
        telemetry.ledger.add_call(call)
        telemetry.pipeline.call_finished(call)
    status = _status_of(metrics)
    _measure(telemetry, agent_name, model, duration_ns)
    telemetry.ledger.end_execution(agent_name, model, status)
    own = TallySnapshot(
        model_calls=len(calls),
        input_tokens=metrics.tokens_input,
        output_tokens=metrics.tokens_output,
        cost_units=_units(metrics.cost_usd),
        incomplete_calls=int(not metrics.cost_complete),
        tool_calls=metrics.tool_calls,
        models=(model,) if calls else (),
    )
    telemetry.pipeline.execution_finished(
        ReportedExecution(
            execution_id=metrics.execution_id,
            agent_name=agent_name,
            model=model,
            status=status,
            start_time_ns=start_ns,
            duration_ns=duration_ns,
            own=own,
            total=own,
            error_type=metrics.error_type,
            error_message=telemetry.content.redacted(metrics.error_message) if metrics.error_message else None,
            quality_score=metrics.quality_score,
            confidence=metrics.confidence,
            user_id=metrics.user_id,
            session_id=metrics.session_id,
            metadata=metrics.metadata,
            ended_ago_ns=ago_ns,
        )
    )


def _calls_of(metrics: ExecutionMetrics) -> list[tuple[Usage, Price]]:
    calls = []
    if metrics.tokens_input or metrics.tokens_output or metrics.cost_usd:
        usage = Usage(metrics.tokens_input, metrics.tokens_output)
        calls.append((usage, Price(_units(metrics.cost_usd), source=SOURCE_PROVIDER)))
    if not metrics.cost_complete:
        calls.append((Usage(), MISSING_USAGE))
    return calls


def _measure(telemetry: Telemetry, agent_name: str, model: str, duration_ns: int) -> None:
    instruments = telemetry.metrics.instruments
    if instruments is not None and telemetry.settings.durations:
        labels: dict[str, str | int] = {k.AGENT_NAME: agent_name, k.MODEL: model}
        recorder = telemetry.metrics.recorders.of(telemetry.settings_desk.extent_of(agent_name))
        recorder.run(instruments.execution_duration.record, duration_ns / 1e9, labels, None)


def _status_of(metrics: ExecutionMetrics) -> str:
    # The interface's own example gives `success`, and no status.
    failed = not metrics.success and metrics.status == KaizenExecutionStatus.SUCCESS.value
    return KaizenExecutionStatus.ERROR.value if failed else metrics.status


def _units(cost_usd: float) -> int:
    return int(Decimal(str(cost_usd)).scaleb(DECIMALS).to_integral_value())
