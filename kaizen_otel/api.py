"""The calls that an application makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Span, SpanContext

from kaizen_otel.invocations.values import bounded_text
from kaizen_otel.patches.switch import active
from kaizen_processors.clock import LONGEST_WAIT_S
from kaizen_processors.quality.evaluation import Evaluation

if TYPE_CHECKING:
    from datetime import timedelta

    from kaizen_otel.settings import Settings
    from kaizen_otel.transparency import KaizenTransparencyInterface
    from kaizen_processors.execution import ExecutionMetrics
    from kaizen_processors.snapshots import PerformanceSnapshot


def instrument(settings: Settings | None = None, **overrides: Any) -> None:
    """Watch every Kaizen and LocalRuntime execution of this process from now on.

    Call it once, at startup; Kaizen may be imported before or after. A second call changes nothing and warns.

    Args:
        settings: ready settings; otherwise they are gathered from file, environment and preset (docs/settings.md).
        overrides: fields of `Settings` (and `preset`), which win over every other source.

    Raises:
        SettingsError: something is not allowed: what, where, and what is.

    Example:
        >>> instrument(console=True)  # doctest: +SKIP
    """
    from kaizen_otel.instrumentor import KaizenInstrumentor  # noqa: PLC0415 - importing us stays cheap

    given = {} if settings is None else {"settings": settings}
    KaizenInstrumentor().instrument(skip_dep_check=True, **given, **overrides)


def uninstrument() -> None:
    """Stop watching: every patched attribute is the original object again. Nothing happens when not instrumented."""
    from kaizen_otel.instrumentor import KaizenInstrumentor  # noqa: PLC0415 - importing us stays cheap

    instrumentor = KaizenInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


def flush(timeout_s: float = 30.0) -> bool:
    """Wait for evaluators and write out what our own outputs and wrapped exporters hold, and what the store is told.

    False when something is left after `timeout_s`, or was dropped since the flush before. Another process that holds
    the store is not waited for: then it is False, and a thread goes on.
    """
    telemetry = active()
    return True if telemetry is None else telemetry.flush(min(timeout_s, LONGEST_WAIT_S))


def stats() -> dict[str, Any]:
    """What kaizen-otel itself did so far: who exports, telemetry failures by cause, exact sums of the ledger.

    `calls` are by agent and model, with money as a `Decimal` of US dollars.
    """
    telemetry = active()
    if telemetry is None:
        return {"instrumented": False}
    return telemetry.stats()


def host_metrics() -> str:
    r"""The metrics of all processes that share a store, as Prometheus reads them: for a route of your own.

    Any of the processes answers for all: with its own figures of this moment, and the others' of eleven seconds ago
    or less. Without a store they are this process's. Where nobody watches, or they are not kept
    (`Settings.host_metrics`), or cannot be known, it is one comment that says so. Serve it as `text/plain;
    version=0.0.4`.

    Example:
        >>> host_metrics()
        '# kaizen-otel: nothing is watched here\n'
    """
    telemetry = active()
    if telemetry is None:
        return "# kaizen-otel: nothing is watched here\n"
    host = telemetry.metrics.host
    if host is None:
        return "# kaizen-otel: metrics are not kept for this; set host_metrics\n"
    with telemetry.fence("host_metrics.text"):
        return host.text()
    return "# kaizen-otel: the metrics of this host are not known\n"


def snapshot(
    window: float | str | timedelta = "5m", *, agent: str | None = None, model: str | None = None
) -> PerformanceSnapshot:
    """How agents performed in the last `window`: latency, errors, tokens, dollars, quality.

    Where nobody watches, or windows are off (`Settings.windows`, and levels below `standard`), it is one of nothing:
    `observed_s` is 0.

    Args:
        window: seconds, a `timedelta`, or a text such as `30s`, `5m`, `24h`; up to 24 hours.
        agent: only this agent.
        model: only this model: calls of it, and executions that called no other.

    Raises:
        ValueError: the window is none of these.

    Example:
        >>> snapshot("1h", agent="desk").p95_latency_ms  # doctest: +SKIP
    """
    from kaizen_processors import snapshots  # noqa: PLC0415 - importing us stays cheap

    window_s = snapshots.window_seconds(window)
    telemetry = active()
    if telemetry is not None:
        with telemetry.fence("snapshot"):
            return telemetry.performance.snapshot(window_s, agent, model)
    return snapshots.nothing_seen(window_s, agent=agent, model=model)


def get_transparency_interface() -> KaizenTransparencyInterface:
    """The transparency interface of this process: monitors, trackers, figures, reports and callbacks.

    Works before, while and after agents are watched. `kaizen.get_transparency_interface()` and
    `agent.get_transparency_interface()` exist while they are.

    Example:
        >>> get_transparency_interface().get_performance_summary("1h")
        {'error': 'No metrics in time range'}
    """
    from kaizen_otel.transparency.interface import interface_of  # noqa: PLC0415 - importing us stays cheap

    return interface_of()


def record_execution_metrics(metrics: ExecutionMetrics) -> None:
    """Report an execution that another system ran, or more about one that was watched.

    With the id of an execution that we saw, it enriches that one and never adds to counts. With any other it counts as
    one execution, at the time that it says; its tokens and dollars count as one call of its model.

    Raises:
        TypeError: it is no `ExecutionMetrics`.
        ValueError: a figure cannot be counted: which, and what is allowed.
    """
    from kaizen_otel.reported import check  # noqa: PLC0415 - rarely used

    check(metrics)
    telemetry = active()
    if telemetry is not None:
        with telemetry.fence("execution.report"):
            telemetry.performance.report(metrics)


def record_evaluation(
    name: str,
    *,
    score: float | None = None,
    label: str | None = None,
    explanation: str | None = None,
    execution_id: str | None = None,
    span: Span | SpanContext | None = None,
) -> None:
    """Report an evaluation made later, of an execution or of a span: an event and a metric.

    Args:
        name: the evaluation's name.
        score: 0 to 1.
        label: a short verdict, such as `pass`.
        explanation: why; content, so it is redacted.
        execution_id: the execution evaluated (`kaizen.execution.id`); by default the current one.
        span: a span or span context instead.

    Raises:
        ValueError: neither score nor label, or a score outside 0..1.
        TypeError: an execution id that is no text, or a span that is none.
    """
    if score is None and label is None:
        raise ValueError("record_evaluation: give a score, a label, or both")
    evaluation = Evaluation(bounded_text(name) or name, score, label, explanation)
    known_id = None if execution_id is None else bounded_text(execution_id)
    if execution_id is not None and known_id is None:
        raise TypeError("record_evaluation: execution_id must be text")
    if span is not None and not issubclass(type(span), (Span, SpanContext)):
        raise TypeError("record_evaluation: span must be a span or a span context")
    telemetry = active()
    if telemetry is not None:
        with telemetry.fence("evaluation.record"):
            telemetry.quality.record(evaluation, execution_id=known_id, span=span)


def record_business_metrics(
    *,
    user_satisfaction: float | None = None,
    task_completion_rate: float | None = None,
    business_value_score: float | None = None,
) -> None:
    """Put business figures on the execution that the calling code runs in; no execution, no effect.

    Raises:
        ValueError: a figure is not a finite number.
    """
    from kaizen_otel.business import record  # noqa: PLC0415 - rarely used

    record(
        {
            "user_satisfaction": user_satisfaction,
            "task_completion_rate": task_completion_rate,
            "business_value_score": business_value_score,
        }
    )
