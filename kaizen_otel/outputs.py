"""Our own way out, for an application that has none: OTLP as `OTEL_*` asks, console, file, Prometheus."""

from __future__ import annotations

import logging
import os
import platform
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.environment_variables import OTEL_METRIC_EXPORT_INTERVAL
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider

from kaizen_otel.forked_providers import Instances
from kaizen_otel.metric_exporter import StoppableExporter
from kaizen_otel.otel_logs import application_has_logs, build_own_logs
from kaizen_otel.own_metrics import MetricWay, OwnMetrics
from kaizen_otel.settings import SettingsError
from kaizen_otel.settings.origins import raise_where_asked_for
from kaizen_processors.chance import OwnIdGenerator
from kaizen_processors.series import series_limits
from kaizen_semconv.gen_ai import DEPLOYMENT_ENVIRONMENT_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan

    from kaizen_otel.otel_logs import OwnLogs
    from kaizen_otel.settings import Settings
    from kaizen_processors.export.delivery import DeliveryQueue
    from kaizen_processors.fence import Fence

_logger = logging.getLogger("kaizen_otel")

_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)


OURS: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
"""The providers that we made: a global one cannot be taken back, and ends with the instrumentation that made it."""

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
    queue = _otlp_queue(settings, fence) if otlp_wanted(settings) else None
    provider = TracerProvider(resource=resource_of(settings), id_generator=settings.id_generator or OwnIdGenerator())
    if queue is not None:
        _deliver_by(queue, provider)
    return OwnTraces(provider, queue)


def add_otlp_spans(provider: TracerProvider, settings: Settings, fence: Fence) -> DeliveryQueue[ReadableSpan]:
    """Let the spans of a provider of our own leave by OTLP; gives the queue.

    Raises:
        SettingsError: the `OTEL_EXPORTER_OTLP_*` variables name no usable endpoint.
    """
    queue = _otlp_queue(settings, fence)
    _deliver_by(queue, provider)
    return queue


def _otlp_queue(settings: Settings, fence: Fence) -> DeliveryQueue[ReadableSpan]:
    from kaizen_otel.delivery import own_delivery  # noqa: PLC0415 - loaded when used
    from kaizen_processors.export.queue_processors import otlp_span_queue  # noqa: PLC0415 - loaded when used

    try:
        return otlp_span_queue(*own_delivery(settings, "traces", fence), fence)
    except ValueError as error:
        raise _no_endpoint("TRACES", error) from error


def _deliver_by(queue: DeliveryQueue[ReadableSpan], provider: TracerProvider) -> None:
    from kaizen_processors.export.queue_processors import QueueSpanProcessor  # noqa: PLC0415 - loaded when used

    provider.add_span_processor(QueueSpanProcessor(queue))


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
        raise _no_endpoint("LOGS", error) from error


def _no_endpoint(signal: str, error: ValueError) -> SettingsError:
    """The error of an OTLP endpoint that cannot be used, by the variable that names it."""
    own = f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"
    variable = own if os.environ.get(own) else _ENDPOINTS[0]
    where = f"environment variable {variable}"
    message = f"{where}, or another of OTEL_EXPORTER_OTLP_*: {error}; allowed: an address such as http://localhost:4318"
    return SettingsError(message, key=variable, where=where)


def build_own_metrics(settings: Settings, own: OwnMetrics | None = None) -> OwnMetrics | None:
    """A private meter provider for our own metric outputs; None when there are none.

    Args:
        settings: which outputs there are to be.
        own: what an earlier call built: it gets the outputs that it has not got yet.

    Raises:
        SettingsError: the Prometheus endpoint cannot listen where it should, and not just a preset asked for it, or
            a variable of OpenTelemetry's says nothing that metrics can leave by. Nothing is open then.
    """
    port = settings.prometheus_port
    served = own is not None and port is not None and own.serves((settings.prometheus_host, port))
    ways: list[MetricWay] = []
    try:
        if port is not None and settings.serves_own_metrics and not served:
            try:
                ways.append(_prometheus_endpoint(settings, port))
            except SettingsError as error:
                warn = partial(_logger.warning, "%s: metrics are served nowhere")
                raise_where_asked_for(settings, "prometheus_port", error, warn)
        if otlp_wanted(settings, "METRICS") and not (own is not None and own.pushes):
            ways.append(_otlp_metrics(settings))
        if own is None:
            return OwnMetrics(ways, resource_of(settings), settings.exit_timeout_s) if ways else None
    except BaseException:
        for way in ways:
            way.close()
        raise
    for way in ways:
        own.add(way)
    return own


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


def _otlp_metrics(settings: Settings) -> MetricWay:
    from kaizen_processors.export.endpoint import OtlpEndpoint  # noqa: PLC0415 - loaded when used

    interval_s = settings.metrics_interval_s
    protocol = otlp_protocol("METRICS")
    kind = "otlp_grpc_metric_exporter" if protocol == "grpc" else "otlp_http_metric_exporter"
    try:
        if protocol != "grpc":
            # The official exporter takes any text, and fails with each export. gRPC has addresses without a scheme.
            OtlpEndpoint.from_environment("metrics")
        exporter = StoppableExporter(partial(_otlp_metric_exporter, protocol), kind)
    except ValueError as error:
        raise _no_endpoint("METRICS", error) from error
    try:
        reader = PeriodicExportingMetricReader(
            exporter,
            export_interval_millis=None if interval_s is None else interval_s * 1_000,
            **series_limits(settings.max_ledger_keys),
        )
    except ValueError as error:  # of the variable: the setting was looked at before
        exporter.end()
        value = os.environ.get(OTEL_METRIC_EXPORT_INTERVAL)
        where = f"environment variable {OTEL_METRIC_EXPORT_INTERVAL}"
        message = f"{where}: cannot be {value}; allowed: milliseconds between two exports, more than 0"
        raise SettingsError(message, key=OTEL_METRIC_EXPORT_INTERVAL, where=where) from error
    return MetricWay(reader, exporter=exporter)


def _prometheus_endpoint(settings: Settings, port: int) -> MetricWay:
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
        raise cannot_listen(settings, error) from error
    return MetricWay(reader, server=server, asked=(host, port))


def cannot_listen(settings: Settings, failed: OSError) -> SettingsError:
    """The error of an endpoint for Prometheus whose address cannot be used."""
    where = settings.origins["prometheus_port"].where
    address = f"{settings.prometheus_host}:{settings.prometheus_port}"
    allowed = "another prometheus_port, 0 for any free one, or an address of this machine as prometheus_host"
    message = f"{where}: prometheus_port: cannot listen on {address} ({failed.strerror}); allowed: {allowed}"
    return SettingsError(message, key="prometheus_port", where=where)
