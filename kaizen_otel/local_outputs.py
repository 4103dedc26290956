"""Console and file: they watch ended spans in this process, on whatever provider those are made."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import BatchSpanProcessor

from kaizen_otel.settings import SettingsError
from kaizen_otel.settings.origins import raise_where_asked_for
from kaizen_processors.pipeline import Observer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from kaizen_otel.settings import Settings
    from kaizen_processors.export.console import ConsoleTree
    from kaizen_processors.export.otlp_file import OtlpJsonFileExporter
    from kaizen_processors.fence import Fence
    from kaizen_processors.pipeline import Pipeline

_logger = logging.getLogger("kaizen_otel")

FILE_QUEUE_SPANS = 65_536
FILE_INTERVAL_MS = 500

_LAST_LINES_S = 2.0
"""Longest time that an output which is closed for another one has to write what it holds."""


class LocalOutputs:
    """The console and the file of one telemetry, as the settings say.

    Args:
        pipeline: where they watch.
        fence: counts what a file fails at.
    """

    def __init__(self, pipeline: Pipeline, fence: Fence) -> None:
        """Have none yet."""
        self._pipeline = pipeline
        self._fence = fence
        self._console: ConsoleOutput | None = None
        self._file: FileOutput | None = None
        self._opened: tuple[object, object] = ((False, None), None)  # what the settings said of each

    def configure(self, settings: Settings) -> None:
        """Open what the settings ask for and is not open, close what they ask for no more.

        Raises:
            SettingsError: the file cannot be opened, and not just a preset asked for it; the one before stays.
        """
        asked = (settings.console, settings.console_width), settings.file
        console, file = self._opened
        if console != asked[0]:
            self._exchange(self._console, fresh := _console_output(settings))
            self._console = fresh
            self._opened = asked[0], file
        if file != asked[1]:
            opened = _file_output(settings, self._fence)
            self._exchange(self._file, opened)
            self._file = opened
            self._opened = asked

    @property
    def file(self) -> FileOutput | None:
        """The file, if one is open."""
        return self._file

    def _exchange(self, old: Observer | None, new: Observer | None) -> None:
        if new is not None:
            self._pipeline.add(new)
        if old is not None:
            self._pipeline.remove(old)
            old.flush(_LAST_LINES_S)
            old.shutdown()


def _console_output(settings: Settings) -> ConsoleOutput | None:
    if not settings.console:
        return None
    from kaizen_processors.export.console import ConsoleTree  # noqa: PLC0415 - rich is loaded when used

    return ConsoleOutput(ConsoleTree(width=settings.console_width))


def _file_output(settings: Settings, fence: Fence) -> FileOutput | None:
    path = settings.file
    if path is None:
        return None
    from kaizen_processors.export.otlp_file import OtlpJsonFileExporter  # noqa: PLC0415 - loaded when used

    try:
        return FileOutput(OtlpJsonFileExporter(path, fence=fence))
    except OSError as error:
        where = settings.origins["file"].where
        refusal = SettingsError(
            f"{where}: file cannot be {path}: {error.strerror or type(error).__name__}", key="file", where=where
        )
        refusal.__cause__ = error
        raise_where_asked_for(settings, "file", refusal, partial(_logger.warning, "%s: going on without it"))
        return None


class ConsoleOutput(Observer):
    """Prints the tree of each execution as it ends."""

    def __init__(self, tree: ConsoleTree) -> None:
        """Print with this console tree."""
        self._tree = tree

    def on_span(self, span: ReadableSpan) -> None:
        """Add a span; a finished root prints its tree."""
        self._tree.on_span(span)

    def flush(self, timeout_s: float) -> bool:
        """Wait until every finished tree is printed."""
        return self._tree.drain(timeout_s)

    def shutdown(self) -> None:
        """Print what is left."""
        self._tree.flush()


class FileOutput(Observer):
    """Writes ended spans to an OTLP-JSON file, in batches, on a thread of its own.

    A child of `multiprocessing` leaves by `os._exit`, where no `atexit` writes the last batch: `end_with_process` does.
    """

    def __init__(self, exporter: OtlpJsonFileExporter) -> None:
        """Write with this exporter."""
        self._exporter = exporter
        self._dropped_told = 0
        self._batches = BatchSpanProcessor(
            exporter, max_queue_size=FILE_QUEUE_SPANS, schedule_delay_millis=FILE_INTERVAL_MS
        )
        from kaizen_processors.export.endings import end_with_process  # noqa: PLC0415 - loaded when used

        self._last_batch = _LastBatch(self._batches)
        end_with_process(self._last_batch)

    def on_span(self, span: ReadableSpan) -> None:
        """Queue one span."""
        self._batches.on_end(span)

    def flush(self, timeout_s: float) -> bool:
        """Write out what is queued; False when that takes longer, or when spans were lost since the flush before."""
        from kaizen_processors.export.passing import in_time  # noqa: PLC0415 - loaded when used

        flushed: list[bool] = []
        in_time(lambda: flushed.append(self._batches.force_flush()), timeout_s)
        told, self._dropped_told = self._dropped_told, self._exporter.dropped
        return flushed == [True] and self._dropped_told == told

    def shutdown(self) -> None:
        """Write out what is queued and close the file."""
        self._batches.shutdown()  # type: ignore[no-untyped-call]  # untyped in SDK 1.45


class _LastBatch:
    """What a process has not yet written to the file when it ends."""

    def __init__(self, batches: BatchSpanProcessor) -> None:
        self._batches = batches

    def hasten(self) -> None:
        """Nothing to start early: a file takes what it is given at once."""

    def shutdown(self, timeout_s: float | None = None) -> bool:
        """Write it, however long it takes: a file has no outage."""
        del timeout_s
        self._batches.shutdown()  # type: ignore[no-untyped-call]  # untyped in SDK 1.45
        return True
