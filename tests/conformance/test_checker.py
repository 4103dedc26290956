"""The checker itself: it passes what conforms and names each thing that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Histogram
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind, Status, StatusCode

from kaizen_semconv import SCHEMA_URL
from kaizen_semconv import metrics as m
from kaizen_semconv.attributes import KaizenUsageCostSource
from tests.conformance.checker import check_log, check_metrics, check_span
from tests.conformance.samples import AGENT, CHAT, NODE, Log, Record, collect, evaluation, exception, scope, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.metrics.export import MetricsData

    from kaizen_semconv.metrics import MetricDefinition


@pytest.mark.parametrize("attributes", [CHAT, AGENT, NODE], ids=["chat", "invoke_agent", "node"])
def test_a_span_as_the_registry_wants_it_passes(attributes: dict[str, Any]) -> None:
    assert check_span(span(attributes)) == []


def test_a_failed_span_with_its_exception_passes() -> None:
    assert (
        check_span(span(CHAT | {"error.type": "429"}, events=[exception(**{"exception.message": "slow down"})])) == []
    )


def test_a_span_without_what_its_name_is_made_of_may_have_the_shorter_name() -> None:
    attributes = {key: value for key, value in CHAT.items() if key != "gen_ai.request.model"}
    assert check_span(span(attributes, name="chat")) == []


def test_spans_of_other_scopes_are_not_judged() -> None:
    assert check_span(span({"anything": 1}, instrumentation_scope=scope(name="httpx"))) == []
    assert check_span(span({"anything": 1}, instrumentation_scope=None)) == []


def test_an_enum_member_is_the_string_it_is() -> None:
    assert check_span(span(CHAT | {"kaizen.usage.cost.source": KaizenUsageCostSource.OVERRIDE})) == []


def test_an_open_enum_takes_other_values() -> None:
    assert check_span(span(CHAT | {"gen_ai.provider.name": "ollama"})) == []


WRONG_ATTRIBUTES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "unknown": (CHAT, {"kaizen.nowhere": 1}, "unknown attribute kaizen.nowhere"),
    "of another span": (CHAT, {"gen_ai.tool.name": "x"}, "attribute gen_ai.tool.name does not belong here"),
    "int where double is declared": (
        CHAT,
        {"kaizen.usage.cost.amount": 1},
        "attribute kaizen.usage.cost.amount is int, not double: 1",
    ),
    "double where int is declared": (
        CHAT,
        {"gen_ai.usage.input_tokens": 12.0},
        "attribute gen_ai.usage.input_tokens is float, not int: 12.0",
    ),
    "boolean where int is declared": (
        CHAT,
        {"gen_ai.usage.input_tokens": True},
        "attribute gen_ai.usage.input_tokens is bool, not int: True",
    ),
    "number where string is declared": (
        CHAT,
        {"gen_ai.response.id": 7},
        "attribute gen_ai.response.id is int, not string",
    ),
    "string where boolean is declared": (
        AGENT,
        {"kaizen.execution.cost.complete": "yes"},
        "attribute kaizen.execution.cost.complete is str, not boolean",
    ),
    "string where an array is declared": (
        CHAT,
        {"gen_ai.response.finish_reasons": "stop"},
        "attribute gen_ai.response.finish_reasons is 'stop', not string[]",
    ),
    "array of other items": (CHAT, {"kaizen.tags": (1, 2)}, "attribute kaizen.tags is (1, 2), not string[]"),
    "no member of its enum": (
        CHAT,
        {"kaizen.usage.cost.source": "guess"},
        "attribute kaizen.usage.cost.source is 'guess', none of genai-prices, override, provider, unknown",
    ),
    "outside its range": (AGENT, {"kaizen.confidence": 1.5}, "attribute kaizen.confidence is 1.5, outside"),
    "not a number": (AGENT, {"kaizen.confidence": float("nan")}, "attribute kaizen.confidence is nan, outside"),
    "unlike its pattern": (
        AGENT,
        {"kaizen.execution.id": "7"},
        "attribute kaizen.execution.id is '7', which does not match",
    ),
    "an address without its port": (
        {key: value for key, value in CHAT.items() if key != "server.port"},
        {},
        "server.address is set and server.port is not",
    ),
    "a cost without its currency": (
        {key: value for key, value in CHAT.items() if key != "kaizen.usage.cost.currency"},
        {},
        "kaizen.usage.cost.amount is set and kaizen.usage.cost.currency is not",
    ),
    "required and missing": (
        {key: value for key, value in AGENT.items() if key != "kaizen.execution.id"},
        {},
        "required attribute kaizen.execution.id is missing",
    ),
}


@pytest.mark.parametrize("case", WRONG_ATTRIBUTES.values(), ids=WRONG_ATTRIBUTES)
def test_a_wrong_attribute_is_the_one_breach(case: tuple[dict[str, Any], dict[str, Any], str]) -> None:
    attributes, wrong, message = case
    (line,) = check_span(span(attributes | wrong))
    assert message in line


WRONG_SPANS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "kind": (CHAT, {"kind": SpanKind.INTERNAL}, "kind is INTERNAL, not CLIENT"),
    "name": (CHAT, {"name": "ChatCompletion"}, "span 'ChatCompletion': name is not 'chat gpt-4o'"),
    "the shorter name though the longer can be made": (CHAT, {"name": "chat"}, "name is not 'chat gpt-4o'"),
    "event": (
        CHAT,
        {"events": [exception(**{"exception.mood": "bad"})]},
        "unknown span event exception ['exception.mood']",
    ),
    "status": (CHAT, {"status": Status(StatusCode.OK)}, "status is OK, which is for applications to set"),
    "error without its type": (CHAT, {"status": Status(StatusCode.ERROR)}, "status is ERROR and error.type is None"),
    "type without an error": (
        CHAT | {"error.type": "429"},
        {"status": Status(StatusCode.UNSET)},
        "status is UNSET and error.type is '429'",
    ),
    "a failed span of an execution that succeeded": (
        AGENT | {"error.type": "ValueError"},
        {},
        "status is ERROR and the execution's is 'success'",
    ),
    "never ended": (CHAT, {"end_time": None}, "times are 1 to None"),
    "ended before it began": (CHAT, {"end_time": 0}, "times are 1 to 0"),
    "resource": (
        CHAT,
        {"resource": Resource({"deployment.environment.name": 7})},
        "resource: attribute deployment.environment.name is int, not string",
    ),
}


@pytest.mark.parametrize("case", WRONG_SPANS.values(), ids=WRONG_SPANS)
def test_a_wrong_span_has_one_breach(case: tuple[dict[str, Any], dict[str, Any], str]) -> None:
    attributes, changes, message = case
    (line,) = check_span(span(attributes, **changes))
    assert message in line


@pytest.mark.parametrize(
    "attributes", [{}, {"gen_ai.operation.name": "text_completion"}, {"kaizen.node.id": "summarize"}]
)
def test_a_span_that_the_registry_does_not_know_is_a_breach(attributes: dict[str, Any]) -> None:
    (line,) = check_span(span(attributes))
    assert "the registry has no such span" in line


def test_a_span_whose_name_cannot_be_made_says_so() -> None:
    attributes = {key: value for key, value in AGENT.items() if key != "gen_ai.agent.name"}
    lines = check_span(span(attributes))
    assert any("none of the names invoke_agent {gen_ai.agent.name} can be made" in line for line in lines)


def test_the_schema_url_says_which_version_is_asked_for() -> None:
    later = CHAT | {"gen_ai.usage.cache_write.input_tokens": 4, "gen_ai.request.top_k": 40}
    del later["gen_ai.usage.cache_creation.input_tokens"]
    assert check_span(span(later, instrumentation_scope=scope(42))) == []
    assert len(check_span(span(later, instrumentation_scope=scope(41)))) == 2
    assert len(check_span(span(CHAT, instrumentation_scope=scope(42)))) == 2


@pytest.mark.parametrize("url", [None, SCHEMA_URL])
def test_without_such_an_url_a_span_must_follow_one_version_and_not_a_mixture(url: str | None) -> None:
    later = CHAT | {"gen_ai.usage.cache_write.input_tokens": 4, "gen_ai.request.top_k": 40}
    untold = type(scope())("kaizen_otel", "1.0", url)
    assert len(check_span(span(later, instrumentation_scope=untold))) == 1
    del later["gen_ai.usage.cache_creation.input_tokens"]
    assert check_span(span(later, instrumentation_scope=untold)) == []
    assert check_span(span(CHAT, instrumentation_scope=untold)) == []


LABELS = {"agent_name": "researcher", "model": "gpt-4o"}


def _observed(
    value: float, labels: dict[str, str], definition: MetricDefinition = m.KAIZEN_COST_USD, unit: str | None = None
) -> MetricsData:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value, labels)]

    def record(meter: Meter) -> None:
        meter.create_observable_counter(definition.name, [observe], unit or definition.unit, definition.description)

    return collect(record)


def _recorded(
    value: float, labels: dict[str, str], edges: tuple[float, ...] = m.KAIZEN_EXECUTION_DURATION.boundaries
) -> MetricsData:
    definition = m.KAIZEN_EXECUTION_DURATION

    def record(meter: Meter) -> None:
        histogram = meter.create_histogram(
            definition.name, definition.unit, definition.description, explicit_bucket_boundaries_advisory=edges
        )
        histogram.record(value, labels)

    return collect(record)


def test_metrics_as_the_registry_wants_them_pass() -> None:
    assert check_metrics(_observed(0.01, LABELS)) == []
    assert check_metrics(_recorded(1.5, LABELS)) == []


def test_metrics_of_other_scopes_are_not_judged() -> None:
    assert check_metrics(collect(lambda meter: meter.create_counter("x").add(1), name="app")) == []


WRONG_METRICS: dict[str, tuple[Callable[[], MetricsData], str]] = {
    "unit": (lambda: _observed(0.01, LABELS, unit="USD"), "metric kaizen.cost.usd: unit is 'USD', not '{USD}'"),
    "int counted where double is declared": (lambda: _observed(1, LABELS), "value 1 is int, not double"),
    "double counted where int is declared": (
        lambda: _observed(1.0, {"model": "m", "reason": "usage"}, m.KAIZEN_USAGE_MISSING),
        "value 1.0 is float, not int",
    ),
    "unknown key": (lambda: _observed(0.01, LABELS | {"user": "u"}), "unknown attribute user"),
    "key of another metric": (
        lambda: _observed(0.01, LABELS | {"status": "error"}),
        "attribute status does not belong here",
    ),
    "missing key": (lambda: _observed(0.01, {"model": "gpt-4o"}), "required attribute agent_name is missing"),
    "no member of its enum": (
        lambda: _observed(1, {"model": "m", "reason": "mood"}, m.KAIZEN_USAGE_MISSING),
        "attribute reason is 'mood', none of currency, model, price, usage",
    ),
    "outside its range": (lambda: _observed(-0.01, LABELS), "value -0.01 is outside"),
    "edges": (lambda: _recorded(1.5, LABELS, (1.0, 2.0)), "edges are (1.0, 2.0)"),
    "a gauge where a counter is declared": (
        lambda: collect(lambda meter: meter.create_gauge("kaizen.cost.usd", "{USD}", "d").set(0.01, LABELS)),
        "it is a gauge, not a counter",
    ),
    "an up-down counter where a counter is declared": (
        lambda: collect(lambda meter: meter.create_up_down_counter("kaizen.cost.usd", "{USD}", "d").add(0.01, LABELS)),
        "it is a updowncounter, not a counter",
    ),
    "no description": (
        lambda: collect(lambda meter: meter.create_counter("kaizen.cost.usd", "{USD}").add(0.01, LABELS)),
        "no description",
    ),
    "unknown": (
        lambda: collect(lambda meter: meter.create_counter("kaizen.mood").add(1)),
        "metric kaizen.mood: the registry has no such metric",
    ),
    "exponential buckets": (
        lambda: collect(
            lambda meter: meter.create_histogram("kaizen.execution.duration", "s", "d").record(1.5, LABELS),
            views=[View(instrument_type=Histogram, aggregation=ExponentialBucketHistogramAggregation())],
        ),
        "it is a exponential histogram, not a histogram",
    ),
    "resource": (
        lambda: collect(
            lambda meter: meter.create_counter("kaizen.cost.usd", "{USD}", "d").add(0.01, LABELS),
            resource=Resource({"deployment.environment.name": 7}),
        ),
        "resource: attribute deployment.environment.name is int",
    ),
}


@pytest.mark.parametrize("case", WRONG_METRICS.values(), ids=WRONG_METRICS)
def test_a_wrong_metric_has_one_breach(case: tuple[Callable[[], MetricsData], str]) -> None:
    make, message = case
    (line,) = check_metrics(make())
    assert message in line


def test_a_histogram_of_whole_numbers_where_seconds_are_declared_is_a_breach() -> None:
    assert check_metrics(_recorded(1, LABELS)) == ["metric kaizen.execution.duration: value 1 is int, not double"]


def test_events_as_the_registry_wants_them_pass() -> None:
    assert check_log(evaluation()) == []
    assert check_log(evaluation(**{"kaizen.execution.id": "0af7651916cd43dd8448eb211c80319c"})) == []


def test_an_event_that_the_sdk_made_is_judged_like_any_other() -> None:
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger("kaizen_otel").emit(event_name="gen_ai.evaluation.result", attributes={"mood": "good"})
    (record,) = exporter.get_finished_logs()
    assert check_log(record) == [
        "event gen_ai.evaluation.result: unknown attribute mood",
        "event gen_ai.evaluation.result: required attribute gen_ai.evaluation.name is missing",
    ]


def test_records_of_other_scopes_are_not_judged() -> None:
    assert check_log(Log(Record(None, {"x": 1}), scope(name="app"))) == []


WRONG_LOGS = {
    "unknown event": (Log(Record("kaizen.mood", {})), "event kaizen.mood: the registry has no such event"),
    "no event": (Log(Record(None, {})), "the registry has no such event"),
    "missing key": (
        Log(Record("gen_ai.evaluation.result", {})),
        "required attribute gen_ai.evaluation.name is missing",
    ),
    "int score": (
        evaluation(**{"gen_ai.evaluation.score.value": 1}),
        "gen_ai.evaluation.score.value is int, not double",
    ),
    "unknown key": (evaluation(mood="good"), "unknown attribute mood"),
}


@pytest.mark.parametrize("case", WRONG_LOGS.values(), ids=WRONG_LOGS)
def test_a_wrong_event_has_one_breach(case: tuple[Log, str]) -> None:
    record, message = case
    (line,) = check_log(record)
    assert message in line
