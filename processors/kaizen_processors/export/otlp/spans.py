"""One span as OTLP's `Span`, byte for byte as the official encoder writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.trace.span import DEFAULT_TRACE_STATE

from kaizen_processors.export.otlp.values import attribute_fields
from kaizen_processors.export.otlp.wire import (
    count_field,
    framed,
    pack_fixed32,
    pack_fixed64,
    pack_two_fixed64,
    text_field,
    varint,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Link, SpanContext, SpanKind, Status, TraceState

_TRACE_ID, _SPAN_ID, _TRACE_STATE, _PARENT_SPAN_ID = b"\x0a\x10", b"\x12\x08", b"\x1a", b"\x22\x08"
_NAME, _START, _END, _ATTRIBUTES, _LOST_ATTRIBUTES = b"\x2a", 0x39, 0x41, b"\x4a", b"\x50"
_EVENTS, _LOST_EVENTS, _LINKS, _LOST_LINKS, _STATUS = b"\x5a", b"\x60", b"\x6a", b"\x70", b"\x7a"
_STATUS_MESSAGE, _STATUS_CODE = b"\x12", b"\x18"
_EVENT_TIME, _EVENT_NAME, _EVENT_ATTRIBUTES, _EVENT_LOST = 0x09, b"\x12", b"\x1a", b"\x20"
_LINK_ATTRIBUTES, _LINK_LOST, _LINK_FLAGS = b"\x22", b"\x28", 0x35

_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200
# Number 16 takes a tag of two bytes.
_FLAGS: Final = b"\x85" + pack_fixed32(0x01, _HAS_IS_REMOTE)
_FLAGS_REMOTE: Final = b"\x85" + pack_fixed32(0x01, _HAS_IS_REMOTE | _IS_REMOTE)

_KINDS: Final = {value: b"\x30" + varint(value + 1) for value in range(5)}
"""By the SDK's numbers: internal, server, client, producer, consumer. OTLP's are one higher."""
_STATUSES: Final = {0: b"\x7a\x00", 1: b"\x7a\x02\x18\x01", 2: b"\x7a\x02\x18\x02"}
"""Whole fields, of a status with no description."""

_MAX_NAMES: Final = 1024
_MAX_NAME_CHARS: Final = 128


class _Names(dict[str, bytes]):
    """The fields of the names seen, since most spans share a few."""

    def __missing__(self, name: str) -> bytes:
        field = text_field(_NAME, name)
        if len(name) <= _MAX_NAME_CHARS:
            if len(self) >= _MAX_NAMES:
                self.clear()
            self[str.__str__(name)] = field
        return field


_names = _Names()


def span_message(span: ReadableSpan) -> bytes:
    """Encode a span.

    Raises:
        Exception: Whatever a part raises that cannot be encoded; `mend` knows what to do.
    """
    context = span.get_span_context()
    if context is None:
        raise ValueError("the span has no context, hence no identity")
    parent, start, end = span.parent, span.start_time, span.end_time
    parts = [_TRACE_ID, context.trace_id.to_bytes(16, "big"), _SPAN_ID, context.span_id.to_bytes(8, "big")]
    add = parts.append
    if context.trace_state is not DEFAULT_TRACE_STATE:
        add(_trace_state(context.trace_state))
    if parent is not None:
        add(_PARENT_SPAN_ID)
        add(parent.span_id.to_bytes(8, "big"))
    if span.name is not None:
        add(_names[span.name])
    add(_KINDS[_number(span.kind)])
    add(
        pack_two_fixed64(_START, start, _END, end)
        if start and end
        else time_field(_START, start) + time_field(_END, end)
    )
    add(attribute_fields(_ATTRIBUTES, span.attributes))
    if lost := span.dropped_attributes:
        add(count_field(_LOST_ATTRIBUTES, lost))
    if events := span.events:
        parts += [event_field(event) for event in events]
    if lost := span.dropped_events:
        add(count_field(_LOST_EVENTS, lost))
    if links := span.links:
        parts += [link_field(link) for link in links]
    if lost := span.dropped_links:
        add(count_field(_LOST_LINKS, lost))
    add(_status(span.status))
    add(_flags(parent))
    return b"".join(parts)


def _number(kind: SpanKind) -> int:
    # Not `.value`: in Python 3.11 that is a function call of 0.1 µs.
    number: int = kind._value_
    return number


def time_field(tag: int, nanoseconds: int | None) -> bytes:
    """Encode a time as a fixed64; none, or zero, takes no bytes."""
    return pack_fixed64(tag, nanoseconds) if nanoseconds else b""


def _trace_state(state: TraceState | None) -> bytes:
    if not state:
        return b""
    return text_field(_TRACE_STATE, ",".join([f"{key}={value}" for key, value in state.items()]))


def event_field(event: Event) -> bytes:
    """Encode an event as a field of its span."""
    message = (
        time_field(_EVENT_TIME, event.timestamp)
        + (text_field(_EVENT_NAME, event.name) if event.name is not None else b"")
        + attribute_fields(_EVENT_ATTRIBUTES, event.attributes)
        + count_field(_EVENT_LOST, event.dropped_attributes)
    )
    return framed(_EVENTS, message)


def link_field(link: Link) -> bytes:
    """Encode a link as a field of its span; without its trace state, as the official encoder does it (1.43 to 1.45)."""
    context = link.context
    message = (
        _TRACE_ID
        + context.trace_id.to_bytes(16, "big")
        + _SPAN_ID
        + context.span_id.to_bytes(8, "big")
        + attribute_fields(_LINK_ATTRIBUTES, link.attributes)
        + count_field(_LINK_LOST, link.dropped_attributes)
        + pack_fixed32(_LINK_FLAGS, _HAS_IS_REMOTE | _IS_REMOTE if context.is_remote else _HAS_IS_REMOTE)
    )
    return framed(_LINKS, message)


def _status(status: Status | None) -> bytes:
    if status is None:
        return b""
    code: int = status.status_code._value_
    if not status.description:
        return _STATUSES[code]
    return framed(
        _STATUS, text_field(_STATUS_MESSAGE, status.description) + (_STATUS_CODE + varint(code) if code else b"")
    )


def _flags(parent: SpanContext | None) -> bytes:
    return _FLAGS_REMOTE if parent is not None and parent.is_remote else _FLAGS
