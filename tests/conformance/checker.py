"""Whether a signal is what the registry says: pure functions, one line for each breach.

Only signals of our own instrumentation scope are judged. The scope's schema URL says which version of the GenAI
conventions it follows; when it does not, a signal must follow one of them, and the breaches of the nearest are told.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.sdk.metrics.export import ExponentialHistogram, Gauge, Sum
from opentelemetry.trace import StatusCode

from kaizen_semconv import GEN_AI_SCHEMA_URLS, gen_ai, registry
from kaizen_semconv import attributes as own
from tests.conformance.values import check_attributes, check_value, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.sdk.metrics.export import Metric, MetricsData
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from kaizen_semconv.registry import MetricModel, Registry, SpanModel

SCOPE = "kaizen_otel"
EXCEPTION_KEYS = frozenset({"exception.type", "exception.message", "exception.stacktrace", "exception.escaped"})

# Where the one is, the other must be: conditions of the registry that a machine can judge.
_GO_TOGETHER = (
    (own.KAIZEN_USAGE_COST_AMOUNT, own.KAIZEN_USAGE_COST_CURRENCY),
    (gen_ai.SERVER_ADDRESS, gen_ai.SERVER_PORT),
    (own.KAIZEN_NODE_ID, own.KAIZEN_NODE_TYPE),
)
_PLACEHOLDER = re.compile(r"\{([^}]+)\}")


class LogRecord(Protocol):
    """The part of the SDK's (private) log record that is judged."""

    @property
    def event_name(self) -> str | None: ...
    @property
    def attributes(self) -> Mapping[str, Any] | None: ...


class EmittedLog(Protocol):
    """What a log record processor or exporter of the SDK is given."""

    @property
    def log_record(self) -> LogRecord: ...
    @property
    def instrumentation_scope(self) -> InstrumentationScope | None: ...


def check_span(span: ReadableSpan) -> list[str]:
    """All breaches of one ended span; none when it is not ours."""
    if not is_ours(span.instrumentation_scope):
        return []
    lines = _nearest(span.instrumentation_scope, partial(_span, span))
    return [f"span {span.name!r}: {line}" for line in lines]


def check_metrics(metrics_data: MetricsData) -> list[str]:
    """All breaches of one collection, each said once."""
    found: dict[str, None] = {}
    for metrics in metrics_data.resource_metrics:
        for scope_metrics in metrics.scope_metrics:
            if not is_ours(scope_metrics.scope):
                continue
            found |= dict.fromkeys(_resource(metrics.resource))
            for metric in scope_metrics.metrics:
                lines = _nearest(scope_metrics.scope, partial(_metric, metric))
                found |= dict.fromkeys(f"metric {metric.name}: {line}" for line in lines)
    return list(found)


def check_log(record: EmittedLog) -> list[str]:
    """All breaches of one log record; none when it is not ours."""
    if not is_ours(record.instrumentation_scope):
        return []
    name = record.log_record.event_name
    lines = _nearest(record.instrumentation_scope, partial(_event, record.log_record))
    return [f"event {name}: {line}" for line in lines]


def is_ours(scope: InstrumentationScope | None) -> bool:
    """Whether a signal comes from our instrumentation."""
    return scope is not None and scope.name == SCOPE


def span_model(attributes: Mapping[str, Any], model: Registry, kind: str) -> SpanModel | None:
    """Which span of the registry this is: by its operation, else by the attribute that only it has, then by its kind.

    A placeholder also has the attributes of the span that it stands for.
    """
    if own.KAIZEN_SPAN_PENDING in attributes:
        return next(span for span in model.spans.values() if span.marker == own.KAIZEN_SPAN_PENDING)
    operation = attributes.get(gen_ai.GEN_AI_OPERATION_NAME)
    fitting = [
        span
        for span in model.spans.values()
        if span.operation == operation and (span.operation is not None or span.marker in attributes)
    ]
    return next((span for span in fitting if span.kind == kind), fitting[0] if fitting else None)


def _nearest(scope: InstrumentationScope | None, judge: Callable[[Registry], Iterator[str]]) -> list[str]:
    url = scope.schema_url if scope is not None else None
    told = [version for version, known in GEN_AI_SCHEMA_URLS.items() if known == url]
    judged = (list(judge(registry.load(version))) for version in told or registry.versions())
    return min(judged, key=len)


def _span(span: ReadableSpan, model: Registry) -> Iterator[str]:
    attributes = span.attributes or {}
    definition = span_model(attributes, model, span.kind.name.lower())
    if definition is None:
        yield f"the registry has no such span (operation {attributes.get(gen_ai.GEN_AI_OPERATION_NAME)!r})"
        return
    if span.kind.name.lower() != definition.kind:
        yield f"kind is {span.kind.name}, not {definition.kind.upper()}"
    yield from _span_name(span.name, attributes, definition)
    yield from check_attributes(attributes, definition.attributes, model)
    yield from _span_status(span, attributes)
    for first, second in _GO_TOGETHER:
        if first in attributes and second in definition.attributes and second not in attributes:
            yield f"{first} is set and {second} is not"
    for event in span.events:
        unknown = sorted(set(event.attributes or {}) - EXCEPTION_KEYS)
        if own.KAIZEN_TRACE_NAME in attributes and event.name != "exception":
            continue  # the application's own
        if event.name != "exception" or unknown:
            yield f"unknown span event {event.name} {unknown}"
    if span.start_time is None or span.end_time is None or span.end_time < span.start_time:
        yield f"times are {span.start_time} to {span.end_time}"
    yield from _resource(span.resource)


def _span_name(name: str, attributes: Mapping[str, Any], definition: SpanModel) -> Iterator[str]:
    for template in definition.names:
        keys = _PLACEHOLDER.findall(template)
        if all(key in attributes for key in keys):
            wanted = _render(template, attributes)
            if name != wanted:
                yield f"name is not {wanted!r}"
            return
    yield f"none of the names {', '.join(definition.names)} can be made from its attributes"


def _render(template: str, attributes: Mapping[str, Any]) -> str:
    return _PLACEHOLDER.sub(lambda match: str(attributes[match[1]]), template)


def _span_status(span: ReadableSpan, attributes: Mapping[str, Any]) -> Iterator[str]:
    failed = span.status.status_code is StatusCode.ERROR
    if span.status.status_code is StatusCode.OK:
        yield "status is OK, which is for applications to set"
    if failed != (gen_ai.ERROR_TYPE in attributes):
        yield f"status is {span.status.status_code.name} and error.type is {attributes.get(gen_ai.ERROR_TYPE)!r}"
    ended = attributes.get(own.KAIZEN_EXECUTION_STATUS)
    if ended is not None and failed != (ended == own.KaizenExecutionStatus.ERROR):
        yield f"status is {span.status.status_code.name} and the execution's is {ended!r}"


def _resource(resource: Resource) -> Iterator[str]:
    """Keys that we put on resources are the same in all versions."""
    model = registry.load()
    for key in model.resource & resource.attributes.keys():
        for line in check_value(resource.attributes[key], model.attributes[key]):
            yield f"resource: {line}"


def _metric(metric: Metric, model: Registry) -> Iterator[str]:
    definition = model.metrics.get(metric.name)
    if definition is None:
        yield "the registry has no such metric"
        return
    if metric.unit != definition.unit:
        yield f"unit is {metric.unit!r}, not {definition.unit!r}"
    if not metric.description:
        yield "no description"
    instrument = _instrument(metric)
    if instrument != definition.instrument:
        yield f"it is a {instrument}, not a {definition.instrument}"
        return
    for point in metric.data.data_points:
        yield from check_attributes(point.attributes or {}, definition.attributes, model)
        yield from _point(point, definition)


def _instrument(metric: Metric) -> str:
    data = metric.data
    if isinstance(data, Sum):
        return "counter" if data.is_monotonic else "updowncounter"
    if isinstance(data, ExponentialHistogram):
        return "exponential histogram"
    return "gauge" if isinstance(data, Gauge) else "histogram"


def _point(point: Any, definition: MetricModel) -> Iterator[str]:
    wanted = int if definition.value_type == "int" else float
    is_histogram = definition.instrument == "histogram"
    if is_histogram and tuple(point.explicit_bounds) != definition.boundaries:
        yield f"edges are {point.explicit_bounds}"
    values: list[Any] = [point.min, point.max] if is_histogram else [point.value]
    for value in values:
        if type(value) is not wanted:
            yield f"value {value!r} is {type(value).__name__}, not {definition.value_type}"
        if not within(value, definition.limits):
            yield f"value {value!r} is outside {definition.limits}"


def _event(record: LogRecord, model: Registry) -> Iterator[str]:
    definition = model.events.get(record.event_name or "")
    if definition is None:
        yield "the registry has no such event"
        return
    yield from check_attributes(record.attributes or {}, definition.attributes, model)
