"""What the official encoder does not accept: it never costs more than itself, and what is missing is counted."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as official_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

from kaizen_processors.export.accounts import DropReason
from kaizen_processors.export.otlp import encode_logs, encode_spans
from tests.processors.otlp.oracle import decoded_logs, decoded_spans
from tests.processors.otlp.strategies import KEYS, LEAVES, log_records, spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

CONTEXT = SpanContext(1, 2, is_remote=False)
RESOURCE = Resource({"service.name": "desk"})
LONE = "a\ud800b"
OTHER = "a\udfffb"
MENDED = "a\ufffdb"


class Broken:
    """An object of the application that raises whatever is asked of it, but for its class: pytest asks for that."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return object.__getattribute__(self, name)
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    def __iter__(self) -> NoReturn:
        raise RuntimeError("iter")


class Hostile(Broken):
    def __getattribute__(self, name: str) -> NoReturn:
        raise RuntimeError(name)


class BrokenList(list[int]):
    def __iter__(self) -> Iterator[int]:
        raise RuntimeError("iter")


def span(name: Any = "chat", **parts: Any) -> ReadableSpan:
    known: dict[str, Any] = {"context": CONTEXT, "resource": RESOURCE}
    return ReadableSpan(name, **(known | parts))


def nested(depth: int, *, mapping: bool = False) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"k": value} if mapping else [value]
    return value


def self_referential() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


def wide() -> Any:
    """A value of a few lists that share their entries: 10^9 of them, were it written out."""
    value: Any = [0] * 10
    for _ in range(8):
        value = [value] * 10
    return value


def sent(*items: ReadableSpan) -> list[Span]:
    """Encode spans between two plain ones, and give them as the receiver reads them."""
    batch = encode_spans([span("before"), *items, span("after")])
    spans = decoded_spans(batch)
    assert (spans[0].name, spans[-1].name) == ("before", "after"), "the other spans of the batch arrive"
    assert (batch.items, batch.dropped) == (len(items) + 2, {})
    return spans[1:-1]


def values(attributes: Any) -> dict[str, AnyValue]:
    pairs: list[KeyValue] = list(attributes)
    return {pair.key: pair.value for pair in pairs}


# -- texts ----------------------------------------------------------------------------------------------------------


def test_lone_surrogates_anywhere_in_a_span_become_replacement_characters() -> None:
    odd = span(
        LONE,
        attributes={LONE: 1, "value": LONE, "list": [LONE, 2], "map": {LONE: LONE}},
        events=[Event(LONE, {LONE: LONE}, 5)],
        links=[Link(CONTEXT, {LONE: LONE})],
        status=Status(StatusCode.ERROR, LONE),
    )
    with pytest.raises(UnicodeEncodeError):
        official_spans([odd])
    (got,) = sent(odd)
    attributes = values(got.attributes)
    assert (got.name, got.status.message, got.dropped_attributes_count) == (MENDED, MENDED, 0)
    assert attributes[MENDED].int_value == 1
    assert attributes["value"].string_value == MENDED
    assert [entry.string_value for entry in attributes["list"].array_value.values] == [MENDED, ""]
    assert values(attributes["map"].kvlist_value.values)[MENDED].string_value == MENDED
    assert (got.events[0].name, got.events[0].time_unix_nano) == (MENDED, 5)
    assert values(got.events[0].attributes)[MENDED].string_value == MENDED
    assert values(got.links[0].attributes)[MENDED].string_value == MENDED


def test_keys_that_become_one_when_mended_are_kept_apart() -> None:
    (got,) = sent(span(attributes={LONE: 1, OTHER: 2, "map": {LONE: 3, OTHER: 4}}))
    attributes = values(got.attributes)
    assert (attributes[MENDED].int_value, attributes[MENDED + "\ufffd"].int_value) == (1, 2)
    assert [entry.value.int_value for entry in attributes["map"].kvlist_value.values] == [3, 4]


def test_lone_surrogates_in_a_resource_and_a_scope_are_replaced() -> None:
    resource = Resource({LONE: LONE, "service.name": "desk"}, LONE)
    scope = InstrumentationScope(LONE, LONE, LONE, {LONE: LONE})
    batch = encode_spans([span(resource=resource, instrumentation_scope=scope)])
    text = batch.payload.decode(errors="replace")
    assert batch.items == 1
    assert text.count(MENDED) == 8
    assert decoded_spans(batch)[0].name == "chat"


@pytest.mark.parametrize(("name", "expected"), [(5, "[object int]"), (b"caf\xc3\xa9", "café"), (b"\xff", "\ufffd")])
def test_a_name_that_is_no_text(name: Any, expected: str) -> None:
    (got, broken, none) = sent(span(name), span(Broken()), span(None))
    assert (got.name, broken.name, none.name) == (expected, "[object Broken]", "")


# -- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**300])
def test_an_integer_beyond_64_bits_becomes_its_decimal_text(number: int) -> None:
    (got,) = sent(span(attributes={"n": number, "list": [number, 1], "ok": 1}))
    attributes = values(got.attributes)
    assert attributes["n"].string_value == str(number)
    assert attributes["list"].array_value.values[0].string_value == str(number)
    assert (attributes["ok"].int_value, got.dropped_attributes_count) == (1, 0)


@pytest.mark.parametrize(
    "value",
    [
        Decimal("1.5"),
        object(),
        {1, 2},
        Broken(),
        BrokenList([1]),
        [Decimal("1.5")],
        {"deep": [object()]},
        {Broken(): 1},
        10**5000,
        self_referential(),
        nested(5000),
        wide(),
    ],
    ids=[str(number) for number in range(12)],  # pytest would ask the values
)
def test_a_value_that_cannot_be_encoded_is_dropped_and_counted_where_it_was(value: Any) -> None:
    attributes = {"odd": value, "ok": "yes"}
    odd = span(attributes=attributes, events=[Event("e", attributes, 1)], links=[Link(CONTEXT, attributes)])
    (got,) = sent(odd)
    for owner in (got, got.events[0], got.links[0]):
        assert list(values(owner.attributes)) == ["ok"]
        assert owner.dropped_attributes_count == 1


@pytest.mark.parametrize("key", [5, (1, 2), Broken()], ids=["int", "tuple", "raises"])
def test_a_key_that_is_no_text_costs_its_attribute(key: Any) -> None:
    (got,) = sent(span(attributes={key: 1, "ok": 2}))
    assert list(values(got.attributes)) == ["ok"]
    assert got.dropped_attributes_count == 1


def test_keys_that_protobuf_takes_for_texts_stay() -> None:
    (got,) = sent(span(attributes={None: 1, b"k": 2}))
    assert {key: value.int_value for key, value in values(got.attributes).items()} == {"": 1, "k": 2}


@pytest.mark.parametrize(("depth", "mapping"), [(46, False), (31, True)])
def test_a_value_may_nest_as_deep_as_protobuf_readers_follow(depth: int, mapping: bool) -> None:
    deepest, too_deep = nested(depth, mapping=mapping), nested(depth + 1, mapping=mapping)
    kept = span(events=[Event("e", {"k": deepest}, 1)], attributes={"k": deepest})
    assert encode_spans([kept]).payload == official_spans([kept]).SerializeToString()
    (got,) = sent(span(attributes={"k": too_deep, "ok": 1}))
    assert (list(values(got.attributes)), got.dropped_attributes_count) == (["ok"], 1)


def test_an_object_that_hides_its_class_costs_only_its_place() -> None:
    hostile: Any = Hostile()
    attributes = {"odd": hostile, "ok": 1}
    (got,) = sent(span(hostile, attributes=attributes, kind=hostile, status=hostile, events=[hostile]))
    assert (got.name, list(values(got.attributes)), got.dropped_events_count) == ("[object Hostile]", ["ok"], 1)
    assert encode_spans([hostile]).dropped == {DropReason.ENCODING: 1}
    (record,) = decoded_logs(encode_logs([log(hostile)]))
    assert record.body.string_value == "[object Hostile]"


def test_what_the_sdk_dropped_before_is_counted_too() -> None:
    class Limited(ReadableSpan):
        dropped_attributes = 3
        dropped_events = 4
        dropped_links = 5

    attributes: dict[str, Any] = {"odd": object()}
    odd = Limited("n", CONTEXT, resource=RESOURCE, attributes=attributes, events=[Event(LONE, {}, 1)])
    (got,) = sent(odd)
    assert (got.dropped_attributes_count, got.dropped_events_count, got.dropped_links_count) == (4, 4, 5)


# -- the other parts of a span --------------------------------------------------------------------------------------


def test_times_kinds_and_statuses_that_do_not_fit_are_left_out() -> None:
    odd = span(kind="client", start_time=-1, end_time=2**64, status=Broken())
    (got,) = sent(odd)
    assert (got.start_time_unix_nano, got.end_time_unix_nano) == (0, 0)
    assert (got.kind, got.status.code) == (1, 0)


def test_a_time_in_floating_seconds_keeps_its_whole_part() -> None:
    (got,) = sent(span(kind=2, start_time=5.5, end_time=True))
    assert (got.start_time_unix_nano, got.end_time_unix_nano, got.kind) == (5, 0, 3)


def test_a_trace_state_that_is_no_text_is_left_out() -> None:
    state = TraceState([("vendor", "ok")])
    state._dict["vendor"] = LONE
    (got,) = sent(span(context=SpanContext(1, 2, is_remote=False, trace_state=state)))
    assert (got.trace_state, got.span_id) == ("", (2).to_bytes(8, "big"))


def test_events_and_links_of_which_nothing_can_be_made_are_dropped_and_counted() -> None:
    bad_link = Link(SpanContext(2**128, 1, is_remote=False))
    (got,) = sent(span(events=[Broken(), Event("e", {}, 1)], links=[bad_link, Link(CONTEXT), Broken()]))
    assert ([event.name for event in got.events], got.dropped_events_count) == (["e"], 1)
    assert (len(got.links), got.dropped_links_count) == (1, 2)


def test_a_parent_that_is_none_leaves_a_root() -> None:
    (got,) = sent(span(parent=SpanContext(1, 2**64, is_remote=True)))
    assert (got.parent_span_id, got.flags) == (b"", 0x100)


@pytest.mark.parametrize(
    "item",
    [span(context=None), span(context=SpanContext(2**128, 1, is_remote=False)), Broken(), None, 5, "span"],
    ids=["no context", "id too large", "raises", "None", "int", "str"],
)
def test_what_is_no_span_is_counted_and_the_others_arrive(item: Any) -> None:
    batch = encode_spans([span("before"), item, span("after")])
    assert [got.name for got in decoded_spans(batch)] == ["before", "after"]
    assert (batch.items, batch.dropped) == (2, {DropReason.ENCODING: 1})


def test_a_resource_that_has_no_hash_is_a_group_of_its_own() -> None:
    class Unhashable(Resource):
        __hash__ = None  # type: ignore[assignment]  # as a Resource with bytes in it has none in SDK 1.43

    first, second = Unhashable({"a": b"\x00"}), Unhashable({"a": b"\x00"})
    batch = encode_spans([span("1", resource=first), span("2", resource=second), span("3", resource=first)])
    assert [got.name for got in decoded_spans(batch)] == ["1", "3", "2"]


# -- log records ----------------------------------------------------------------------------------------------------


def log(body: Any = None, **parts: Any) -> ReadableLogRecord:
    record = LogRecord(body=body, timestamp=1, observed_timestamp=2)
    for name, value in parts.items():
        setattr(record, name, value)
    return ReadableLogRecord(record, RESOURCE)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (LONE, MENDED),
        (Decimal("1.5"), "[object Decimal]"),
        (Broken(), "[object Broken]"),
        (BrokenList([1]), "[object BrokenList]"),
        (2**70, str(2**70)),
        (10**5000, "[object int]"),
    ],
    ids=["surrogate", "Decimal", "raises", "raises in iter", "2^70", "10^5000"],
)
def test_a_body_that_cannot_be_encoded_is_named(body: Any, expected: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - of whatever type: the batch is lost
        official_logs([log(body)])
    batch = encode_logs([log("before"), log(body, attributes={"ok": 1}), log("after")])
    assert [got.body.string_value for got in decoded_logs(batch)] == ["before", expected, "after"]
    assert (batch.items, batch.dropped) == (3, {})


def test_only_what_is_odd_in_a_body_is_named() -> None:
    body = {"ok": [1, b"\x00"], "odd": Decimal(1), LONE: 2**64, 3: nested(100)}
    (got,) = decoded_logs(encode_logs([log(body)]))
    entries = values(got.body.kvlist_value.values)
    assert [entry.int_value for entry in entries["ok"].array_value.values] == [1, 0]
    assert entries["ok"].array_value.values[1].bytes_value == b"\x00"
    assert entries["odd"].string_value == "[object Decimal]"
    assert entries[MENDED].string_value == str(2**64)
    deepest = entries["3"]
    while deepest.HasField("array_value"):
        deepest = deepest.array_value.values[0]
    assert deepest.string_value == "[object list]"


@pytest.mark.parametrize("body", [self_referential(), wide()], ids=["in a circle", "without end"])
def test_a_body_without_end_is_bounded(body: Any) -> None:
    batch = encode_logs([log(body)])
    assert batch.items == 1
    assert len(batch.payload) < 10_000_000


def test_parts_of_a_log_record_that_do_not_fit_are_left_out() -> None:
    odd = log(
        "text",
        timestamp=-1,
        observed_timestamp=2**70,
        severity_text=LONE,
        severity_number=Broken(),
        trace_id=2**200,
        span_id=None,
        trace_flags=None,
        event_name=LONE,
        attributes={"odd": object(), "ok": 1},
    )
    (got,) = decoded_logs(encode_logs([odd]))
    assert (got.body.string_value, got.severity_text, got.event_name) == ("text", MENDED, MENDED)
    assert (got.time_unix_nano, got.observed_time_unix_nano, got.severity_number, got.flags) == (0, 0, 0, 0)
    assert (got.trace_id, got.span_id) == (b"", b"")
    assert (list(values(got.attributes)), got.dropped_attributes_count) == (["ok"], 1)


def test_a_log_record_without_trace_needs_no_mending() -> None:
    (got,) = decoded_logs(encode_logs([log("text", trace_id=None, span_id=None, trace_flags=None)]))
    assert (got.trace_id, got.span_id, got.body.string_value) == (b"", b"", "text")


@pytest.mark.parametrize("item", [None, Broken(), 5], ids=["None", "raises", "int"])
def test_what_is_no_log_record_is_counted_and_the_others_arrive(item: Any) -> None:
    batch = encode_logs([log("before"), item, log("after")])
    assert [got.body.string_value for got in decoded_logs(batch)] == ["before", "after"]
    assert (batch.items, batch.dropped) == (2, {DropReason.ENCODING: 1})


# -- mending --------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spans())
def test_mending_a_span_changes_nothing_but_what_is_odd(good: ReadableSpan) -> None:
    good._name = MENDED
    expected = official_spans([good]).SerializeToString()
    good._name = LONE
    assert encode_spans([good]).payload == expected


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(log_records())
def test_mending_a_log_record_changes_nothing_but_what_is_odd(good: ReadableLogRecord) -> None:
    good.log_record.event_name = MENDED
    expected = official_logs([good]).SerializeToString()
    good.log_record.event_name = LONE
    assert encode_logs([good]).payload == expected


# -- anything at all ------------------------------------------------------------------------------------------------

ANYTHING: st.SearchStrategy[Any] = st.recursive(
    LEAVES
    | st.text(st.characters())
    | st.integers()
    | st.sampled_from([object(), Decimal(1), self_referential(), {1}, 1j])
    | st.builds(Broken)
    | st.builds(BrokenList, st.just([1])),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(KEYS | st.text(st.characters()), inside, max_size=3),
    max_leaves=6,
)
ANYTHING_NAMED = st.dictionaries(st.text(st.characters()) | KEYS | st.integers(), ANYTHING, max_size=5)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANYTHING, st.none() | ANYTHING_NAMED | ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_no_span_costs_its_batch(name: Any, attributes: Any, time: Any, kind: Any, status: Any) -> None:
    odd = span(name, attributes=attributes, start_time=time, kind=kind, events=[Event(name, attributes, time)])
    odd._status = status
    (got,) = sent(odd)
    assert got.kind in range(1, 1 + len(SpanKind))
    if isinstance(attributes, dict):
        assert len(got.attributes) + got.dropped_attributes_count == len(attributes)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANYTHING, st.none() | ANYTHING_NAMED | ANYTHING, ANYTHING, ANYTHING)
def test_no_log_record_costs_its_batch(body: Any, attributes: Any, time: Any, severity: Any) -> None:
    odd = log(body, attributes=attributes, timestamp=time, severity_number=severity, event_name=body)
    before, got, after = decoded_logs(encode_logs([log("before"), odd, log("after")]))
    assert (before.body.string_value, after.body.string_value) == ("before", "after")
    if isinstance(attributes, dict):
        assert len(got.attributes) + got.dropped_attributes_count == len(attributes)
