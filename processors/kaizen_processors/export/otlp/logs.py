"""One log record as OTLP's `LogRecord`, byte for byte as the official encoder writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kaizen_processors.export.otlp.spans import time_field
from kaizen_processors.export.otlp.values import any_value, attribute_fields
from kaizen_processors.export.otlp.wire import UINT64_MAX, count_field, framed, pack_fixed32, text_field, varint

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord

_TIME, _SEVERITY, _SEVERITY_TEXT, _BODY = 0x09, b"\x10", b"\x1a", b"\x2a"
_ATTRIBUTES, _LOST_ATTRIBUTES, _FLAGS = b"\x32", b"\x38", 0x45
_TRACE_ID, _SPAN_ID, _OBSERVED_TIME, _EVENT_NAME = b"\x4a\x10", b"\x52\x08", 0x59, b"\x62"

_INT32: Final = range(-(1 << 31), 1 << 31)


def log_message(readable: ReadableLogRecord) -> bytes:
    """Encode a log record.

    Raises:
        Exception: Whatever a part raises that cannot be encoded; `mend` knows what to do.
    """
    record = readable.log_record
    flags = int(record.trace_flags or 0)
    return b"".join(
        (
            time_field(_TIME, record.timestamp),
            _severity(getattr(record.severity_number, "value", None)),
            _text(_SEVERITY_TEXT, record.severity_text),
            framed(_BODY, any_value(record.body)),
            attribute_fields(_ATTRIBUTES, record.attributes),
            count_field(_LOST_ATTRIBUTES, readable.dropped_attributes),
            pack_fixed32(_FLAGS, flags) if flags else b"",
            _TRACE_ID + record.trace_id.to_bytes(16, "big") if record.trace_id else b"",
            _SPAN_ID + record.span_id.to_bytes(8, "big") if record.span_id else b"",
            time_field(_OBSERVED_TIME, record.observed_timestamp),
            _text(_EVENT_NAME, record.event_name),
        )
    )


def _severity(number: int | None) -> bytes:
    if not number:
        return b""
    if number not in _INT32:
        raise OverflowError("a severity beyond 32 bits")
    return _SEVERITY + varint(number & UINT64_MAX)


def _text(tag: bytes, text: str | None) -> bytes:
    return text_field(tag, text) if text is not None else b""
