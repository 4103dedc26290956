"""Copies of spans and log records that cannot be encoded as they are, without what is odd about them.

Only what cannot be encoded comes here. What becomes of it:

* a lone surrogate, in any text: U+FFFD;
* a text beyond 16 Mi characters: its beginning, and a note how much is missing;
* an integer beyond 64 bits: its decimal text, as the specification has it; beyond 1024 bits it is an unknown value;
* an attribute whose key or value cannot be encoded (an unknown type, nested too deep, raises when read): dropped, and
  counted in the owner's `dropped_attributes_count`;
* an event or a link that has no valid ids or raises when read: dropped and counted likewise;
* a log record's body: what cannot be encoded is named in its place, `[object Decimal]`, as no count would say that it
  is missing;
* a name that is no text: `[object int]`; a time, kind, status or trace state that does not fit: left out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeVar

from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from kaizen_processors.export.otlp.copies import EventCopy, LinkCopy, LogCopy, OwnParts, SpanCopy, log_record
from kaizen_processors.export.otlp.odd_values import mended_attributes, mended_body, mended_text, total_lost
from kaizen_processors.export.otlp.wire import UINT32_MAX, UINT64_MAX
from kaizen_processors.values import number_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Link, TraceState

_MAX_TRACE_ID: Final = (1 << 128) - 1

_Part = TypeVar("_Part")
_Copy = TypeVar("_Copy")


def mended_span(span: ReadableSpan) -> SpanCopy:
    """Copy a span so that it can be encoded.

    Raises:
        Exception: It has no valid ids, or they raise when read: then it is no span.
    """
    events, lost_events = _each(lambda: span.events, _event)
    links, lost_links = _each(lambda: span.links, _link)
    own = OwnParts(
        attributes=mended_attributes(lambda: span.attributes, lambda: span.dropped_attributes),
        events=events,
        links=links,
        lost_events=total_lost(lost_events, lambda: span.dropped_events),
        lost_links=total_lost(lost_links, lambda: span.dropped_links),
    )
    return SpanCopy(
        mended_text(lambda: span.name),
        own,
        context=_context(span.get_span_context()),
        parent=_read(lambda: None if span.parent is None else _context(span.parent)),
        resource=_read(lambda: span.resource) or Resource.get_empty(),
        kind=_read(lambda: SpanKind(span.kind)) or SpanKind.INTERNAL,
        status=_status(lambda: span.status),
        start_time=_number(lambda: span.start_time),
        end_time=_number(lambda: span.end_time),
        instrumentation_scope=_read(lambda: span.instrumentation_scope),
    )


def mended_log(readable: ReadableLogRecord) -> LogCopy:
    """Copy a log record so that it can be encoded.

    Raises:
        Exception: Its body cannot even be asked for: then it is no log record.
    """
    record = readable.log_record
    body = record.body
    own = mended_attributes(lambda: record.attributes, lambda: readable.dropped_attributes)
    copied = log_record(
        timestamp=_number(lambda: record.timestamp),
        observed_timestamp=_number(lambda: record.observed_timestamp),
        trace_id=_number(lambda: record.trace_id, _MAX_TRACE_ID) or 0,
        span_id=_number(lambda: record.span_id) or 0,
        trace_flags=_number(lambda: record.trace_flags, UINT32_MAX) or 0,
        severity_text=mended_text(lambda: record.severity_text),
        severity_number=_read(lambda: SeverityNumber(record.severity_number)),
        body=mended_body(body),
        attributes=own.values,
        event_name=mended_text(lambda: record.event_name),
    )
    resource = _read(lambda: readable.resource) or Resource.get_empty()
    scope = _read(lambda: readable.instrumentation_scope)
    return LogCopy(copied, resource, scope, own=own)


def _read(read: Callable[[], _Part]) -> _Part | None:
    try:
        return read()
    except Exception:  # noqa: BLE001 - a part that raises when read is a part that is missing
        return None


def _number(read: Callable[[], object], maximum: int = UINT64_MAX) -> int | None:
    number = number_of(_read(read))
    if number is None or not math.isfinite(number) or not 0 <= number <= maximum:
        return None
    return int(number)


def _each(read: Callable[[], Iterable[_Part]], copied: Callable[[_Part], _Copy]) -> tuple[list[_Copy], int]:
    """Copy what can be copied, and count what cannot."""
    copies: list[_Copy] = []
    lost = 0
    for part in _read(lambda: list(read())) or []:
        try:
            copies.append(copied(part))
        except Exception:  # noqa: BLE001 - whatever is odd about it: the others are not
            lost += 1
    return copies, lost


def _event(event: Event) -> EventCopy:
    # Read without care: an event of which not even these can be read is none.
    name, timestamp = event.name, event.timestamp
    return EventCopy(
        mended_text(lambda: name) or "",
        _number(lambda: timestamp) or 0,
        mended_attributes(lambda: event.attributes, lambda: event.dropped_attributes),
    )


def _link(link: Link) -> LinkCopy:
    context = _context(link.context)
    return LinkCopy(context, mended_attributes(lambda: link.attributes, lambda: link.dropped_attributes))


def _context(context: SpanContext | None) -> SpanContext:
    if context is None:
        raise ValueError("no context, hence no identity")
    trace_id, span_id = _number(lambda: context.trace_id, _MAX_TRACE_ID), _number(lambda: context.span_id)
    if trace_id is None or span_id is None:
        raise ValueError("ids that are none")
    state = _read(lambda: _valid_state(context.trace_state))
    return SpanContext(trace_id, span_id, bool(_read(lambda: context.is_remote)), trace_state=state)


def _valid_state(state: TraceState) -> TraceState:
    for key, value in state.items():
        f"{key}={value}".encode()
    return state


def _status(read: Callable[[], Status]) -> Status:
    code = _read(lambda: StatusCode(read().status_code)) or StatusCode.UNSET
    description = mended_text(lambda: read().description)
    return Status(code, description if code is StatusCode.ERROR else None)
