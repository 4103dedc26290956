"""Join the application's OpenTelemetry providers, or build our own. Never fight over the global ones.

A signal's provider is, in this order: the one given in the settings, the SDK provider that the application set
(whenever that appears), our own private one when an output of ours needs it, none. On a joined provider we add one
processor, once for the provider's life, and no exporter.
"""

from __future__ import annotations

import os
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from kaizen_otel._version import __version__
from kaizen_otel.local_outputs import LocalOutputs
from kaizen_otel.metrics_desk import MetricsDesk
from kaizen_otel.otel_logs import SCOPE_NAME, EventLog
from kaizen_otel.outputs import (
    OURS,
    add_otlp_spans,
    build_own_events,
    build_own_traces,
    otlp_wanted,
)
from kaizen_otel.wrapped import export_one, flush_wrapped_of, wrapped_exporters
from kaizen_processors.pipeline import PipelineSpanProcessor
from kaizen_processors.self_meters import QueueReading
from kaizen_processors.values import type_name
from kaizen_semconv import GEN_AI_SCHEMA_URLS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer

    from kaizen_otel.otel_logs import OwnLogs
    from kaizen_otel.self_alerts import SelfAlerts
    from kaizen_otel.settings import Settings
    from kaizen_processors.export.accounts import DeliveryCounts
    from kaizen_processors.export.delivery import DeliveryQueue
    from kaizen_processors.fence import Fence
    from kaizen_processors.ledger import Ledger
    from kaizen_processors.pipeline import Pipeline

# One processor for each provider, for that provider's life: it cannot be taken off again.
_shells: weakref.WeakKeyDictionary[Any, PipelineSpanProcessor] = weakref.WeakKeyDictionary()


class Providers:
    """The providers of one instrumentation."""

    def __init__(self, settings: Settings, fence: Fence, pipeline: Pipeline, ledger: Ledger) -> None:
        """Look at what is there; build what our own outputs need."""
        self._settings = settings
        self._fence = fence
        self._pipeline = pipeline
        self._ledger = ledger
        self._schema_url = GEN_AI_SCHEMA_URLS[settings.conventions]
        self.tracer: Tracer | None = None  # the one in force; None when nobody records spans
        self.on_joined: Callable[[], object] | None = None  # told when the application's provider is found later
        self.settled = False  # whether the application's provider was found: until then each new tree looks again
        self._own_tracer_provider: TracerProvider | None = None
        self._span_queue: DeliveryQueue[ReadableSpan] | None = None
        self._ended_before = weakref.WeakSet(
            one for signal in ("traces", "logs") for one in wrapped_exporters(signal) if one.queue.ended
        )
        self._watched: weakref.WeakSet[DeliveryQueue[Any]] = weakref.WeakSet()
        self._alerts: SelfAlerts | None = None
        self._joined: Any = None
        self.disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        self._own_logs: OwnLogs | None = None
        self.metrics = MetricsDesk(settings, fence, ledger, self)
        self._local = LocalOutputs(pipeline, fence)
        try:
            self._open()
        except BaseException:
            self.shutdown()
            pipeline.shutdown()
            raise

    def _open(self) -> None:
        """Open every output; what may be refused comes before what cannot be taken back: a global provider."""
        settings = self._settings
        if not self.disabled:
            self.metrics.build()
        self._local.configure(settings)
        if not self.disabled:
            if settings.logger_provider is None:
                self._own_logs = build_own_events(settings, self._fence)
            self._find_tracer()
            self.metrics.find()
        own_logger_provider = None if self._own_logs is None else self._own_logs.provider
        self.events = EventLog(settings.logger_provider or own_logger_provider, __version__, self._schema_url)

    # -- traces ---------------------------------------------------------------------------------------------------

    def look_again(self) -> None:
        """Look for the application's tracer provider, which may have appeared meanwhile."""
        if not self.settled and not self.disabled:
            self._find_tracer()

    @property
    def export_owner(self) -> str:
        """Who exports spans: `app-owned`, `own` or `none`."""
        if self._joined is not None:
            return "app-owned"
        return "none" if self._own_tracer_provider is None else "own"

    def _find_tracer(self) -> None:
        provider = self._settings.tracer_provider
        if provider is None:
            candidate = trace.get_tracer_provider()
            if isinstance(candidate, TracerProvider) and candidate not in OURS:
                provider = candidate
        if provider is not None:
            self._join(provider)
            return
        if self._own_tracer_provider is None:
            self._build_own()

    def _join(self, provider: Any) -> None:
        self._joined = provider
        self.settled = True
        self._arm_shell(provider)
        self.tracer = self._tracer_of(provider)
        if self.on_joined is not None:
            self.on_joined()

    def _build_own(self) -> None:
        settings = self._settings
        if not (self._pipeline.watches_spans or otlp_wanted(settings)):
            return
        traces = build_own_traces(settings, self._fence)
        own = self._own_tracer_provider = traces.provider
        self._span_queue = traces.queue
        if traces.queue is not None:
            self._watch("traces", traces.queue)
        OURS.add(own)
        self._arm_shell(own)
        self.tracer = self._tracer_of(own)
        if settings.set_global or otlp_wanted(settings):
            if trace.get_tracer_provider() not in OURS:
                trace.set_tracer_provider(own)
            self.settled = True

    def _arm_shell(self, provider: Any) -> None:
        if not hasattr(provider, "add_span_processor"):
            return
        shell = _shells.get(provider)
        if shell is None:
            shell = PipelineSpanProcessor(self._fence)
            provider.add_span_processor(shell)
            _shells[provider] = shell
        shell.arm(self._pipeline, partial(flush_wrapped_of, weakref.ref(provider)))

    def ways_out_of_our_own(self) -> list[Callable[[ReadableSpan], object]]:
        """Where a span can be handed over without passing the pipeline: our queue, wrapped exporters, our file.

        An application that exports by itself sees nothing of what is handed over here.
        """
        ways: list[Callable[[ReadableSpan], object]] = []
        if self._joined is not None:
            ways += [
                partial(export_one, exporter) for exporter in self._wrapped_in_use() if exporter.signal == "traces"
            ]
        elif self._span_queue is not None:
            ways.append(self._span_queue.put)
        return ways if self._local.file is None else [*ways, self._local.file.on_span]

    @property
    def joined_resource(self) -> Resource | None:
        """What the application's own tracer provider says it is."""
        return getattr(self._joined, "resource", None)

    # -- later settings -------------------------------------------------------------------------------------------

    def cannot_change(self, before: Settings, wanted: Settings) -> dict[str, str]:
        """The fields of later settings that what is open already does not allow, each with the reason."""
        pushes = self.metrics.own is not None and self.metrics.own.pushes
        exports = pushes or bool(self._own_queues())
        port = self.metrics.prometheus_port
        opened = {
            "otlp": (exports and not otlp_wanted(wanted), "telemetry leaves by OTLP already"),
            "metrics_interval_s": (pushes, "metrics are exported at another interval already"),
            "prometheus_port": (port is not None, f"metrics are served on port {port} already"),
            "prometheus_host": (port is not None, f"metrics are served on port {port} already"),
        }
        return {
            name: why
            for name, (is_open, why) in opened.items()
            if is_open and getattr(wanted, name) != getattr(before, name)
        }

    def reconfigure_outputs(self, settings: Settings) -> None:
        """Open the console and the file that later settings ask for, and close those that they ask for no more.

        Raises:
            SettingsError: the file cannot be opened; the one before stays.
        """
        self._settings = settings
        self._local.configure(settings)

    def reconfigure_exports(self, settings: Settings) -> None:
        """Export spans and events by OTLP when later settings ask for it.

        Raises:
            SettingsError: the `OTEL_EXPORTER_OTLP_*` variables name no usable endpoint: neither is exported then.
        """
        self._settings = settings
        if self.disabled:
            return
        logs = None
        if self._own_logs is None and settings.logger_provider is None:
            logs = build_own_events(settings, self._fence)
        try:
            self._export_spans(settings)
        except BaseException:
            if logs is not None:
                logs.provider.shutdown()
            raise
        if logs is not None:
            self._own_logs = logs
            self.events.leave_by(logs.provider)
            self._watch("logs", logs.queue)

    def _export_spans(self, settings: Settings) -> None:
        own = self._own_tracer_provider
        if self.tracer is None:
            self._find_tracer()
        elif own is not None and self._span_queue is None and otlp_wanted(settings):
            self._span_queue = add_otlp_spans(own, settings, self._fence)
            self._watch("traces", self._span_queue)

    # -- what became of it ----------------------------------------------------------------------------------------

    def delivery(self) -> dict[str, Any]:
        """What became of every span and event that was handed to a queue of ours, and of our metrics, by signal.

        The queues of exporters that the application wrapped are among them.
        """
        found: dict[str, Any] = {}
        for signal, queue in self._queues():
            counts = queue.counts()
            found[signal] = found[signal] + counts if signal in found else counts
        exports = self.metric_exports()
        return found if exports is None else {**found, "metrics": exports[1]}

    def watch_delivery(self, alerts: SelfAlerts) -> None:
        """Have it told when items begin to be dropped, in queues that are made later, too."""
        self._alerts = alerts
        for signal, queue in self._queues():
            self._watch(signal, queue)

    def _watch(self, signal: str, queue: DeliveryQueue[Any]) -> None:
        if self._alerts is None:
            return  # `watch_delivery` comes to it
        queue.tell_first_drops(partial(self._alerts.items_dropped, signal))
        if queue.spool is not None:
            queue.start()  # deliver what an earlier process left on disk

    def queues(self) -> list[QueueReading]:
        """The figures of our queues, for the metrics about telemetry."""
        return [self._reading(signal, queue) for signal, queue in self._queues()]

    def metric_exports(self) -> tuple[str, DeliveryCounts] | None:
        """How our own metrics leave by OTLP, and what became of their points; None where they do not."""
        exporter = None if self.metrics.own is None else self.metrics.own.exporter
        return None if exporter is None else (exporter.component_type, exporter.counts())

    def failures(self) -> Mapping[str, int]:
        """Telemetry failures so far, by cause."""
        return self._fence.counts()

    def disabled_observers(self) -> list[str]:
        """Type names of the observers that are switched off."""
        return [type_name(observer) for observer in self._pipeline.disabled]

    def _queues(self) -> list[tuple[str, DeliveryQueue[Any]]]:
        own = self._own_queues()
        wrapped = [(signal, one.queue) for signal in ("traces", "logs") for one in self._wrapped(signal)]
        for signal, queue in wrapped:
            if self._alerts is not None and queue not in self._watched:
                self._watched.add(queue)
                self._watch(signal, queue)
        return own + wrapped

    def _wrapped(self, signal: str) -> list[Any]:
        """The wrapped exporters of a signal; what ended before this instrumentation began is not its business."""
        return [one for one in wrapped_exporters(signal) if one not in self._ended_before]

    def _wrapped_in_use(self) -> list[Any]:
        """Those that have not ended; the others have told whoever ended them."""
        return [one for signal in ("traces", "logs") for one in wrapped_exporters(signal) if not one.queue.ended]

    def _own_queues(self) -> list[tuple[str, DeliveryQueue[Any]]]:
        own = (("traces", self._span_queue), ("logs", None if self._own_logs is None else self._own_logs.queue))
        return [(signal, queue) for signal, queue in own if queue is not None]

    def _reading(self, signal: str, queue: DeliveryQueue[Any]) -> QueueReading:
        spool = queue.spool
        size_bytes = None
        if spool is not None:
            with self._fence("spool.size"):
                size_bytes = spool.size_bytes()
        return QueueReading(
            signal=signal,
            component_type=queue.component_type,
            counts=queue.counts(),
            limit_bytes=queue.limit_bytes,
            spool_bytes=size_bytes,
            spool_limit_bytes=None if spool is None else spool.max_bytes,
        )

    # -- the end --------------------------------------------------------------------------------------------------

    def flush(self, timeout_s: float) -> bool:
        """Flush our own providers, and the exporters that the application wrapped; its providers are its own."""
        self.metrics.recorders.drain()
        done = True
        deadline_s = time.monotonic() + timeout_s
        for exporter in self._wrapped_in_use():
            left_s = max(0.0, deadline_s - time.monotonic())
            done = exporter.force_flush(int(left_s * 1_000)) and done
        own_logger = None if self._own_logs is None else self._own_logs.provider
        for provider in (self._own_tracer_provider, own_logger):
            if provider is not None:
                flushed = False
                with self._fence("provider.flush"):
                    left_s = max(0.0, deadline_s - time.monotonic())
                    flushed = provider.force_flush(int(left_s * 1_000)) is not False
                done = done and flushed
        if self.metrics.own is not None:
            done = self.metrics.own.flush(max(0.0, deadline_s - time.monotonic())) and done
        return done

    def last_deliveries(self, timeout_s: float, *, final: bool) -> list[Callable[[], object]]:
        """What is to be called before the process may be killed, each within `timeout_s` seconds, all at once.

        `final` ends the queues, so that what could not be delivered is spooled; otherwise they are flushed.
        """
        own_logger = None if self._own_logs is None else self._own_logs.provider
        jobs: list[Callable[[], object]] = [
            partial(provider.force_flush, int(timeout_s * 1_000))
            for provider in (self._own_tracer_provider, own_logger)
            if provider is not None
        ]
        if self.metrics.own is not None:
            jobs.append(partial(self.metrics.own.flush, timeout_s))
        jobs += [partial(exporter.force_flush, int(timeout_s * 1_000)) for exporter in self._wrapped_in_use()]
        if final:
            jobs += [partial(queue.shutdown, timeout_s) for _, queue in self._queues()]
        return jobs

    def shutdown(self) -> None:
        """Disarm what cannot be removed, end what is ours."""
        for provider in (self._joined, self._own_tracer_provider):
            shell = None if provider is None else _shells.get(provider)
            if shell is not None:
                shell.disarm()
        self.metrics.recorders.shutdown()
        own_logger = None if self._own_logs is None else self._own_logs.provider
        self._deliver_last(self._settings.exit_timeout_s)
        for ours in (self._own_tracer_provider, self.metrics.host, own_logger):
            if ours is not None:
                with self._fence("provider.shutdown"):
                    ours.shutdown()
        self.metrics.disarm()
        self.tracer = None

    def _deliver_last(self, timeout_s: float) -> None:
        """End what delivers for us, all of it within `timeout_s` seconds."""
        deadline_s = time.monotonic() + timeout_s
        queues = [queue for _, queue in self._own_queues()]
        for queue in queues:
            queue.hasten()
        if self.metrics.own is not None:
            self.metrics.own.hasten()
        for queue in queues:
            with self._fence("provider.shutdown"):
                queue.shutdown(max(0.0, deadline_s - time.monotonic()))
        if self.metrics.own is not None:
            with self._fence("provider.shutdown"):
                self.metrics.own.close(max(0.0, deadline_s - time.monotonic()))

    def _tracer_of(self, provider: Any) -> Tracer | None:
        if isinstance(provider, trace.NoOpTracerProvider):
            return None  # its spans are the ones around: no attributes need to be made for them
        tracer: Tracer = provider.get_tracer(SCOPE_NAME, __version__, self._schema_url)
        return tracer
