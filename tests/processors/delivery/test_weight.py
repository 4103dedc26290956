"""What an item weighs: its texts, wherever they are, and never an error."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.trace import Link, SpanContext

from kaizen_processors.export.weight import BASE_BYTES, log_weight, span_weight

LARGE = "x" * 1_000_000
CONTEXT = SpanContext(1, 2, is_remote=False)


@pytest.mark.parametrize(
    "parts",
    [
        {"attributes": {"a": LARGE}},
        {"attributes": {"a": ("short", LARGE)}},
        {"events": [Event("e", {"trace": LARGE})]},
        {"links": [Link(CONTEXT, {"a": LARGE})]},
    ],
)
def test_a_span_weighs_what_its_texts_weigh(parts: dict[str, Any]) -> None:
    assert 1_000_000 < span_weight(ReadableSpan("chat", CONTEXT, **parts)) < 1_010_000
    assert span_weight(ReadableSpan("chat", CONTEXT)) == BASE_BYTES


def test_a_span_of_the_sdk_weighs_the_same() -> None:
    span: Any = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("chat", attributes={"a": LARGE})
    span.add_event("e", {"b": LARGE})
    span.end()
    assert 2_000_000 < span_weight(span) < 2_010_000


@pytest.mark.parametrize(
    "parts",
    [
        {"body": LARGE},
        {"body": {"messages": [{"content": LARGE}]}},
        {"attributes": {"a": {"b": [LARGE]}}},
    ],
)
def test_a_log_record_weighs_what_its_texts_weigh(parts: dict[str, Any]) -> None:
    assert 1_000_000 < log_weight(ReadableLogRecord(LogRecord(**parts), Resource({}))) < 1_010_000


def test_a_value_in_a_circle_is_no_reason_to_hang() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert log_weight(ReadableLogRecord(LogRecord(body=circle), Resource({}))) == BASE_BYTES


@pytest.mark.parametrize("item", [None, 5, object()])
def test_what_is_no_item_weighs_something_all_the_same(item: Any) -> None:
    assert span_weight(item) == log_weight(item) == BASE_BYTES
