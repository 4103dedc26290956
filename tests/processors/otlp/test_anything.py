"""Anything at all may stand anywhere: no item costs its batch, and mending changes only what is odd."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as official_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official_spans
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import SpanKind

from kaizen_processors.export.otlp import encode_logs, encode_spans
from tests.processors.otlp.oracle import decoded_logs
from tests.processors.otlp.strategies import KEYS, LEAVES, log_records, spans

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
from tests.processors.otlp.odd import LONE, MENDED, Broken, BrokenList, log, self_referential, sent, span


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
