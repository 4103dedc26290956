"""Requests that are too large: cut in two, down to one item, and that one's long texts shortened.

Rare, so the official messages do the work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.export.batch import SealedBatch, compress, decompress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kaizen_processors.export.batch import Signal

_SHORTEST_LIMIT: Final = 64
"""Texts are not cut below this many characters: what is still too large then is large for another reason."""


def halves(batch: SealedBatch, signal: Signal) -> tuple[SealedBatch, ...]:
    """Cut a batch in two, each with half of its items in their order; empty when there is but one item.

    Raises:
        google.protobuf.message.DecodeError: The batch holds no such request.
    """
    if batch.items <= 1:
        return ()
    payload = decompress(batch.payload, batch.encoding)
    middle = batch.items // 2
    return tuple(
        _sealed_like(batch, _part(payload, signal, low, high), high - low)
        for low, high in ((0, middle), (middle, batch.items))
    )


def pieces(payload: bytes, items: int, signal: Signal, max_bytes: int) -> list[tuple[bytes, int]]:
    """Cut a plain request until each part measures at most `max_bytes`, with its number of items.

    An item that is larger on its own has its long texts shortened; when that is not enough it stays as it is.
    """
    if len(payload) <= max_bytes:
        return [(payload, items)]
    if items <= 1:
        shorter = shortened(payload, signal, max_bytes)
        return [(payload if shorter is None else shorter, items)]
    middle = items // 2
    return [
        piece
        for low, high in ((0, middle), (middle, items))
        for piece in pieces(_part(payload, signal, low, high), high - low, signal, max_bytes)
    ]


def trimmed(batch: SealedBatch, signal: Signal) -> SealedBatch | None:
    """The batch with its long texts shortened to a quarter of its size; None when that cannot be done."""
    payload = decompress(batch.payload, batch.encoding)
    shorter = shortened(payload, signal, len(payload) // 4)
    if shorter is None:
        return None
    made = _sealed_like(batch, shorter, batch.items)
    made.trimmed = True
    return made


def shortened(payload: bytes, signal: Signal, max_bytes: int) -> bytes | None:
    """A plain request whose longest texts are cut until it measures at most `max_bytes`; None when they do not help."""
    request = _request(signal)
    request.ParseFromString(payload)
    limit = max(_SHORTEST_LIMIT, max_bytes // 2)
    while True:
        for holder in _holders(request, signal):
            _cut(holder, limit)
        made: bytes = request.SerializeToString()
        if len(made) <= max_bytes:
            return made
        if limit <= _SHORTEST_LIMIT:
            return None
        limit = max(_SHORTEST_LIMIT, limit // 4)


def _sealed_like(batch: SealedBatch, payload: bytes, items: int) -> SealedBatch:
    return SealedBatch(compress(payload, batch.encoding), batch.encoding, items, batch.first_seq, batch.record)


def _part(payload: bytes, signal: Signal, low: int, high: int) -> bytes:
    request = _request(signal)
    request.ParseFromString(payload)
    seen = 0
    for items in _item_lists(request, signal):
        count = len(items)
        first, last = max(low - seen, 0), min(high - seen, count)
        seen += count
        if first >= last:
            del items[:]
        else:
            del items[last:]
            del items[:first]
    for resources, scopes_of, items_of in _levels(request, signal):
        for resource in resources:
            _keep(getattr(resource, scopes_of), items_of)
        _keep(resources, scopes_of)
    made: bytes = request.SerializeToString()
    return made


def _keep(groups: Any, inner: str) -> None:
    for place in range(len(groups) - 1, -1, -1):
        if not len(getattr(groups[place], inner)):
            del groups[place]


def _levels(request: Any, signal: Signal) -> tuple[tuple[Any, str, str], ...]:
    if signal == "traces":
        return ((request.resource_spans, "scope_spans", "spans"),)
    return ((request.resource_logs, "scope_logs", "log_records"),)


def _item_lists(request: Any, signal: Signal) -> Iterator[Any]:
    for resources, scopes_of, items_of in _levels(request, signal):
        for resource in resources:
            for scope in getattr(resource, scopes_of):
                yield getattr(scope, items_of)


def _holders(request: Any, signal: Signal) -> Iterator[Any]:
    """Every value of an item that may hold text, at whatever depth."""
    for items in _item_lists(request, signal):
        for item in items:
            yield from _values(item.attributes)
            if signal == "logs":
                yield from _deep(item.body)
            else:
                for part in (*item.events, *item.links):
                    yield from _values(part.attributes)


def _values(attributes: Iterable[Any]) -> Iterator[Any]:
    for attribute in attributes:
        yield from _deep(attribute.value)


def _deep(value: Any) -> Iterator[Any]:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        for one in value.array_value.values:
            yield from _deep(one)
    elif kind == "kvlist_value":
        yield from _values(value.kvlist_value.values)
    elif kind in {"string_value", "bytes_value"}:
        yield value


def _cut(value: Any, limit: int) -> None:
    kind = value.WhichOneof("value")
    whole = getattr(value, kind)
    if len(whole) > limit:
        setattr(value, kind, whole[:limit])


def _request(signal: Signal) -> Any:
    if signal == "traces":
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415 - loaded when used
            ExportTraceServiceRequest,
        )

        return ExportTraceServiceRequest()
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (  # noqa: PLC0415 - loaded when used
        ExportLogsServiceRequest,
    )

    return ExportLogsServiceRequest()
