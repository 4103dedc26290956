"""Values that cannot be encoded, or are far too large: they cost themselves, never the batch, never the caller."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.queue_processors import (
    QueueLogRecordProcessor,
    QueueSpanProcessor,
    otlp_log_queue,
    otlp_span_queue,
)
from kaizen_processors.export.settings import DeliverySettings
from tests.faults.support import END_S, run
from tests.processors.delivery.backend import Backend, Reply
from tests.processors.delivery.support import names, queue_to, span

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

LONE = "\ud83d"
"""Half of a character, as JavaScript's and Windows' texts may hold it. UTF-8 has no bytes for it."""
BOUND_MIB = 256
"""What waits: 64 MiB to be encoded, 16 MiB to be sent; the rest is what encoding takes, and the allocator."""
REQUEST_BYTES = DeliverySettings().request_bytes


def delivered(make: Callable[[Any], object]) -> list[Span]:
    """The spans that arrive when `make` has made some with a tracer, between two ordinary ones."""
    with Backend(keep=True) as backend:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(QueueSpanProcessor(otlp_span_queue(OtlpEndpoint(f"{backend.url}/v1/traces"))))
        tracer = provider.get_tracer("odd")
        with tracer.start_as_current_span("before"):
            pass
        make(tracer)
        with tracer.start_as_current_span("after"):
            pass
        assert provider.force_flush(int(END_S * 1_000))
        provider.shutdown()
        spans = spans_of(backend)
    assert (spans[0].name, spans[-1].name) == ("before", "after")
    return spans[1:-1]


def spans_of(backend: Backend) -> list[Span]:
    requests = [ExportTraceServiceRequest.FromString(body) for body in backend.bodies]
    return [
        span for one in requests for group in one.resource_spans for scope in group.scope_spans for span in scope.spans
    ]


def texts(span: Span) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in span.attributes}


@pytest.mark.parametrize("where", ["value", "key", "name"])
def test_half_a_character_is_replaced_wherever_it_stands(where: str) -> None:
    name, key, value = (f"odd {LONE}" if where == place else "even" for place in ("name", "key", "value"))

    def make(tracer: Any) -> None:
        with tracer.start_as_current_span(name, attributes={key: value, "other": "whole"}):
            pass

    (arrived,) = delivered(make)
    mended = {"name": arrived.name, **dict(zip(("key", "value"), next(iter(texts(arrived).items())), strict=True))}
    assert mended[where] == "odd \ufffd"
    assert texts(arrived)["other"] == "whole"


def test_a_text_of_seventy_megabytes_is_cut_and_its_span_arrives() -> None:
    def make(tracer: Any) -> None:
        with tracer.start_as_current_span("huge", attributes={"text": "x" * 70_000_000, "other": "whole"}):
            pass

    (arrived,) = delivered(make)
    assert texts(arrived)["other"] == "whole"
    assert arrived.ByteSize() <= REQUEST_BYTES


def test_ten_thousand_attributes_and_events_are_limited_and_the_rest_is_counted() -> None:
    def make(tracer: Any) -> None:
        with tracer.start_as_current_span("many", attributes={f"key{n}": n for n in range(10_000)}) as many:
            for number in range(10_000):
                many.add_event(f"event {number}")

    (arrived,) = delivered(make)
    assert (len(arrived.attributes), arrived.dropped_attributes_count) == (128, 9_872)
    assert (len(arrived.events), arrived.dropped_events_count) == (128, 9_872)


@pytest.mark.parametrize("reply", [Reply(), Reply(503)], ids=["healthy", "503"])
def test_two_gigabytes_of_spans_take_a_bounded_part_of_the_memory(reply: Reply) -> None:
    with Backend(default=reply) as backend:
        grown = run("huge", backend.url, 2_048)["grown"]
    assert grown["mib"] < BOUND_MIB
    assert grown["put"] == 2_049
    assert grown["exported"] + grown["pending"] + sum(grown["dropped"].values()) == 2_049


class Raises:
    """Raises when anybody wants to read it."""

    def __str__(self) -> str:
        raise ZeroDivisionError("mine")

    __repr__ = __str__


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def deep() -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(5_000):
        value = {"deeper": value}
    return value


ODD: dict[str, Callable[[], Any]] = {
    "holds itself": endless,
    "5,000 deep": deep,
    "raises in __str__": Raises,
    "2**70": lambda: 2**70,
    "not a number": lambda: math.nan,
    "infinite": lambda: math.inf,
    "bytes that are no text": lambda: b"\xff\xfe",
    "a key that is None": lambda: {None: "value"},
}


@pytest.mark.parametrize("name", ODD)
def test_a_value_that_is_odd_costs_at_most_itself(name: str) -> None:
    with Backend(keep=True) as backend, queue_to(backend.url) as queue:
        queue.put(span(0))
        queue.put(span(1, odd=ODD[name](), other="whole"))
        queue.put(span(2))
        assert queue.force_flush(END_S)
        assert backend.taken == names(0, 3)
        _, arrived, _ = spans_of(backend)
        kept = {attribute.key for attribute in arrived.attributes}
    assert "other" in kept
    assert ("odd" in kept) is not bool(arrived.dropped_attributes_count)


@pytest.mark.parametrize("name", ODD)
def test_a_log_record_with_an_odd_body_arrives(name: str) -> None:
    with Backend() as backend:
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(
            QueueLogRecordProcessor(otlp_log_queue(OtlpEndpoint(f"{backend.url}/v1/logs")))
        )
        logger = provider.get_logger("odd")
        for body in ("before", ODD[name](), "after"):
            logger.emit(body=body)
        assert provider.force_flush(int(END_S * 1_000))
        provider.shutdown()
        assert len(backend.taken) == 3
        assert (backend.taken[0], backend.taken[2]) == ("before", "after")
