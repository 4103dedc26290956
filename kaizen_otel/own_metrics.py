"""Our own meter provider, and its end: the last metrics leave in time, or are given up."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult

from kaizen_processors.export.endings import end_with_process, time_left_s
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.sdk.metrics.export import MetricReader, MetricsData
    from opentelemetry.sdk.resources import Resource

_logger = logging.getLogger("kaizen_otel")

_EXPORTERS_LOGS: Final = (
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
)
"""Where the official exporters tell of each retry (1.43 to 1.45)."""

_LAST_MOMENT_S: Final = 0.05


class StoppableExporter(MetricExporter):
    """An exporter that says what became of its exports, can be stopped once and for all, and then says no more.

    Args:
        exporter: the official one.
    """

    def __init__(self, exporter: Any) -> None:
        """Take the place of `exporter` before a reader."""
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)  # noqa: SLF001 - no other way
        self._exporter = exporter
        self._stopped = False
        self._here = threading.local()
        self._running = 0
        self._failed_before = 0
        self._ending = False
        self.failed = 0
        """Exports that the backend did not take."""

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Export; what is raised is a failure."""
        self._here.exporting = True
        self._running += 1  # under the reader's lock: one at a time
        result = MetricExportResult.FAILURE
        try:
            if not self._stopped:
                result = self._exporter.export(metrics_data, timeout_millis=timeout_millis, **kwargs)
        except Exception as error:
            if not self._ending:
                raise
            _logger.debug("the last metrics were not exported (%s)", type_name(error))
        finally:
            if result is not MetricExportResult.SUCCESS:
                self.failed += 1
            self._running -= 1
            self._here.exporting = False
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing waits here."""
        return bool(self._exporter.force_flush(timeout_millis=timeout_millis))

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Retry no more."""
        del kwargs  # the reader gives a `timeout` in a unit of its own
        if not self._stopped:
            self._stopped = True
            self._exporter.shutdown(timeout_millis=timeout_millis)

    def begin_end(self) -> None:
        """From now on the exporter's own lines about this export are left out: the end says one of ours."""
        if not self._ending:
            self._ending = True
            self._failed_before = self.failed
            for name in _EXPORTERS_LOGS:
                logging.getLogger(name).addFilter(self._is_foreign)

    def end(self) -> bool:
        """Stop; True when nothing is under way, and nothing failed since the end began."""
        delivered = not self._running and self.failed == self._failed_before
        self.shutdown()
        if not self._running:  # else it has a last word to say, which nobody needs
            for name in _EXPORTERS_LOGS:
                logging.getLogger(name).removeFilter(self._is_foreign)
        return delivered

    def _is_foreign(self, record: logging.LogRecord) -> bool:
        del record  # it is made on the thread that exports
        return not getattr(self._here, "exporting", False)


class MetricWay(NamedTuple):
    """A way by which metrics leave: what collects, and the exporter that it pushes to, or the server that serves it."""

    reader: MetricReader
    exporter: StoppableExporter | None = None
    server: Any = None


class OwnMetrics:
    """A private meter provider, and the ways by which its metrics leave: at most one of each kind.

    The SDK's provider waits up to 30 s at the interpreter's exit, retries included, so this ends it instead.

    Args:
        ways: the first ones.
        resource: what this process is.
        exit_timeout_s: longest time that the end waits.
    """

    def __init__(self, ways: Sequence[MetricWay], resource: Resource, exit_timeout_s: float) -> None:
        """Make the provider."""
        self.provider = MeterProvider([way.reader for way in ways], resource=resource, shutdown_on_exit=False)
        self._added: list[MetricReader] = []  # the provider (SDK 1.43 to 1.45) flushes and ends only its first ones
        self._exporter: StoppableExporter | None = None
        self._exit_timeout_s = exit_timeout_s
        self._server: Any = None
        self.after_fork_in_child()
        begin_anew_in_children(self)
        for way in ways:
            self._hold(way)

    def add(self, way: MetricWay) -> None:
        """Let metrics leave this way, too, from now on."""
        self.provider.add_metric_reader(way.reader)
        self._added.append(way.reader)
        self._hold(way)

    def _hold(self, way: MetricWay) -> None:
        if way.server is not None:
            self._server = way.server
        if way.exporter is not None:
            self._exporter = way.exporter
            end_with_process(self)

    @property
    def pushes(self) -> bool:
        """Whether metrics are exported by themselves, and not only served."""
        return self._exporter is not None

    def after_fork_in_child(self) -> None:
        """Forget the thread of the parent's end."""
        self._lock = threading.Lock()
        self._last: threading.Thread | None = None
        self._done = False

    @property
    def prometheus_port(self) -> int | None:
        """The port that the endpoint really listens on."""
        return None if self._server is None else int(self._server.server_port)

    def flush(self, timeout_s: float) -> bool:
        """Collect and export now; True only when the backend took it within `timeout_s` seconds."""
        exporter = self._exporter
        if exporter is None:
            return True  # Prometheus fetches
        failed = exporter.failed
        collected = threading.Event()

        def collect() -> None:
            with _said_low("flushed"):
                self.provider.force_flush(timeout_s * 1_000)
                for reader in self._added:
                    reader.force_flush(timeout_s * 1_000)
                collected.set()

        thread = _begun(collect, "kaizen-otel-metrics-flush")
        if thread is not None:
            thread.join(timeout_s)
        return collected.is_set() and exporter.failed == failed

    def hasten(self) -> None:
        """Begin the last collection and its export, without waiting for it."""
        with self._lock:
            if self._last is None and not self._done and self._exporter is not None:
                self._exporter.begin_end()
                self._last = _begun(self._collect_last, "kaizen-otel-metrics-end")

    def shutdown(self, timeout_s: float | None = None) -> bool:
        """Collect and export a last time, and stop: within `timeout_s` seconds, by default as the settings say.

        Returns:
            True when the backend took it.
        """
        limit_s = time_left_s(self._exit_timeout_s if timeout_s is None else timeout_s, self._exit_timeout_s)
        deadline_s = time.monotonic() + limit_s
        self.hasten()
        with self._lock:
            if self._done:
                return True
            self._done = True
        in_time = True
        if self._last is None:  # nothing to push, or no thread can start so late (Python 3.12 and later)
            self._end_readers(max(limit_s, _LAST_MOMENT_S))
        else:
            self._last.join(max(0.0, deadline_s - time.monotonic()))
            in_time = not self._last.is_alive()
        if self._exporter is None:
            return True
        delivered = self._exporter.end() and in_time
        if not delivered:
            _logger.warning("the last metrics were not delivered: the backend did not take them in time")
        return delivered

    def close(self, timeout_s: float | None = None) -> None:
        """Shut down, and close the endpoint."""
        try:
            self.shutdown(timeout_s)
        finally:
            if self._server is not None:
                self._server.shutdown()
                self._server.server_close()

    def _collect_last(self) -> None:
        with _said_low("collected"):
            self._end_readers(self._exit_timeout_s)

    def _end_readers(self, timeout_s: float) -> None:
        try:
            self.provider.shutdown(timeout_s * 1_000)
        finally:
            for reader in self._added:
                reader.shutdown(timeout_s * 1_000)


@contextmanager
def _said_low(what: str) -> Iterator[None]:
    """What a reader raises, such as that its time is up, on a thread of ours: whoever waits gives the answer."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a reader's or an exporter's
        _logger.debug("metrics were not %s (%s)", what, type_name(error))


def _begun(run: Callable[[], object], name: str) -> threading.Thread | None:
    thread = threading.Thread(target=run, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # "can't start new thread"
        return None
    return thread
