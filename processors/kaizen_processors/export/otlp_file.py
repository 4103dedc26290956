"""Spans as OTLP-JSON lines in a file: written by an exporter, read back as `SpanNode`s.

The format is the OpenTelemetry Protocol File Exporter's: UTF-8, one JSON object with `resourceSpans` a line, ids in
hex, camelCase keys, enums as numbers, 64-bit integers as strings. The Collector's `otlpjsonfile` receiver reads it, its
`file` exporter writes it. A file holds one kind of data, as that specification demands; logs go to another one, see
`otlp_log_file`.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from kaizen_processors.fence import Fence
from kaizen_processors.forking import importing
from kaizen_processors.trace_tree import SpanNode, otlp_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

_logger = logging.getLogger("kaizen_otel")

_ID_KEYS: Final = frozenset({"traceId", "spanId", "parentSpanId"})

_SIGNALS: Final = frozenset({"resourceSpans", "resourceLogs", "resourceMetrics"})

_MAX_LINE_BYTES: Final = 1_000_000
"""Below the 1 MiB at which the Collector's file receivers cut a line in two (`max_log_size`, seen in 0.158)."""


class JsonLinesFile:
    """Appends lines to a file that only its owner may read, each line whole or, after a crash, visibly torn.

    The file is opened for each append, so log rotation and forked workers need no care. Several processes may append
    to one file: each line is one write at the end.

    Args:
        path: The file. It is made when missing (mode 0600); its folder is not.

    Raises:
        OSError: The file cannot be opened for appending.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self.append([])

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines; each holds no newline.

        Raises:
            OSError: The lines from the first that failed on are not in the file.
        """
        with self._lock:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                for line in lines:
                    _write(descriptor, _mend(descriptor) + line + b"\n")
            finally:
                os.close(descriptor)


def _mend(descriptor: int) -> bytes:
    """A newline when the file ends in a torn line: what follows must not be glued to it."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        return b""
    return b"" if os.pread(descriptor, 1, found.st_size - 1) == b"\n" else b"\n"


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class OtlpJsonFileExporter(SpanExporter):
    """Appends spans to an OTLP-JSON file, one line a batch, in the file when `export` returns.

    A batch whose line would be longer than the Collector reads is split. A span that cannot be encoded (a lone
    surrogate in its name) is left out and counted in `dropped`; the others of its batch are written.

    Args:
        path: The file; `.jsonl` by convention.
        fence: Counts what keeps spans out of the file; by default one of its own.

    Raises:
        OSError: The file cannot be opened for appending.
    """

    def __init__(self, path: str | os.PathLike[str], *, fence: Fence | None = None) -> None:
        self._file = JsonLinesFile(path)
        self._stopped = False
        self.fence = Fence() if fence is None else fence
        self.dropped = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write spans. Never raises.

        Returns:
            `SUCCESS` when all of them are in the file.
        """
        if self._stopped:
            return SpanExportResult.FAILURE
        written = export_lines(self._file, spans, _encode_spans, self.fence)
        self.dropped += len(spans) - written
        return SpanExportResult.SUCCESS if written == len(spans) else SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Nothing is held back: what was exported is in the file."""
        return True

    def shutdown(self) -> None:
        """Write nothing from now on."""
        self._stopped = True


def export_lines(
    file: JsonLinesFile, items: Sequence[Any], encode: Callable[[Sequence[Any]], bytes], fence: Fence
) -> int:
    """Encode items into as few lines as their length allows, and append them.

    Returns:
        How many items are in the file. What keeps the others out is counted in `fence`.
    """
    written = 0
    for line, count in _lines(items, encode, fence):
        with fence("otlp_file.write"):
            file.append([line])
            written += count
    return written


def _lines(items: Sequence[Any], encode: Callable[[Sequence[Any]], bytes], fence: Fence) -> Iterator[tuple[bytes, int]]:
    if not items:
        return
    line: bytes | None = None
    try:
        line = encode(items)
    except Exception as error:  # noqa: BLE001 - protobuf raises several types on odd values; each is counted
        if len(items) == 1:
            fence.caught("otlp_file.encode", error)
            return
    if line is not None and (len(line) <= _MAX_LINE_BYTES or len(items) == 1):
        yield line, len(items)
        return
    middle = len(items) // 2
    yield from _lines(items[:middle], encode, fence)
    yield from _lines(items[middle:], encode, fence)


def _encode_spans(spans: Sequence[ReadableSpan]) -> bytes:
    with importing:  # protobuf: 40 ms
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415 - as above

    return otlp_json(encode_spans(spans))


def otlp_json(request: Any) -> bytes:
    """An export request as one line of OTLP-JSON.

    Protobuf's own JSON mapping differs in two points from OTLP's: names of enums, and ids in base64.
    """
    with importing:
        from google.protobuf.json_format import (  # noqa: PLC0415 - with the first batch
            MessageToDict,
        )

    content = MessageToDict(request, use_integers_for_enums=True)
    for item in _items_with_ids(content):
        for key in _ID_KEYS & item.keys():
            item[key] = base64.b64decode(item[key]).hex()
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _items_with_ids(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in (*content.get("resourceSpans", ()), *content.get("resourceLogs", ())):
        for scope in (*resource.get("scopeSpans", ()), *resource.get("scopeLogs", ())):
            yield from scope.get("logRecords", ())
            for span in scope.get("spans", ()):
                yield span
                yield from span.get("links", ())


class OtlpFileError(ValueError):
    """A line of a file is not what it should be. Its text is `path:line: reason`."""

    def __init__(self, path: str | os.PathLike[str], line: int, reason: str) -> None:
        self.path = os.fspath(path)
        self.line = line
        self.reason = reason
        super().__init__(f"{self.path}:{line}: {reason}")


def read_otlp_json(
    path: str | os.PathLike[str], *, on_torn: Callable[[OtlpFileError], None] | None = None
) -> Iterator[SpanNode]:
    """The spans of an OTLP-JSON file, read line by line.

    Lines of logs or metrics are passed over. A torn line, left by a process that was killed while writing, is reported
    and passed over too; it can be the last one or stand before what a later process wrote.

    Args:
        path: The file.
        on_torn: Told of each torn line; by default a warning is logged.

    Raises:
        OSError: The file cannot be read.
        OtlpFileError: A line is no OTLP-JSON.
    """
    with Path(path).open("rb") as file:
        for number, raw in enumerate(file, start=1):
            line = raw.strip()
            if not line:
                continue
            try:
                content = _parse(line)
                nodes = [] if content is None else list(_nodes(content))
            except (ValueError, RecursionError) as error:
                raise OtlpFileError(path, number, str(error) or "is nested too deeply") from error
            if content is None:
                (on_torn or _warn)(OtlpFileError(path, number, "is torn, its spans are lost"))
            yield from nodes


def _warn(torn: OtlpFileError) -> None:
    _logger.warning("%s", torn)


def _parse(line: bytes) -> dict[str, Any] | None:
    """The object of a line; `None` when the line is the beginning of one."""
    try:
        content = json.loads(line)
    except UnicodeDecodeError as error:
        if line.startswith(b"{") and error.end == len(line):
            return None
        raise ValueError("is not UTF-8") from error
    except json.JSONDecodeError as error:
        if line.startswith(b'{"') and _ends_early(error):
            return None
        raise ValueError(f"is not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(content, dict) or not content.keys() & _SIGNALS:
        raise ValueError("is not OTLP-JSON: an object with resourceSpans is expected")
    return content


def _ends_early(error: json.JSONDecodeError) -> bool:
    longest_literal = len("-Infinity")
    return error.msg.startswith("Unterminated string") or error.pos >= len(error.doc) - longest_literal


def _nodes(content: dict[str, Any]) -> Iterator[SpanNode]:
    for resource_spans in _objects(content, "resourceSpans"):
        resource = resource_spans.get("resource")
        attributes = otlp_attributes(resource.get("attributes")) if isinstance(resource, dict) else {}
        service = attributes.get("service.name")
        for scope_spans in _objects(resource_spans, "scopeSpans"):
            scope = scope_spans.get("scope")
            scope_name = scope.get("name") if isinstance(scope, dict) else None
            for span in _objects(scope_spans, "spans"):
                yield SpanNode.from_otlp(
                    span,
                    service=service if isinstance(service, str) else "",
                    scope=scope_name if isinstance(scope_name, str) else "",
                )


def _objects(parent: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = parent.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError(f"{key} is not a list of objects")
    return value
