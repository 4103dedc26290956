"""A span or log record that is too large loses the ends of its texts, then its largest parts, says so, and arrives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from kaizen_processors.export.otlp import EncodedBatch, encode_logs, encode_spans
from kaizen_processors.export.otlp.trim import _drop_largest, _parts, trimmed
from kaizen_processors.export.otlp.values import MAX_TEXT_CHARS
from tests.processors.otlp.oracle import decoded_logs, decoded_spans
from tests.processors.otlp.strategies import log_records, spans

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTEXT = SpanContext(1, 2, is_remote=False)
RESOURCE = Resource({"service.name": "desk"})


def span(name: str = "chat", **parts: Any) -> ReadableSpan:
    return ReadableSpan(name, CONTEXT, resource=RESOURCE, **parts)


def log(body: Any, **parts: Any) -> ReadableLogRecord:
    return ReadableLogRecord(LogRecord(body=body, **parts), RESOURCE)


def keys(attributes: Any) -> list[str]:
    return [pair.key for pair in attributes]


def trimmed_span(large: ReadableSpan, max_bytes: int) -> Any:
    payload = trimmed(encode_spans([large]).payload, "traces", max_bytes)
    (got,) = decoded_spans(EncodedBatch(payload, 1))
    return got


def trimmed_log(large: ReadableLogRecord, max_bytes: int) -> Any:
    payload = trimmed(encode_logs([large]).payload, "logs", max_bytes)
    (got,) = decoded_logs(EncodedBatch(payload, 1))
    return got


def texts(attributes: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in attributes}


def test_what_fits_stays_as_it_is() -> None:
    small = encode_spans([span(attributes={"a": 1})]).payload
    assert trimmed(small, "traces", 1000) is small


def test_the_longest_texts_are_cut_to_one_length_and_say_so() -> None:
    large = span(attributes={"a": 1, "prompt": "größer" * 2_000, "b": "x" * 200, "answer": "q" * 5_000, "c": 2})
    payload = trimmed(encode_spans([large]).payload, "traces", 6_000)
    (got,) = decoded_spans(EncodedBatch(payload, 1))
    kept = texts(got.attributes)
    assert 5_800 < len(payload) <= 6_000
    assert (keys(got.attributes), got.dropped_attributes_count) == (["a", "prompt", "b", "answer", "c"], 0)
    assert kept["prompt"].startswith("größer" * 200)
    assert kept["answer"].startswith("q" * 2_000)
    assert "…[truncated " in kept["prompt"]
    assert "…[truncated " in kept["answer"]
    assert kept["b"] == "x" * 200


def test_a_text_that_was_cut_before_says_how_much_is_missing_of_the_whole() -> None:
    whole = MAX_TEXT_CHARS + 5
    large = span(attributes={"text": "x" * whole, "list": ("x" * whole,), "bool": True})
    once = encode_spans([large]).payload
    assert len(once) < 2 * MAX_TEXT_CHARS + 1_000
    (got,) = decoded_spans(EncodedBatch(trimmed(once, "traces", 6_000), 1))
    said = texts(got.attributes)["text"]
    kept = said.index("…")
    assert said == "x" * kept + f"…[truncated {whole - kept} characters]"
    assert got.dropped_attributes_count == 0
    (record,) = decoded_logs(encode_logs([log("y" * whole)]))
    assert record.body.string_value.endswith("y…[truncated 53 characters]")


def test_texts_in_events_links_lists_and_maps_are_cut_like_those_of_the_span() -> None:
    large = span(
        attributes={"a": 1, "list": ["l" * 9_000, "short"]},
        events=[Event("exception", {"trace": "t" * 9_000, "type": "E"}, 5)],
        links=[Link(CONTEXT, {"large": "l" * 8_000, "small": 1})],
    )
    got = trimmed_span(large, 4_000)
    (event,), (link,) = got.events, got.links
    assert (keys(event.attributes), keys(link.attributes), keys(got.attributes)) == (
        ["trace", "type"], ["large", "small"], ["a", "list"],
    )  # fmt: skip
    assert "…[truncated " in texts(event.attributes)["trace"]
    assert got.dropped_attributes_count + event.dropped_attributes_count + link.dropped_attributes_count == 0
    assert event.time_unix_nano == 5


def test_the_largest_attributes_go_when_texts_are_not_enough_and_are_counted() -> None:
    large = span(attributes={f"key{number}": number for number in range(300)} | {"numbers": list(range(500)), "z": 1})
    got = trimmed_span(large, 6_000)
    assert (keys(got.attributes), got.dropped_attributes_count) == (
        [f"key{number}" for number in range(300)] + ["z"], 1,
    )  # fmt: skip
    got = trimmed_span(large, 1_000)
    assert 50 < len(got.attributes) < 80
    assert len(got.attributes) + got.dropped_attributes_count == 302


class Looked(list[Any]):
    """Counts how many of its items have been looked at."""

    looked = 0

    def __iter__(self) -> Iterator[Any]:
        for one in super().__iter__():
            self.looked += 1
            yield one


def test_a_hundred_thousand_attributes_are_looked_at_once() -> None:
    attributes = Looked(KeyValue(key="k" * (number * 37 % 100)) for number in range(1_000))
    owner = SimpleNamespace(dropped=0)
    parts = list(_parts(owner, attributes, "dropped"))
    _drop_largest(parts, sum(part.size_bytes for part in parts) // 2)
    assert attributes.looked == 1_000  # once for each that goes would be minutes, and the interpreter held
    assert owner.dropped == 1_000 - len(attributes)
    assert max(len(one.key) for one in attributes) == 69


def test_a_name_or_description_is_a_text_like_any_other() -> None:
    large = span("n" * 9_000, attributes={"a": "x" * 500}, status=Status(StatusCode.ERROR, "größer" * 2_000))
    got = trimmed_span(large, 4_000)
    assert texts(got.attributes) == {"a": "x" * 500}
    assert got.status.code == StatusCode.ERROR.value
    assert got.status.message.startswith("größer")
    assert "…[truncated " in got.status.message
    assert "…[truncated " in got.name


def test_events_and_links_go_when_values_are_not_enough() -> None:
    events = [Event(f"event {number:04} " + "e" * 100, {}, number) for number in range(200)]
    got = trimmed_span(span(events=events), 4_000)
    assert 0 < len(got.events) < 40
    assert got.dropped_events_count == 200 - len(got.events)
    got = trimmed_span(span(links=[Link(CONTEXT) for _ in range(200)]), 4_000)
    assert got.dropped_links_count == 200 - len(got.links) > 0


def test_a_resource_that_is_too_large_leaves_the_smallest_span() -> None:
    large = ReadableSpan("n", CONTEXT, resource=Resource({"huge": "h" * 5_000}), attributes={"a": 1})
    got = trimmed_span(large, 1_000)
    assert (got.name, keys(got.attributes), got.dropped_attributes_count) == ("n", [], 1)


def test_a_long_body_keeps_as_much_as_there_is_room_for() -> None:
    large = log("größer" * 2_000, attributes={"a": 1})
    payload = trimmed(encode_logs([large]).payload, "logs", 5_000)
    (got,) = decoded_logs(EncodedBatch(payload, 1))
    assert 4_800 < len(payload) <= 5_000
    assert got.body.string_value.startswith("größer")
    assert "…[truncated " in got.body.string_value
    assert (keys(got.attributes), got.dropped_attributes_count) == (["a"], 0)


def test_a_large_body_of_many_small_values_is_named() -> None:
    large = log({"messages": ["m" * 100] * 100}, attributes={"a": 1}, event_name="e")
    got = trimmed_log(large, 1_000)
    assert (got.body.string_value, got.event_name) == ("[object map]", "e")


def test_a_long_text_in_an_attribute_of_a_log_is_cut_and_a_small_body_stays() -> None:
    got = trimmed_log(log("text", attributes={"prompt": "p" * 9_000, "a": 1}), 1_000)
    assert (got.body.string_value, keys(got.attributes), got.dropped_attributes_count) == ("text", ["prompt", "a"], 0)


SOME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SOME
@given(spans(resources=st.just(RESOURCE), scopes=st.none()), st.integers(1_200, 20_000))
def test_any_span_fits_into_any_room(large: ReadableSpan, max_bytes: int) -> None:
    whole = encode_spans([large]).payload
    payload = trimmed(whole, "traces", max_bytes)
    assert len(payload) <= max_bytes
    (got,) = decoded_spans(EncodedBatch(payload, 1))
    (before,) = decoded_spans(EncodedBatch(whole, 1))
    assert (got.trace_id, got.span_id, got.start_time_unix_nano) == (
        before.trace_id, before.span_id, before.start_time_unix_nano,
    )  # fmt: skip
    assert (
        len(got.attributes) + got.dropped_attributes_count == len(before.attributes) + before.dropped_attributes_count
    )


@SOME
@given(log_records(resources=st.just(RESOURCE), scopes=st.none()), st.integers(1_200, 20_000))
def test_any_log_record_fits_into_any_room(large: ReadableLogRecord, max_bytes: int) -> None:
    payload = trimmed(encode_logs([large]).payload, "logs", max_bytes)
    assert len(payload) <= max_bytes
    assert len(decoded_logs(EncodedBatch(payload, 1))) == 1


@SOME
@given(spans(), st.integers(-5, 300))
def test_no_room_at_all_is_no_reason_to_raise(large: ReadableSpan, max_bytes: int) -> None:
    trimmed_span(large, max_bytes)
