"""The official encoder, asked about the few values that ours does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from kaizen_processors.forking import importing

if TYPE_CHECKING:
    from opentelemetry.util.types import AnyValue


def official_value(value: object) -> bytes:
    """Have the official encoder make an AnyValue, in case a later version of it knows more types than we do.

    A log record's body is the way in: there it raises for what it does not know, where for an attribute it would log
    the value with a traceback.

    Raises:
        Exception: It does not know the type either (seen in 1.43 to 1.45: `Exception`).
    """
    # Imported when used: with protobuf it costs 40 ms, and most processes never come here.
    with importing:
        from opentelemetry._logs import LogRecord  # noqa: PLC0415 - as above
        from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs  # noqa: PLC0415 - as above
        from opentelemetry.sdk._logs import ReadableLogRecord  # noqa: PLC0415 - as above
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - as above

    record = ReadableLogRecord(LogRecord(body=cast("AnyValue", value)), Resource.get_empty())
    (resource,) = encode_logs([record]).resource_logs
    encoded: bytes = resource.scope_logs[0].log_records[0].body.SerializeToString()
    return encoded
