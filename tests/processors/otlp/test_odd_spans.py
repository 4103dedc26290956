"""Odd spans: what cannot be sent is left out and counted, all else arrives."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceState

from kaizen_processors.export.accounts import DropReason
from kaizen_processors.export.otlp import encode_logs, encode_spans
from tests.processors.otlp.odd import (
    CONTEXT,
    LONE,
    MENDED,
    OTHER,
    RESOURCE,
    Broken,
    BrokenList,
    Hostile,
    log,
    nested,
    self_referential,
    sent,
    span,
    values,
    wide,
)
from tests.processors.otlp.oracle import decoded_logs, decoded_spans

# -- texts -------------------------------------------------------------------------------------------------------------


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


# -- values ------------------------------------------------------------------------------------------------------------


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


# -- the other parts of a span -----------------------------------------------------------------------------------------


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
