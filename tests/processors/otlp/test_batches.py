"""Batches grow item by item, say their size, and are cut before an item without encoding it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from kaizen_processors.export.accounts import DropReason
from kaizen_processors.export.otlp import (
    EncodedBatch,
    LogBatchEncoder,
    SpanBatchEncoder,
    encode_logs,
    encode_spans,
)
from tests.processors.otlp.oracle import assert_same_spans, decoded_logs, decoded_spans
from tests.processors.otlp.strategies import batches, small_log_records, small_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTEXT = SpanContext(1, 2, is_remote=False)
DESK, SHOP = Resource({"service.name": "desk"}), Resource({"service.name": "shop"})
SOME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def span(name: str, resource: Resource = DESK, scope: InstrumentationScope | None = None) -> ReadableSpan:
    return ReadableSpan(name, CONTEXT, resource=resource, instrumentation_scope=scope)


def cut_by_bytes(spans: Sequence[ReadableSpan], max_bytes: int) -> list[EncodedBatch]:
    encoder = SpanBatchEncoder()
    ended = [encoder.cut() for one in spans if encoder.add(one) > max_bytes and encoder.items > 1]
    return [*ended, encoder.finish()]


@SOME
@given(batches(small_spans))
def test_the_size_so_far_is_never_less_than_the_batch_and_hardly_more(spans: list[ReadableSpan]) -> None:
    encoder = SpanBatchEncoder()
    for count, one in enumerate(spans, 1):
        said = encoder.add(one)
        assert said == encoder.size_bytes
        assert encoder.items == count
        size = len(encode_spans(spans[:count]).payload)
        assert size <= said <= size + 12 * count


@SOME
@given(batches(small_log_records))
def test_the_size_so_far_holds_for_log_records(records: list[ReadableLogRecord]) -> None:
    encoder = LogBatchEncoder()
    for record in records:
        encoder.add(record)
    size = len(encode_logs(records).payload)
    assert size <= encoder.size_bytes <= size + 12 * len(records)


@SOME
@given(batches(small_spans), st.integers(0, 600))
def test_batches_cut_by_bytes_are_the_batches_of_the_same_spans(spans: list[ReadableSpan], max_bytes: int) -> None:
    parts = cut_by_bytes(spans, max_bytes)
    assert sum(part.items for part in parts) == len(spans)
    begin = 0
    for part in parts:
        end = begin + part.items
        assert part.payload == encode_spans(spans[begin:end]).payload
        assert part.items <= 1 or len(part.payload) <= max_bytes
        begin = end


def test_a_cut_leaves_no_empty_resource_or_scope_behind() -> None:
    encoder = SpanBatchEncoder()
    other = InstrumentationScope("other")
    for one in (span("a"), span("b", SHOP, other)):
        encoder.add(one)
    assert encoder.cut().payload == encode_spans([span("a")]).payload
    encoder.add(span("c", SHOP, other))
    assert encoder.finish().payload == encode_spans([span("b", SHOP, other), span("c", SHOP, other)]).payload


def test_cutting_a_batch_of_one_or_none_ends_an_empty_batch() -> None:
    encoder = SpanBatchEncoder()
    assert encoder.cut() == EncodedBatch(b"", 0)
    encoder.add(span("only"))
    assert encoder.cut() == EncodedBatch(b"", 0)
    assert encoder.finish() == encode_spans([span("only")])


def test_an_encoder_begins_anew_after_its_batch_has_ended() -> None:
    encoder = SpanBatchEncoder()
    encoder.add(span("a"))
    first = encoder.finish()
    assert (encoder.items, encoder.size_bytes) == (0, 0)
    assert encoder.finish() == EncodedBatch(b"", 0)
    encoder.add(span("a"))
    assert encoder.finish() == first


def test_items_that_were_dropped_are_told_once_with_the_batch_in_which_they_were() -> None:
    encoder = LogBatchEncoder()
    nothing = ReadableLogRecord(None, DESK)  # type: ignore[arg-type]  # none, on purpose
    before = encoder.add(ReadableLogRecord(LogRecord(body="a"), DESK))
    assert encoder.add(nothing) == before
    encoder.add(nothing)
    ended = encoder.finish()
    assert (ended.items, ended.dropped) == (1, {DropReason.ENCODING: 2})
    assert encoder.finish().dropped == {}


def test_resources_that_are_equal_but_not_the_same_are_one_group() -> None:
    twins = [Resource({"service.name": "desk"}), Resource({"service.name": "desk"})]
    scopes = [InstrumentationScope("s", "1"), InstrumentationScope("s", "1")]
    spans = [span(str(number), twins[number % 2], scopes[number // 2 % 2]) for number in range(8)]
    assert_same_spans(spans)
    assert [got.name for got in decoded_spans(encode_spans(spans))] == [str(number) for number in range(8)]


def test_a_resource_whose_place_in_memory_is_taken_by_another_is_not_mistaken_for_it() -> None:
    encoder = SpanBatchEncoder()
    for number in range(600):
        # Each dies at once, but for what the encoder holds: their ids would repeat.
        encoder.add(span("n", Resource({"host.name": f"h{number}"})))
    payload = encoder.finish().payload
    assert all(f"h{number}".encode() in payload for number in range(600))


@pytest.mark.parametrize("order", [(DESK, SHOP), (SHOP, DESK)])
def test_log_records_are_grouped_in_the_order_in_which_resources_come(order: tuple[Resource, Resource]) -> None:
    records = [ReadableLogRecord(LogRecord(body=str(number)), order[number % 2]) for number in range(4)]
    assert [got.body.string_value for got in decoded_logs(encode_logs(records))] == ["0", "2", "1", "3"]
