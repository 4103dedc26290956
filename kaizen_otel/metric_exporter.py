"""The official exporter of metrics, as our meter provider uses it: counted, stoppable, and new in forked children."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult

from kaizen_processors.export.accounts import Accounts, DeliveryCounts, DropReason
from kaizen_processors.forking import CallInFlight, begin_anew_in_children
from kaizen_processors.saying import say
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics.export import MetricsData

_logger = logging.getLogger("kaizen_otel")

_EXPORTERS_LOGS: Final = (
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
)
"""Where the official exporters tell of each try that failed (1.43 to 1.45)."""

_of_parents: Final[list[Any]] = []
"""Exporters made before a fork: never closed, never collected. Their connections are the parent's."""


class StoppableExporter(MetricExporter):
    """An exporter that says what became of its exports, can be stopped once and for all, and then says no more.

    What it counts are data points. One that was not delivered is not made up for: with cumulative sums the next export
    holds what it had, with delta sums it is lost.

    Args:
        make: makes the official one; again in each forked child, which must not use the connections of its parent.
        component_type: how OpenTelemetry's conventions name it: `otlp_http_metric_exporter` or the one for gRPC.
    """

    def __init__(self, make: Callable[[], Any], component_type: str) -> None:
        """Take the place of the exporter before a reader."""
        exporter = make()
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)  # noqa: SLF001 - no other way
        self.component_type = component_type
        self._make = make
        self._exporter: Any = exporter
        self._stopped = False
        self._ended = False
        self._in_flight = CallInFlight()
        self._logs = [logging.getLogger(name) for name in _EXPORTERS_LOGS]
        self._begin()
        begin_anew_in_children(self)
        for logger in self._logs:
            logger.addFilter(self._is_foreign)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._accounts = Accounts()
        self._here = threading.local()
        self._running = 0
        self._failed_before = 0
        self._ending = False
        self._told = False
        self.failed = 0
        """Exports that the backend did not take."""

    def after_fork_in_child(self) -> None:
        """Count from nothing, and connect anew with the first export."""
        if self._exporter is not None:
            _of_parents.append(self._exporter)
        self._exporter = None
        self._begin()
        if self._ended:  # an export that the parent still waits for is none of the child's
            self._leave_logs()

    def counts(self) -> DeliveryCounts:
        """What became of the data points; `pending` are those that are being exported."""
        with self._lock:
            return self._accounts.read()

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Export; what is raised is a failure, and goes no further."""
        points = _points_of(metrics_data)
        self._here.exporting = True
        with self._lock:
            self._accounts.put += points
            self._running += 1
        result, cause = MetricExportResult.FAILURE, "the backend did not take them"
        try:
            if not self._stopped:
                with self._in_flight:
                    result = self._opened().export(metrics_data, timeout_millis=timeout_millis, **kwargs)
        except Exception as error:  # noqa: BLE001 - the exporter's own; the reader would only log it, each time
            cause = type_name(error)
        finally:
            self._here.exporting = False
            self._over(points, delivered=result is MetricExportResult.SUCCESS)
        if result is not MetricExportResult.SUCCESS:
            self._tell(cause)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Nothing waits here, nor in the official exporters."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Retry no more."""
        del kwargs  # the reader gives a `timeout` in a unit of its own
        if not self._stopped:
            self._stopped = True
            if self._exporter is not None:
                self._exporter.shutdown(timeout_millis=timeout_millis)

    def begin_end(self) -> None:
        """From now on nothing is said of failures: the end says one line."""
        if not self._ending:
            self._ending = True
            self._failed_before = self.failed

    def end(self) -> bool:
        """Stop; True when nothing is under way, and nothing failed since the end began."""
        delivered = not self._running and self.failed == self._failed_before
        self.shutdown()
        with self._lock:
            self._accounts.drop(self._accounts.pending, DropReason.SHUTDOWN)
            self._ended = True
            if not self._running:  # else it has a last word to say, which nobody needs
                self._leave_logs()
        return delivered

    def _leave_logs(self) -> None:
        # Of loggers known already: to ask for one by its name waits for the lock that `logging` holds over a fork.
        for logger in self._logs:
            logger.removeFilter(self._is_foreign)

    def _opened(self) -> Any:
        if self._exporter is None:
            self._exporter = self._make()
        return self._exporter

    def _over(self, points: int, *, delivered: bool) -> None:
        with self._lock:
            self._running -= 1
            if self._ended and not self._running:
                self._leave_logs()
            points = min(points, self._accounts.pending)  # none where the end has given them up meanwhile
            if delivered:
                self._accounts.exported += points
                return
            self.failed += 1
            self._accounts.drop(points, DropReason.SHUTDOWN if self._stopped else DropReason.FAILED)

    def _tell(self, cause: str) -> None:
        if self._ending or self._told:
            return
        self._told = True
        say(
            "metrics were not delivered (%s); each further export is tried, this is said once, the counts go on. "
            "`kaizen-otel doctor` says more",
            cause,
        )

    def _is_foreign(self, record: logging.LogRecord) -> bool:
        del record  # it is made on the thread that exports
        return not getattr(self._here, "exporting", False) or _logger.isEnabledFor(logging.DEBUG)


def _points_of(data: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )
