"""Spans and log records that are larger than a request may be: copies without their largest values.

What is dropped is counted where it was (`dropped_attributes_count` of the span, event or link), a text that is cut says
so at its end. Names, times, ids and the order of what stays are kept.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from kaizen_processors.export.otlp.batch import LogBatchEncoder, SpanBatchEncoder
from kaizen_processors.export.otlp.mend import mended_log, mended_span
from kaizen_processors.export.otlp.spans import event_field, link_field
from kaizen_processors.export.otlp.values import any_value, attribute_fields
from kaizen_processors.redaction.copying import cut
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan

    from kaizen_processors.export.otlp.copies import EventCopy, LinkCopy, OwnAttributes, OwnParts

_ANY_TAG: Final = b"\x4a"
_COUNT_BYTES: Final = 6
"""What a count of missing values may take, at most."""
_MARK_BYTES: Final = 48
_MIN_TEXT_BYTES: Final = 256


class _Cut(NamedTuple):
    """One thing that can be made smaller: the bytes that it takes, and how to cut it by as many as needed."""

    size_bytes: int
    apply: Callable[[int], int]
    """Takes the bytes that are too many, gives those that it saved."""


def trimmed(span: ReadableSpan, max_bytes: int) -> ReadableSpan:
    """Give a span whose batch, of this span alone, takes at most `max_bytes`: itself, or a copy without the largest.

    Attributes go first, the span's own and those of its events and links, the largest first; a long name or status
    description is cut; then go whole events and links. Never raises: a span whose resource alone is too large comes
    back as small as it gets, and one that cannot be encoded at all comes back as it is.
    """
    try:
        return _trimmed_span(span, max_bytes)
    except Exception:  # noqa: BLE001 - it has no valid ids: the batch counts it
        return span


def trimmed_log(record: ReadableLogRecord, max_bytes: int) -> ReadableLogRecord:
    """Give a log record whose batch, of this record alone, takes at most `max_bytes`; see `trimmed`.

    The body is cut when it is the largest: a text to what there is room for, anything else to the name of its type.
    """
    try:
        return _trimmed_log(record, max_bytes)
    except Exception:  # noqa: BLE001 - it is no log record: the batch counts it
        return record


def _trimmed_span(span: ReadableSpan, max_bytes: int) -> ReadableSpan:
    copy = mended_span(span)
    excess = SpanBatchEncoder().add(copy) - max_bytes
    if excess <= 0:
        return span
    owners = [copy.own.attributes, *(event.own for event in copy.own.events), *(link.own for link in copy.own.links)]
    cuts = [cut for owner in owners for cut in _attribute_cuts(owner)]
    cuts.append(_text_cut(copy.name, copy.rename))
    cuts.append(_text_cut(copy.status.description, copy.describe))
    _apply(cuts, excess)
    excess = SpanBatchEncoder().add(copy) - max_bytes
    if excess > 0:
        _apply(_part_cuts(copy.own), excess)
    return copy


def _trimmed_log(readable: ReadableLogRecord, max_bytes: int) -> ReadableLogRecord:
    copy = mended_log(readable)
    excess = LogBatchEncoder().add(copy) - max_bytes
    if excess <= 0:
        return readable
    record = copy.log_record
    cuts = [*_attribute_cuts(copy.own), _body_cut(record)]
    cuts.append(_text_cut(record.severity_text, partial(setattr, record, "severity_text")))
    cuts.append(_text_cut(record.event_name, partial(setattr, record, "event_name")))
    _apply(cuts, excess)
    return copy


def _apply(cuts: Iterable[_Cut], excess: int) -> None:
    for largest in sorted(cuts, key=lambda each: each.size_bytes, reverse=True):
        if excess <= 0:
            return
        excess -= largest.apply(excess)


def _attribute_cuts(own: OwnAttributes) -> Iterator[_Cut]:
    for key, value in own.values.items():
        yield _attribute_cut(own, key, len(attribute_fields(_ANY_TAG, {key: value})))


def _attribute_cut(own: OwnAttributes, key: str, size_bytes: int) -> _Cut:
    def drop(_: int) -> int:
        del own.values[key]
        own.lost += 1
        return size_bytes - _COUNT_BYTES

    return _Cut(size_bytes, drop)


def _text_cut(text: str | None, replace: Callable[[str], None]) -> _Cut:
    encoded = (text or "").encode()

    def shorten(excess: int) -> int:
        kept = max(len(encoded) - excess - _MARK_BYTES, _MIN_TEXT_BYTES)
        if kept + _MARK_BYTES >= len(encoded):
            return 0
        start = encoded[:kept].decode(errors="ignore")
        replace(cut(start, len(start), len(text or "")))
        return len(encoded) - kept - _MARK_BYTES

    return _Cut(len(encoded), shorten)


def _body_cut(record: LogRecord) -> _Cut:
    body = record.body
    if isinstance(body, str):
        return _text_cut(body, partial(setattr, record, "body"))
    size_bytes = len(any_value(body))
    name = f"[object {type_name(body)}]"

    def replace(_: int) -> int:
        record.body = name
        return size_bytes - len(name.encode()) - _COUNT_BYTES

    return _Cut(size_bytes, replace)


def _part_cuts(own: OwnParts) -> Iterator[_Cut]:
    for event in own.events:
        yield _event_cut(own, event)
    for link in own.links:
        yield _link_cut(own, link)


def _event_cut(own: OwnParts, event: EventCopy) -> _Cut:
    size_bytes = len(event_field(event))

    def drop(_: int) -> int:
        own.events.remove(event)
        own.lost_events += 1
        return size_bytes - _COUNT_BYTES

    return _Cut(size_bytes, drop)


def _link_cut(own: OwnParts, link: LinkCopy) -> _Cut:
    size_bytes = len(link_field(link))

    def drop(_: int) -> int:
        own.links.remove(link)
        own.lost_links += 1
        return size_bytes - _COUNT_BYTES

    return _Cut(size_bytes, drop)
