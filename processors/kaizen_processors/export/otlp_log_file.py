"""Log records and events as OTLP-JSON lines in a file of their own, the counterpart of `otlp_file` for logs.

Apart, because the SDK's log classes are still in a private module: who writes only spans does not depend on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

from kaizen_processors.export.otlp_file import JsonLinesFile, export_lines, otlp_json
from kaizen_processors.fence import Fence
from kaizen_processors.forking import importing

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord


class OtlpJsonLogFileExporter(LogRecordExporter):
    """Appends log records to an OTLP-JSON file, one line a batch; see `OtlpJsonFileExporter` for all else.

    Args:
        path: The file, another than that of the spans: a file holds one kind of data.

    Raises:
        OSError: The file cannot be opened for appending.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = JsonLinesFile(path)
        self._stopped = False
        self.fence = Fence()
        self.dropped = 0

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Write log records. Never raises.

        Returns:
            `SUCCESS` when all of them are in the file.
        """
        if self._stopped:
            return LogRecordExportResult.FAILURE
        written = export_lines(self._file, batch, _encode_logs, self.fence)
        self.dropped += len(batch) - written
        return LogRecordExportResult.SUCCESS if written == len(batch) else LogRecordExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Nothing is held back: what was exported is in the file."""
        return True

    def shutdown(self) -> None:
        """Write nothing from now on."""
        self._stopped = True


def _encode_logs(batch: Sequence[ReadableLogRecord]) -> bytes:
    with importing:  # protobuf: 40 ms
        from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs  # noqa: PLC0415 - as above

    return otlp_json(encode_logs(batch))
