"""Batches: spans or log records, grouped by resource and scope, in one export request.

A batch grows item by item and says how large it is; it is cut before an item that would make it too large, without
encoding anything twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from kaizen_processors.export.accounts import DropReason
from kaizen_processors.export.otlp.logs import log_message
from kaizen_processors.export.otlp.mend import mended_log, mended_span
from kaizen_processors.export.otlp.owners import Owner, resource_owner, scope_owner
from kaizen_processors.export.otlp.spans import span_message
from kaizen_processors.export.otlp.wire import varint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan

_RESOURCE_GROUP = b"\x0a"
_SCOPE_GROUP = b"\x12"
_ITEM = b"\x12"
_FRAME_BYTES: Final = 6
"""A tag, and a length of up to 32 bits."""

_Item = TypeVar("_Item", "ReadableSpan", "ReadableLogRecord")
_AnyGroup = TypeVar("_AnyGroup", bound="_Group")


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """A serialized `ExportTraceServiceRequest` or `ExportLogsServiceRequest`."""

    payload: bytes
    items: int
    """Spans or log records in the payload."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Items that were added and are not in the payload, by reason."""


class _Group:
    """What belongs to one resource or to one scope, in pieces that are joined once."""

    __slots__ = ("_owner", "pieces")

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.pieces: list[bytes] = []

    @property
    def max_bytes(self) -> int:
        """Bytes that it takes at most, apart from its pieces."""
        return _FRAME_BYTES + len(self._owner.head) + len(self._owner.tail)

    def framed(self, tag: bytes, pieces: list[bytes]) -> list[bytes]:
        """The message in pieces; none if nothing is in it."""
        if not pieces:
            return []
        head, tail = self._owner.head, self._owner.tail
        return [tag, varint(len(head) + sum(map(len, pieces)) + len(tail)), head, *pieces, tail]


class _ResourceGroup(_Group):
    """The scopes of one resource."""

    __slots__ = ("scopes",)

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner)
        self.scopes: dict[Any, _Group] = {}

    def encoded(self) -> bytes:
        scopes = [piece for scope in self.scopes.values() for piece in scope.framed(_SCOPE_GROUP, scope.pieces)]
        return b"".join(self.framed(_RESOURCE_GROUP, scopes))


class _Place(NamedTuple):
    """Where the items of a resource and a scope go. Both are held, so that their `id`s stay theirs."""

    resource: Any
    scope: Any
    pieces: list[bytes]
    """For each item its tag with its length, and its message."""


class _BatchEncoder(Generic[_Item]):
    """What batches of spans and of log records have in common. One thread at a time."""

    def __init__(self, encode: Callable[[_Item], bytes], mend: Callable[[_Item], _Item]) -> None:
        self._encode: Callable[[_Item], bytes] = encode
        self._mend: Callable[[_Item], _Item] = mend
        self._begin()

    def _begin(self) -> None:
        self._resources: dict[Any, _ResourceGroup] = {}
        self._places: dict[tuple[int, int], _Place] = {}
        self._last_place: _Place | None = None
        self._dropped: dict[str, int] = {}
        self.size_bytes = 0
        """Bytes of the batch so far: never less than `finish` makes, and at most 12 more for each scope."""
        self.items = 0
        """Spans or log records in the batch so far."""

    def add(self, item: _Item) -> int:
        """Encode one item into the batch and give `size_bytes`.

        Never raises: an item of which nothing can be made is left out and counted.
        """
        try:
            message = self._encode(item)
            self._put(item.resource, item.instrumentation_scope, message)
        except Exception:  # noqa: BLE001 - one odd item must not cost the batch, whatever is odd about it
            self._add_mended(item)
        return self.size_bytes

    def _add_mended(self, item: _Item) -> None:
        try:
            mended = self._mend(item)
            message = self._encode(mended)
            self._put(mended.resource, mended.instrumentation_scope, message)
        except Exception:  # noqa: BLE001 - nothing can be made of it: it is counted
            self._dropped[DropReason.ENCODING] = self._dropped.get(DropReason.ENCODING, 0) + 1

    def _put(self, resource: Any, scope: Any, message: bytes) -> None:
        place = self._last_place
        if place is None or place.resource is not resource or place.scope is not scope:
            place = self._last_place = self._place(resource, scope)
        frame = _ITEM + varint(len(message))
        # Apart: a message is some hundred bytes, and need not be copied to have its length before it.
        place.pieces.append(frame)
        place.pieces.append(message)
        self.items += 1
        self.size_bytes += len(frame) + len(message)

    def _place(self, resource: Any, scope: Any) -> _Place:
        ids = (id(resource), id(scope))
        place = self._places.get(ids)
        if place is None:
            place = self._places[ids] = _Place(resource, scope, self._group(resource, scope).pieces)
        return place

    def _group(self, resource: Any, scope: Any) -> _Group:
        # By value, as the official encoder does it: equal resources are one group, and the first of them is written.
        of_resource = self._found(self._resources, resource, lambda: _ResourceGroup(resource_owner(resource)))
        return self._found(of_resource.scopes, scope, lambda: _Group(scope_owner(scope)))

    def _found(self, groups: dict[Any, _AnyGroup], source: Any, make: Callable[[], _AnyGroup]) -> _AnyGroup:
        try:
            group = groups.get(source)
        except Exception:  # noqa: BLE001 - a resource with bytes in it has no hash in SDK 1.43: then it is its own
            source = ("by identity", id(source))
            group = groups.get(source)
        if group is None:
            group = groups[source] = make()
            self.size_bytes += group.max_bytes
        return group

    def cut(self) -> EncodedBatch:
        """End the batch before the item added last, and begin the next batch with that item.

        With one item in the batch, what ends is an empty batch.
        """
        place = self._last_place
        if place is None:
            return self.finish()
        message = place.pieces.pop()
        place.pieces.pop()
        self.items -= 1
        ended = self.finish()
        self._put(place.resource, place.scope, message)
        return ended

    def finish(self) -> EncodedBatch:
        """End the batch; the next `add` begins another."""
        payload = b"".join([group.encoded() for group in self._resources.values()])
        ended = EncodedBatch(payload, self.items, self._dropped)
        self._begin()
        return ended


class SpanBatchEncoder(_BatchEncoder["ReadableSpan"]):
    """Builds the `ExportTraceServiceRequest` of a batch of spans.

    Example:
        >>> batch = SpanBatchEncoder()
        >>> for span in spans:
        ...     if batch.add(span) > limit_bytes and batch.items > 1:
        ...         send(batch.cut())
        >>> send(batch.finish())
    """

    def __init__(self) -> None:
        super().__init__(span_message, mended_span)


class LogBatchEncoder(_BatchEncoder["ReadableLogRecord"]):
    """Builds the `ExportLogsServiceRequest` of a batch of log records; used like `SpanBatchEncoder`."""

    def __init__(self) -> None:
        super().__init__(log_message, mended_log)


def encode_spans(spans: Sequence[ReadableSpan]) -> EncodedBatch:
    """Encode spans into one request. Never raises; what cannot be encoded is counted."""
    batch = SpanBatchEncoder()
    for span in spans:
        batch.add(span)
    return batch.finish()


def encode_logs(records: Sequence[ReadableLogRecord]) -> EncodedBatch:
    """Encode log records into one request. Never raises; what cannot be encoded is counted."""
    batch = LogBatchEncoder()
    for record in records:
        batch.add(record)
    return batch.finish()
