"""Input that no SDK makes and applications do: what raises, lies, nests, or never ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from kaizen_processors.export.otlp import encode_spans
from tests.processors.otlp.oracle import decoded_spans

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


def log(body: Any = None, **parts: Any) -> ReadableLogRecord:
    record = LogRecord(body=body, timestamp=1, observed_timestamp=2)
    for name, value in parts.items():
        setattr(record, name, value)
    return ReadableLogRecord(record, RESOURCE)
