"""Odd log records: what cannot be sent is named or left out, all else arrives."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as official_logs

from kaizen_processors.export.accounts import DropReason
from kaizen_processors.export.otlp import encode_logs
from tests.processors.otlp.odd import LONE, MENDED, Broken, BrokenList, log, nested, self_referential, values, wide
from tests.processors.otlp.oracle import decoded_logs


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
