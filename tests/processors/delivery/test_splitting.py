"""Requests that are too large: cut in two with every item in its place, texts shortened wherever they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext

from kaizen_processors.export.batch import SealedBatch
from kaizen_processors.export.otlp import encode_logs, encode_spans
from kaizen_processors.export.otlp.trim import trimmed
from kaizen_processors.export.splitting import halves, pieces

if TYPE_CHECKING:
    from kaizen_processors.export.batch import Signal

CONTEXT = SpanContext(1, 2, is_remote=False)
LONG = "x" * 5_000

PLACES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=20)
"""Of each item: its resource, and its scope."""


def a_span(number: int, resource: int, scope: int, **parts: Any) -> ReadableSpan:
    return ReadableSpan(
        str(number),
        CONTEXT,
        resource=Resource({"service.name": f"r{resource}"}),
        instrumentation_scope=InstrumentationScope(f"s{scope}"),
        start_time=1,
        end_time=2,
        **parts,
    )


def a_log(body: Any, resource: int = 0, scope: int = 0) -> ReadableLogRecord:
    return ReadableLogRecord(
        LogRecord(timestamp=1, body=body),
        Resource({"service.name": f"r{resource}"}),
        InstrumentationScope(f"s{scope}"),
    )


def request(signal: Signal, places: list[tuple[int, int]]) -> bytes:
    if signal == "traces":
        return encode_spans([a_span(number, *place) for number, place in enumerate(places)]).payload
    return encode_logs([a_log(str(number), *place) for number, place in enumerate(places)]).payload


def items_in(payload: bytes, signal: Signal) -> list[tuple[str, str, str]]:
    """Resource, scope and number of each item."""
    found = []
    if signal == "traces":
        for resource in ExportTraceServiceRequest.FromString(payload).resource_spans:
            service = resource.resource.attributes[0].value.string_value
            assert resource.scope_spans
            for scope in resource.scope_spans:
                assert scope.spans
                found += [(service, scope.scope.name, span.name) for span in scope.spans]
        return found
    for logs in ExportLogsServiceRequest.FromString(payload).resource_logs:
        service = logs.resource.attributes[0].value.string_value
        assert logs.scope_logs
        for part in logs.scope_logs:
            assert part.log_records
            found += [(service, part.scope.name, log.body.string_value) for log in part.log_records]
    return found


@pytest.mark.parametrize("signal", ["traces", "logs"])
@settings(deadline=None)
@given(places=PLACES)
def test_two_halves_are_the_whole(signal: Signal, places: list[tuple[int, int]]) -> None:
    payload = request(signal, places)
    cut = halves(SealedBatch(payload, "", len(places), 0), signal)

    if len(places) == 1:
        assert cut == ()
        return
    first, second = cut
    assert abs(first.items - second.items) <= 1
    assert [len(items_in(half.payload, signal)) for half in cut] == [first.items, second.items]
    # Halves hold what stands before and behind one place of the request: nothing twice, nothing lost.
    assert items_in(first.payload, signal) + items_in(second.payload, signal) == items_in(payload, signal)


@pytest.mark.parametrize("signal", ["traces", "logs"])
@settings(deadline=None)
@given(places=PLACES, max_bytes=st.integers(60, 2_000))
def test_pieces_fit_and_are_the_whole(signal: Signal, places: list[tuple[int, int]], max_bytes: int) -> None:
    payload = request(signal, places)
    cut = pieces(payload, len(places), signal, max_bytes)

    assert sum(items for _, items in cut) == len(places)
    assert all(len(piece) <= max_bytes or items == 1 for piece, items in cut)
    assert [item for piece, _ in cut for item in items_in(piece, signal)] == items_in(payload, signal)


@pytest.mark.parametrize(
    "parts",
    [
        {"attributes": {"text": LONG}},
        {"attributes": {"texts": [LONG, "short"]}},
        {"events": [Event("e", {"text": LONG}, 1)]},
        {"links": [Link(CONTEXT, {"text": LONG})]},
    ],
    ids=["attribute", "array", "event", "link"],
)
def test_a_spans_long_texts_are_shortened_wherever_they_stand(parts: dict[str, Any]) -> None:
    shorter = trimmed(encode_spans([a_span(0, 0, 0, **parts)]).payload, "traces", 1_000)

    assert len(shorter) <= 1_000
    assert items_in(shorter, "traces") == [("r0", "s0", "0")]
    assert b"xxx" in shorter


@pytest.mark.parametrize("body", [LONG, {"text": LONG}, [LONG], {"deep": [{"text": LONG}]}, LONG.encode()])
def test_a_log_records_body_is_shortened_at_any_depth(body: Any) -> None:
    shorter = trimmed(encode_logs([a_log(body)]).payload, "logs", 1_000)

    assert len(shorter) <= 1_000
    assert b"xxx" in shorter
