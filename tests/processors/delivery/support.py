"""Queues for tests: real encoder and sender, short times, spans that are named by number."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

from kaizen_processors.export.delivery import DeliveryQueue
from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.grpc_endpoint import GrpcEndpoint
from kaizen_processors.export.otlp import SpanBatchEncoder
from kaizen_processors.export.retry import Backoff
from kaizen_processors.export.sender import OtlpHttpSender
from kaizen_processors.export.settings import DeliverySettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_processors.clock import Clock
    from kaizen_processors.export.batch import Signal
    from kaizen_processors.export.sender import Sender
    from kaizen_processors.export.spool import Spool

RESOURCE = Resource({"service.name": "delivery-test"})

FAST = DeliverySettings(interval_s=30.0, shutdown_s=2.0)


def span(number: int, **attributes: Any) -> ReadableSpan:
    """A finished span whose name is its number."""
    context = SpanContext(number + 1, number + 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return ReadableSpan(
        f"s{number}", context=context, resource=RESOURCE, attributes=attributes, start_time=1, end_time=2
    )


def names(first: int, end: int) -> list[str]:
    return [f"s{number}" for number in range(first, end)]


def sender_to(url: str, timeout_s: float = 10.0) -> OtlpHttpSender:
    return OtlpHttpSender(OtlpEndpoint(f"{url}/v1/traces", timeout_s=timeout_s), "traces")


def endpoint_of(url: str, signal: Signal) -> OtlpEndpoint | GrpcEndpoint:
    """Where a test's backend is: `http://…` of `Backend`, or `grpc://…` of `GrpcBackend`."""
    if url.startswith("grpc://"):
        return GrpcEndpoint(url.removeprefix("grpc://"), insecure=True)
    return OtlpEndpoint(f"{url}/v1/{signal}")


def soon() -> Backoff:
    return Backoff(0.01, cap_s=0.05)


@contextmanager
def queue_to(
    sender: Sender | str, *, spool: Spool | None = None, clock: Clock | None = None, **settings: Any
) -> Iterator[DeliveryQueue[ReadableSpan]]:
    """A queue of spans to a URL or a sender; ended afterwards whatever it holds."""
    where = sender_to(sender) if isinstance(sender, str) else sender
    given: dict[str, Any] = {} if clock is None else {"clock": clock}
    queue = DeliveryQueue(SpanBatchEncoder, where, "traces", replace(FAST, **settings), spool, backoff=soon, **given)
    try:
        yield queue
    finally:
        queue.shutdown(0.05)
        where.close()


def fill(queue: DeliveryQueue[ReadableSpan], end: int, first: int = 0) -> None:
    for number in range(first, end):
        queue.put(span(number))


def balanced(queue: DeliveryQueue[Any]) -> bool:
    """The promise: every item is in exactly one place."""
    counts = queue.counts()
    return counts.put == counts.exported + counts.spooled + counts.dropped_total + counts.pending
