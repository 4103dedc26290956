"""Whatever the official encoder accepts, we encode to the same bytes."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, StatusCode, set_span_in_context

from kaizen_processors.export.otlp import encode_spans, values
from kaizen_processors.export.otlp import spans as spans_module
from kaizen_processors.export.otlp.owners import resource_owner
from tests.processors.otlp.oracle import assert_same_logs, assert_same_spans
from tests.processors.otlp.strategies import (
    ATTRIBUTES,
    CONTEXTS,
    EDGES,
    TEXT,
    VALUES,
    batches,
    log_records,
    small_log_records,
    small_spans,
    spans,
)

RESOURCE = Resource({"service.name": "desk"})
THOROUGH = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def span_with(**attributes: Any) -> ReadableSpan:
    return ReadableSpan("chat", SpanContext(1, 2, is_remote=False), attributes=attributes, resource=RESOURCE)


def logging_to_memory() -> tuple[LoggerProvider, InMemoryLogRecordExporter]:
    provider = LoggerProvider(resource=RESOURCE)
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK's
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    return provider, exporter


@THOROUGH
@given(spans())
def test_any_span(span: ReadableSpan) -> None:
    assert_same_spans([span])


@THOROUGH
@given(batches(small_spans))
def test_any_batch_of_spans_keeps_the_order_of_resources_and_scopes(batch: list[ReadableSpan]) -> None:
    assert_same_spans(batch)


@THOROUGH
@given(log_records())
def test_any_log_record(record: ReadableLogRecord) -> None:
    assert_same_logs([record])


@THOROUGH
@given(batches(small_log_records))
def test_any_batch_of_log_records_keeps_the_order_of_resources_and_scopes(batch: list[ReadableLogRecord]) -> None:
    assert_same_logs(batch)


@settings(THOROUGH, max_examples=40)  # the SDK logs each thing that it drops
@given(
    name=TEXT,
    attributes=ATTRIBUTES,
    late=st.dictionaries(TEXT.filter(bool), VALUES, max_size=8),
    parent=st.none() | CONTEXTS,
    links=st.lists(CONTEXTS, max_size=4),
    events=st.lists(st.tuples(TEXT, ATTRIBUTES), max_size=4),
    message=st.none() | TEXT,
)
def test_any_span_that_the_sdk_made(**drawn: Any) -> None:
    limits = SpanLimits(max_span_attributes=5, max_events=2, max_links=2, max_event_attributes=2, max_link_attributes=2)
    tracer = TracerProvider(resource=RESOURCE, span_limits=limits).get_tracer("desk", "1.2", "https://x.test/1")
    context = set_span_in_context(NonRecordingSpan(drawn["parent"])) if drawn["parent"] else None
    links = [Link(linked, {"a": 1, "b": 2, "c": 3}) for linked in drawn["links"]]
    span = tracer.start_span(drawn["name"], context, SpanKind.CLIENT, drawn["attributes"], links)
    span.set_attributes(drawn["late"])
    for name, attributes in drawn["events"]:
        span.add_event(name, attributes)
    span.record_exception(ValueError(drawn["message"]))
    span.set_status(StatusCode.ERROR, drawn["message"])
    assert isinstance(span, ReadableSpan)
    assert_same_spans([span])
    span.end()
    assert_same_spans([span])


@pytest.mark.parametrize("kind", SpanKind)
def test_every_kind_of_span(kind: SpanKind) -> None:
    assert_same_spans([ReadableSpan("n", SpanContext(1, 2, is_remote=False), kind=kind, resource=RESOURCE)])


@pytest.mark.parametrize("number", EDGES)
def test_integers_at_the_edges_of_their_lengths(number: int) -> None:
    assert_same_spans([span_with(k=number), span_with(k=[number])])


@pytest.mark.parametrize("size", [0, 1, 79, 80, 124, 125, 127, 128, 4079, 4080, 4095, 4096, 16383, 16384, 2**21])
def test_texts_at_the_edges_of_their_lengths(size: int) -> None:
    span = span_with(k="x" * size)
    span._name = "n" * size
    assert_same_spans([span, span])


@pytest.mark.parametrize("number", [0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324])
def test_floats_that_are_easily_lost(number: float) -> None:
    assert_same_spans([span_with(k=number), span_with(k=(number, None))])


def test_equal_values_of_different_types_are_kept_apart() -> None:
    values: list[Any] = [1, True, 1.0, "1", (1,), (True,), (1.0,), ("1",), 0, False, 0.0, -0.0, "", (), None]
    assert_same_spans([span_with(k=value) for value in [*values, *reversed(values)]])


def test_a_key_with_many_values_is_encoded_like_one_with_few() -> None:
    assert_same_spans([span_with(id=f"id-{number}", n=number, s=(f"v{number}",)) for number in range(100)])


def test_more_keys_and_names_than_are_remembered() -> None:
    many = []
    for number in range(1500):
        span = span_with(**{f"key.{number}": "v"})
        span._name = f"name {number}"
        many.append(span)
    assert_same_spans([*many, *many[:10]])


def test_what_is_remembered_is_bounded() -> None:
    for number in range(3000):
        span = span_with(**{f"bounded.{number}": "v", "many": f"v{number}", "long": "x" * number})
        span._name = f"bounded {number}"
        encode_spans([span])
    assert len(values._keys) <= values._MAX_KEYS
    assert len(spans_module._names) <= spans_module._MAX_NAMES
    for key in ("many", "long"):
        assert len(values._keys[key]) <= values._MAX_VALUES_PER_KEY
        assert len(values._keys[key]._before_text) <= values._MAX_LENGTHS_PER_KEY


def test_more_resources_than_are_remembered() -> None:
    context = SpanContext(1, 2, is_remote=False)
    many = [ReadableSpan("n", context, resource=Resource({"host.name": f"h{number}"})) for number in range(300)]
    assert_same_spans([*many, *many[:10]])
    assert resource_owner(RESOURCE) is resource_owner(RESOURCE)
    assert len(resource_owner._known) <= 256


@pytest.mark.parametrize("depth", [1, 20, 30])
def test_values_that_nest_deep(depth: int) -> None:
    lists: Any = "x"
    mappings: Any = "x"
    for _ in range(depth):
        lists, mappings = [lists], {"k": mappings}
    assert_same_spans([span_with(lists=lists, mappings=mappings)])


@pytest.mark.parametrize("number", [0, 1, 24, 25, 300, -1, -(2**31), 2**31 - 1])
def test_any_number_of_a_severity(number: int) -> None:
    record = LogRecord(body="text")
    record.severity_number = SimpleNamespace(value=number)  # type: ignore[assignment]  # of another library
    assert_same_logs([ReadableLogRecord(record, RESOURCE)])


def test_no_spans_and_no_log_records() -> None:
    assert_same_spans([])
    assert_same_logs([])


def test_a_log_record_of_the_sdk_with_an_exception_and_a_span() -> None:
    provider, exporter = logging_to_memory()
    logger = provider.get_logger("desk", "1", "https://x.test/1", {"a": "b"})
    context = set_span_in_context(NonRecordingSpan(SpanContext(5, 6, is_remote=False)))
    body = {"message": "größer", "list": [1, None, b"\x00", 0.5, {"deep": True}]}
    try:
        raise ValueError("broken")  # noqa: TRY301 - the traceback is what the SDK writes
    except ValueError as error:
        logger.emit(
            context=context, body=body, event_name="event", exception=error, severity_number=SeverityNumber.ERROR
        )
    logger.emit(LogRecord(body=None))
    assert_same_logs(list(exporter.get_finished_logs()))


def test_log_attributes_that_the_sdk_dropped_are_counted() -> None:
    provider, exporter = logging_to_memory()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        provider.get_logger("desk").emit(attributes={str(number): number for number in range(200)})
    (finished,) = exporter.get_finished_logs()
    assert finished.dropped_attributes == 200 - 128
    assert_same_logs([finished])
