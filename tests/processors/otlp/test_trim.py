"""A span or log record that is too large loses its largest values, says so, and arrives."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from kaizen_processors.export.otlp import encode_logs, encode_spans, trimmed, trimmed_log
from tests.processors.otlp.oracle import decoded_logs, decoded_spans
from tests.processors.otlp.strategies import log_records, spans

CONTEXT = SpanContext(1, 2, is_remote=False)
RESOURCE = Resource({"service.name": "desk"})


def span(name: str = "chat", **parts: Any) -> ReadableSpan:
    return ReadableSpan(name, CONTEXT, resource=RESOURCE, **parts)


def log(body: Any, **parts: Any) -> ReadableLogRecord:
    return ReadableLogRecord(LogRecord(body=body, **parts), RESOURCE)


def keys(attributes: Any) -> list[str]:
    return [pair.key for pair in attributes]


def test_a_span_that_fits_stays_itself() -> None:
    small = span(attributes={"a": 1})
    assert trimmed(small, 1000) is small


def test_the_largest_attributes_go_first_and_are_counted() -> None:
    large = span(attributes={"a": 1, "prompt": "p" * 10_000, "b": "x" * 200, "answer": "q" * 5_000, "c": 2})
    (got,) = decoded_spans(encode_spans([trimmed(large, 6_000)]))
    assert (keys(got.attributes), got.dropped_attributes_count) == (["a", "b", "answer", "c"], 1)
    (got,) = decoded_spans(encode_spans([trimmed(large, 1_000)]))
    assert (keys(got.attributes), got.dropped_attributes_count) == (["a", "b", "c"], 2)


def test_values_of_events_and_links_go_like_those_of_the_span() -> None:
    large = span(
        attributes={"a": 1},
        events=[Event("exception", {"trace": "t" * 9_000, "type": "E"}, 5)],
        links=[Link(CONTEXT, {"large": "l" * 8_000, "small": 1})],
    )
    (got,) = decoded_spans(encode_spans([trimmed(large, 2_000)]))
    (event,), (link,) = got.events, got.links
    assert (keys(event.attributes), event.dropped_attributes_count, event.time_unix_nano) == (["type"], 1, 5)
    assert (keys(link.attributes), link.dropped_attributes_count) == (["small"], 1)
    assert (keys(got.attributes), got.dropped_attributes_count) == (["a"], 0)


def test_a_name_or_description_that_is_the_largest_is_cut_and_says_so() -> None:
    large = span("n" * 9_000, attributes={"a": "x" * 500}, status=Status(StatusCode.ERROR, "größer" * 2_000))
    (got,) = decoded_spans(encode_spans([trimmed(large, 4_000)]))
    assert keys(got.attributes) == ["a"]
    assert got.status.code == StatusCode.ERROR.value
    assert got.status.message.startswith("größer")
    assert "…[truncated " in got.status.message
    assert "…[truncated " in got.name


def test_events_and_links_go_when_values_are_not_enough() -> None:
    events = [Event(f"event {number:04} " + "e" * 100, {}, number) for number in range(200)]
    (got,) = decoded_spans(encode_spans([trimmed(span(events=events), 4_000)]))
    assert 0 < len(got.events) < 40
    assert got.dropped_events_count == 200 - len(got.events)
    links = [Link(CONTEXT) for _ in range(200)]
    (got,) = decoded_spans(encode_spans([trimmed(span(links=links), 4_000)]))
    assert got.dropped_links_count == 200 - len(got.links) > 0


def test_a_span_with_odd_parts_is_mended_as_well() -> None:
    attributes: dict[str, Any] = {"odd": Decimal(1), "prompt": "\ud800" * 9_000, "a": 1}
    (got,) = decoded_spans(encode_spans([trimmed(span("a\ud800", attributes=attributes), 2_000)]))
    assert (got.name, keys(got.attributes), got.dropped_attributes_count) == ("a\ufffd", ["a"], 2)


def test_a_resource_that_is_too_large_leaves_the_smallest_span() -> None:
    large = ReadableSpan("n", CONTEXT, resource=Resource({"huge": "h" * 5_000}), attributes={"a": 1})
    (got,) = decoded_spans(encode_spans([trimmed(large, 1_000)]))
    assert (got.name, keys(got.attributes), got.dropped_attributes_count) == ("n", [], 1)


@pytest.mark.parametrize("item", [None, 5, ReadableSpan("no context")])
def test_what_is_no_span_or_record_comes_back_as_it_is(item: Any) -> None:
    nothing: Any = item
    assert trimmed(nothing, 100) is item
    assert trimmed_log(nothing, 100) is item


def test_a_log_record_that_fits_stays_itself() -> None:
    small = log("text")
    assert trimmed_log(small, 1000) is small


def test_a_long_body_keeps_as_much_as_there_is_room_for() -> None:
    large = log("größer" * 2_000, attributes={"a": 1})
    batch = encode_logs([trimmed_log(large, 5_000)])
    (got,) = decoded_logs(batch)
    assert 4_800 < len(batch.payload) <= 5_000
    assert got.body.string_value.startswith("größer")
    assert "…[truncated " in got.body.string_value
    assert (keys(got.attributes), got.dropped_attributes_count) == (["a"], 0)


def test_a_large_body_that_is_no_text_is_named() -> None:
    large = log({"messages": ["m" * 100] * 100}, attributes={"a": 1}, event_name="e")
    (got,) = decoded_logs(encode_logs([trimmed_log(large, 1_000)]))
    assert (got.body.string_value, keys(got.attributes), got.event_name) == ("[object dict]", ["a"], "e")


def test_large_log_attributes_go_before_a_small_body() -> None:
    large = log("text", attributes={"prompt": "p" * 9_000, "a": 1})
    (got,) = decoded_logs(encode_logs([trimmed_log(large, 1_000)]))
    assert (got.body.string_value, keys(got.attributes), got.dropped_attributes_count) == ("text", ["a"], 1)


SOME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SOME
@given(spans(resources=st.just(RESOURCE), scopes=st.none()), st.integers(1_200, 20_000))
def test_any_span_fits_into_any_room(large: ReadableSpan, max_bytes: int) -> None:
    batch = encode_spans([trimmed(large, max_bytes)])
    assert batch.items == 1
    assert len(batch.payload) <= max_bytes
    if len(encode_spans([large]).payload) <= max_bytes - 12:
        assert batch == encode_spans([large])


@SOME
@given(log_records(resources=st.just(RESOURCE), scopes=st.none()), st.integers(1_200, 20_000))
def test_any_log_record_fits_into_any_room(large: ReadableLogRecord, max_bytes: int) -> None:
    batch = encode_logs([trimmed_log(large, max_bytes)])
    assert batch.items == 1
    assert len(batch.payload) <= max_bytes


@SOME
@given(spans(), st.integers(-5, 300))
def test_no_room_at_all_is_no_reason_to_raise(large: ReadableSpan, max_bytes: int) -> None:
    assert encode_spans([trimmed(large, max_bytes)]).items == 1
