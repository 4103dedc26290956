"""Requests that are too large: cut in two, down to one item, and that one made smaller.

Rare, so the official messages do the work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_processors.export.batch import SealedBatch, compress, decompress
from kaizen_processors.export.otlp.messages import groups, item_lists, parsed
from kaizen_processors.export.otlp.trim import trimmed

if TYPE_CHECKING:
    from kaizen_processors.export.batch import EncodedBatch, Signal
    from kaizen_processors.export.settings import DeliverySettings


class OtlpCutter:
    """Batches of OTLP requests.

    Args:
        signal: `traces` or `logs`.
        settings: Says how large a request may be, and how it is compressed.
    """

    def __init__(self, signal: Signal, settings: DeliverySettings) -> None:
        """Cut requests of this signal."""
        self._signal = signal
        self._settings = settings

    def sealed(self, encoded: EncodedBatch, first_seq: int) -> list[SealedBatch]:
        """The request, cut where it is larger than one may be."""
        settings = self._settings
        return [
            SealedBatch(compress(payload, settings.compression), settings.compression, items, first_seq)
            for payload, items in pieces(encoded.payload, encoded.items, self._signal, settings.request_bytes)
        ]

    def halves(self, batch: SealedBatch) -> tuple[SealedBatch, ...]:
        """Two requests, each with half of the items in their order; empty when there is but one item."""
        return halves(batch, self._signal)

    def trimmed(self, batch: SealedBatch) -> SealedBatch | None:
        """The only item, made smaller to a quarter of its size; None when that cannot be done."""
        return trimmed_batch(batch, self._signal)


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

    An item that is larger on its own is made smaller.
    """
    if len(payload) <= max_bytes:
        return [(payload, items)]
    if items <= 1:
        return [(trimmed(payload, signal, max_bytes), items)]
    middle = items // 2
    return [
        piece
        for low, high in ((0, middle), (middle, items))
        for piece in pieces(_part(payload, signal, low, high), high - low, signal, max_bytes)
    ]


def trimmed_batch(batch: SealedBatch, signal: Signal) -> SealedBatch | None:
    """A batch of one item, made smaller to a quarter of its size; None when that cannot be done."""
    payload = decompress(batch.payload, batch.encoding)
    shorter = trimmed(payload, signal, len(payload) // 4)
    if len(shorter) >= len(payload):
        return None
    made = _sealed_like(batch, shorter, batch.items)
    made.trimmed = True
    return made


def _sealed_like(batch: SealedBatch, payload: bytes, items: int) -> SealedBatch:
    return SealedBatch(compress(payload, batch.encoding), batch.encoding, items, batch.first_seq, batch.record)


def _part(payload: bytes, signal: Signal, low: int, high: int) -> bytes:
    request = parsed(payload, signal)
    seen = 0
    for items in item_lists(request, signal):
        count = len(items)
        first, last = max(low - seen, 0), min(high - seen, count)
        seen += count
        if first >= last:
            del items[:]
        else:
            del items[last:]
            del items[:first]
    resources, scopes_of, items_of = groups(request, signal)
    for resource in resources:
        _keep(getattr(resource, scopes_of), items_of)
    _keep(resources, scopes_of)
    made: bytes = request.SerializeToString()
    return made


def _keep(holders: Any, inner: str) -> None:
    for place in range(len(holders) - 1, -1, -1):
        if not len(getattr(holders[place], inner)):
            del holders[place]
