"""Our own way out, for an application that has none: OTLP as `OTEL_*` asks, console, file, Prometheus."""

from __future__ import annotations

import logging
import os
import platform
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from kaizen_otel.forked_providers import Instances
from kaizen_otel.metric_exporter import StoppableExporter
from kaizen_otel.otel_logs import application_has_logs, build_own_logs
from kaizen_otel.own_metrics import OwnMetrics
from kaizen_otel.settings import SettingsError
from kaizen_otel.settings.paths import given_by_somebody
from kaizen_processors.chance import OwnIdGenerator
from kaizen_processors.pipeline import Observer
from kaizen_processors.series import series_limits
from kaizen_semconv.gen_ai import DEPLOYMENT_ENVIRONMENT_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace import ReadableSpan

    from kaizen_otel.otel_logs import OwnLogs
    from kaizen_otel.settings import Settings
    from kaizen_processors.export.console import ConsoleTree
    from kaizen_processors.export.delivery import DeliveryQueue
    from kaizen_processors.export.otlp_file import OtlpJsonFileExporter
    from kaizen_processors.fence import Fence

_logger = logging.getLogger("kaizen_otel")

FILE_QUEUE_SPANS = 65_536
FILE_INTERVAL_MS = 500

_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)


_instances = Instances()


def otlp_wanted(settings: Settings, signal: str = "TRACES", environment: Mapping[str, str] | None = None) -> bool:
    """Whether to export a signal by OTLP: as the settings say, else as the `OTEL_*` variables ask."""
    env = os.environ if environment is None else environment
    exporter = env.get(f"OTEL_{signal}_EXPORTER", "").strip().lower()
    if settings.otlp is not None:
        return settings.otlp
    if exporter:
        return "otlp" in exporter.split(",")
    return any(env.get(name) for name in (_ENDPOINTS[0], f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"))


class OwnTraces:
    """A private tracer provider, and the queue by which its spans leave."""

    def __init__(self, provider: TracerProvider, queue: DeliveryQueue[ReadableSpan] | None = None) -> None:
        """Hold both; without a queue nothing leaves by OTLP."""
        self.provider = provider
        self.queue = queue


def build_own_traces(settings: Settings, fence: Fence) -> OwnTraces:
    """A private tracer provider; its spans leave by OTLP when that is wanted.

    Raises:
        SettingsError: the `OTEL_EXPORTER_OTLP_*` variables name no usable endpoint.
    """
    provider = TracerProvider(resource=resource_of(settings), id_generator=settings.id_generator or OwnIdGenerator())
    if not otlp_wanted(settings):
        return OwnTraces(provider)
    from kaizen_otel.delivery import own_delivery  # noqa: PLC0415 - loaded when used
    from kaizen_processors.export.queue_processors import (  # noqa: PLC0415 - loaded when used
        QueueSpanProcessor,
        otlp_span_queue,
    )

    try:
        queue = otlp_span_queue(*own_delivery(settings, "traces", fence), fence)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    provider.add_span_processor(QueueSpanProcessor(queue))
    return OwnTraces(provider, queue)


def build_own_events(settings: Settings, fence: Fence) -> OwnLogs | None:
    """A private logger provider for our events, when they are to leave by OTLP and nobody else takes them.

    Raises:
        SettingsError: the `OTEL_EXPORTER_OTLP_*` variables name no usable endpoint.
    """
    if not otlp_wanted(settings, "LOGS") or application_has_logs():
        return None
    try:
        return build_own_logs(resource_of(settings), settings, fence)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def build_own_metrics(settings: Settings) -> OwnMetrics | None:
    """A private meter provider for our own metric outputs; None when there are none.

    Raises:
        SettingsError: the Prometheus endpoint cannot listen where it should.
    """
    readers: list[MetricReader] = []
    exporter: StoppableExporter | None = None
    if otlp_wanted(settings, "METRICS"):
        interval_s = settings.metrics_interval_s
        protocol = otlp_protocol("METRICS")
        kind = "otlp_grpc_metric_exporter" if protocol == "grpc" else "otlp_http_metric_exporter"
        exporter = StoppableExporter(partial(_otlp_metric_exporter, protocol), kind)
        readers.append(
            PeriodicExportingMetricReader(
                exporter,
                export_interval_millis=None if interval_s is None else interval_s * 1_000,
                **series_limits(settings.max_ledger_keys),
            )
        )
    server = None
    if settings.prometheus_port is not None and settings.serves_own_metrics:
        try:
            reader, server = _prometheus_endpoint(settings, settings.prometheus_port)
        except SettingsError as error:
            if given_by_somebody(settings, "prometheus_port"):
                raise
            _logger.warning("%s: metrics are served nowhere", error)
        else:
            readers.append(reader)
    if not readers:
        return None
    return OwnMetrics(
        readers, resource_of(settings), exporter=exporter, exit_timeout_s=settings.exit_timeout_s, server=server
    )


def local_outputs(settings: Settings, fence: Fence) -> Iterator[Observer]:
    """Console and file: they watch ended spans in this process, on whatever provider those are made.

    Raises:
        SettingsError: the file cannot be opened, and not just a preset asked for it.
    """
    if settings.console:
        from kaizen_processors.export.console import ConsoleTree  # noqa: PLC0415 - rich is loaded when used

        yield ConsoleOutput(ConsoleTree(width=settings.console_width))
    file = _file_output(settings, fence)
    if file is not None:
        yield file


def _file_output(settings: Settings, fence: Fence) -> FileOutput | None:
    path = settings.file
    if path is None:
        return None
    from kaizen_processors.export.otlp_file import OtlpJsonFileExporter  # noqa: PLC0415 - loaded when used

    try:
        return FileOutput(OtlpJsonFileExporter(path, fence=fence))
    except OSError as error:
        where = settings.origins["file"].where
        reason = error.strerror or type(error).__name__
        if given_by_somebody(settings, "file"):
            message = f"{where}: file cannot be {path}: {reason}"
            raise SettingsError(message, key="file", where=where) from error
        _logger.warning("%s: the file %s cannot be opened (%s); going on without it", where, path, reason)
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


def resource_of(settings: Settings) -> Resource:
    """What this process is to whoever gets its telemetry from our own providers."""
    # OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME are read by Resource.create; an explicit setting wins over them.
    given: dict[str, str] = {}
    if settings.service_name is not None:
        given[SERVICE_NAME] = settings.service_name
    if settings.environment is not None:
        given[DEPLOYMENT_ENVIRONMENT_NAME] = settings.environment
    return _instances.named(Resource.create({**given, "process.runtime.version": platform.python_version()}))


def otlp_protocol(signal: str) -> str:
    """The protocol that the `OTEL_EXPORTER_OTLP_*` variables ask for: `grpc`, or else `http/protobuf`."""
    name = f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"
    return (os.environ.get(name) or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf").strip().lower()


def _otlp_metric_exporter(protocol: str) -> Any:
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415 - 100 ms of import
            OTLPMetricExporter as GrpcMetricExporter,
        )

        # Else a channel in a forked child finds its parent's connection (see kaizen_processors.export.grpc_sender).
        own_connection: Any = (("grpc.use_local_subchannel_pool", 1),)
        return GrpcMetricExporter(channel_options=own_connection)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415 - loaded when used
        OTLPMetricExporter,
    )

    return OTLPMetricExporter()


def _prometheus_endpoint(settings: Settings, port: int) -> tuple[MetricReader, Any]:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415 - loaded when used
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 - loaded when used

    registry = CollectorRegistry()
    host = settings.prometheus_host
    reader = PrometheusMetricReader(
        registry=registry, scope_info_enabled=False, **series_limits(settings.max_ledger_keys)
    )
    try:
        server, _thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise SettingsError(f"prometheus_port: cannot listen on {host}:{port} ({error.strerror})") from error
    return reader, server
