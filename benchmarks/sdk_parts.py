"""What of a watched call is the SDK's own time: a span and histogram values like a call's, without any of our code."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.trace import SpanKind, set_span_in_context

from benchmarks import scenes
from benchmarks.equal_work import NullExporter
from benchmarks.harness import Case, Line
from kaizen_semconv import gen_ai as g

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Tracer

    from benchmarks.equal_work import Work

_AT_START = {
    g.GEN_AI_OPERATION_NAME,
    g.GEN_AI_PROVIDER_NAME,
    g.GEN_AI_REQUEST_MODEL,
    g.GEN_AI_AGENT_NAME,
    g.SERVER_ADDRESS,
    g.SERVER_PORT,
}
"""Attributes that a call's span starts with; the others are set before it ends."""

SPAN = "the SDK's part: a span below another, with the attributes of a call, 6 at its start and the others at its end"
JOINED = "… on a provider that we joined, whose spans our processor sees"
HISTOGRAMS = "the SDK's part: three histogram values with the labels of a call, in the context of its span"

LINES = [Line(SPAN, SPAN), Line(JOINED, JOINED), Line(HISTOGRAMS, HISTOGRAMS)]


def cases() -> list[Case]:
    """What the lines are measured with."""
    attributes, labels = _of_a_call()
    tracer = scenes.tracer_provider().get_tracer("benchmark")
    joined = scenes.make_telemetry(metrics=False).providers.tracer
    if joined is None:
        raise RuntimeError("the provider was not joined")
    return [
        Case(SPAN, _spans(tracer, attributes), _below(tracer)),
        Case(JOINED, _spans(joined, attributes), _below(joined)),
        Case(HISTOGRAMS, _histograms(tracer, labels)),
    ]


def _of_a_call() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The attributes of a call's span and the labels of its three values, taken from a real one."""
    reader, exporter = InMemoryMetricReader(), NullExporter()
    provider = scenes.tracer_provider(exporter=exporter)
    telemetry = scenes.make_telemetry(tracer_provider=provider, meter_provider=MeterProvider([reader]))
    with scenes.watched_by(telemetry)():
        scenes.invocations(telemetry)(1)
        provider.force_flush()
        data = reader.get_metrics_data()
    if exporter.last is None or data is None:
        raise RuntimeError("nothing was recorded")
    metrics: Any = data.resource_metrics[0].scope_metrics[0].metrics
    points = [point for metric in metrics for point in metric.data.data_points if isinstance(point, HistogramDataPoint)]
    return dict(exporter.last.attributes or {}), [dict(point.attributes or {}) for point in points]


def _spans(tracer: Tracer, attributes: dict[str, Any]) -> Work:
    at_start = {key: value for key, value in attributes.items() if key in _AT_START}
    at_end = {key: value for key, value in attributes.items() if key not in _AT_START}

    def run(count: int) -> None:
        around = otel_context.get_current()
        for _ in range(count):
            span = tracer.start_span("chat gpt-4o", around, SpanKind.CLIENT, at_start)
            token = otel_context.attach(set_span_in_context(span, around))
            span.set_attributes(at_end)
            span.end()
            otel_context.detach(token)

    return run


def _below(tracer: Tracer) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def below() -> Iterator[None]:
        with tracer.start_as_current_span("invoke_agent desk"):
            yield

    return below


def _histograms(tracer: Tracer, labels: list[dict[str, Any]]) -> Work:
    meter = MeterProvider([InMemoryMetricReader()]).get_meter("benchmark")
    histograms = [meter.create_histogram(f"benchmark.histogram.{number}") for number in range(len(labels))]

    def run(count: int) -> None:
        context = set_span_in_context(tracer.start_span("chat gpt-4o"))
        for _ in range(count):
            for histogram, one in zip(histograms, labels, strict=True):
                histogram.record(1200, one, context)

    return run
