"""Metrics about telemetry itself: what became of it, what waits, and what of ours failed.

All are observable: they are read from the accounts when somebody collects, and cost nothing otherwise. Where
OpenTelemetry's own `otel.sdk.*` names mean the same they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from opentelemetry.metrics import CallbackOptions, Observation

from kaizen_processors.export.accounts import DropReason
from kaizen_semconv import gen_ai as official
from kaizen_semconv import metrics as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import Meter

    from kaizen_processors.export.accounts import DeliveryCounts
    from kaizen_semconv.metrics import MetricDefinition

    Read = Callable[["Health"], Iterable[Observation]]

_BEFORE_EXPORT: Final = frozenset({DropReason.QUEUE_FULL, DropReason.SHUTDOWN})
"""Drops of items that no export was begun for, or none ended for: they are no failed exports."""

_OFFICIAL_WORDS: Final = {"traces": "span", "logs": "log"}
_PROCESSORS: Final = "kaizen_processors.export.queue_processors"
_UNKNOWN_ERROR: Final = "_OTHER"


class QueueReading(NamedTuple):
    """One delivery queue at one moment. `spool_*` are None where there is no spool."""

    signal: str
    component_type: str
    """What sends: `otlp_http`, `otlp_grpc`, or the type's name of an exporter that was wrapped."""
    counts: DeliveryCounts
    limit_bytes: int
    spool_bytes: int | None = None
    spool_limit_bytes: int | None = None


class Health(Protocol):
    """Where the figures come from."""

    def queues(self) -> list[QueueReading]:
        """Our queues, those of wrapped exporters among them."""
        ...

    def metric_exports(self) -> tuple[str, DeliveryCounts] | None:
        """The component type of the exporter of our own metrics, and what became of their points; None without one."""
        ...

    def failures(self) -> Mapping[str, int]:
        """Telemetry failures by cause (`where:ExceptionName`)."""
        ...

    def disabled_observers(self) -> list[str]:
        """Type names of observers that are switched off."""
        ...


class SelfInstruments:
    """All instruments about telemetry itself, made once for a meter's life and armed with one source at a time."""

    def __init__(self, meter: Meter) -> None:
        """Create every instrument, reading nothing yet."""
        self._health: Health | None = None
        self._meter = meter
        for signal, exported, size in (
            ("traces", m.OTEL_SDK_EXPORTER_SPAN_EXPORTED, m.OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE),
            ("logs", m.OTEL_SDK_EXPORTER_LOG_EXPORTED, m.OTEL_SDK_PROCESSOR_LOG_QUEUE_SIZE),
        ):
            self._make(exported, _exported(signal))
            self._make(size, _queue_size(signal))
        self._make(m.OTEL_SDK_EXPORTER_METRIC_DATA_POINT_EXPORTED, _points_exported)
        self._make(m.KAIZEN_TELEMETRY_DROPPED, _dropped)
        self._make(m.KAIZEN_TELEMETRY_SPOOLED, _each(lambda queue: queue.counts.spooled))
        self._make(m.KAIZEN_TELEMETRY_REPLAYED, _each(lambda queue: queue.counts.replayed))
        self._make(m.KAIZEN_TELEMETRY_RETRIES, _each(lambda queue: queue.counts.retries))
        self._make(m.KAIZEN_TELEMETRY_QUEUE_USAGE, _each(lambda queue: queue.counts.pending_bytes))
        self._make(m.KAIZEN_TELEMETRY_QUEUE_LIMIT, _each(lambda queue: queue.limit_bytes))
        self._make(m.KAIZEN_TELEMETRY_SPOOL_USAGE, _each(lambda queue: queue.spool_bytes))
        self._make(m.KAIZEN_TELEMETRY_SPOOL_LIMIT, _each(lambda queue: queue.spool_limit_bytes))
        self._make(m.KAIZEN_TELEMETRY_FAILURES, _failures)
        self._make(m.KAIZEN_TELEMETRY_DISABLED_OBSERVERS, _disabled)

    def arm(self, health: Health) -> None:
        """Read from here."""
        self._health = health

    def disarm(self) -> None:
        """Read nothing: an observable instrument cannot be removed from its meter."""
        self._health = None

    def _make(self, definition: MetricDefinition, read: Read) -> None:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            health = self._health
            return [] if health is None else read(health)

        create = {
            m.Instrument.OBSERVABLE_COUNTER: self._meter.create_observable_counter,
            m.Instrument.OBSERVABLE_UPDOWNCOUNTER: self._meter.create_observable_up_down_counter,
            m.Instrument.OBSERVABLE_GAUGE: self._meter.create_observable_gauge,
        }[definition.instrument]
        create(definition.name, [observe], definition.unit, definition.description)


def _exported(signal: str) -> Read:
    def read(health: Health) -> Iterable[Observation]:
        for kind, counts in _together(_of(health, signal), _component_type):
            yield from _ends_of_exports(kind, counts)

    return read


def _points_exported(health: Health) -> Iterable[Observation]:
    exports = health.metric_exports()
    return [] if exports is None else _ends_of_exports(*exports)


def _ends_of_exports(kind: str, counts: DeliveryCounts) -> Iterable[Observation]:
    labels = {official.OTEL_COMPONENT_NAME: f"{kind}/0", official.OTEL_COMPONENT_TYPE: kind}
    # An export from disk ends when the backend has taken it, so what was only spooled is not in here.
    yield Observation(counts.exported + counts.replayed, labels)
    for reason, items in sorted(_dropped_by_reason(counts).items()):
        if reason not in _BEFORE_EXPORT:
            yield Observation(items, {**labels, official.ERROR_TYPE: reason})


def _queue_size(signal: str) -> Read:
    type_name = "QueueSpanProcessor" if signal == "traces" else "QueueLogRecordProcessor"
    labels = {
        official.OTEL_COMPONENT_NAME: f"{type_name}/0",
        official.OTEL_COMPONENT_TYPE: f"{_PROCESSORS}.{type_name}",
    }

    def read(health: Health) -> Iterable[Observation]:
        return [Observation(counts.pending, labels) for _, counts in _together(_of(health, signal), _signal)]

    return read


def _of(health: Health, signal: str) -> list[QueueReading]:
    return [queue for queue in health.queues() if queue.signal == signal]


def _signal(queue: QueueReading) -> str:
    return queue.signal


def _component_type(queue: QueueReading) -> str:
    kind = queue.component_type
    return f"{kind}_{_OFFICIAL_WORDS[queue.signal]}_exporter" if kind.startswith("otlp_") else kind


def _together(
    queues: Iterable[QueueReading], key: Callable[[QueueReading], str]
) -> Iterable[tuple[str, DeliveryCounts]]:
    """The counts of queues that are one to whoever reads the metric: there is one series for each key."""
    found: dict[str, DeliveryCounts] = {}
    for queue in queues:
        name = key(queue)
        found[name] = found[name] + queue.counts if name in found else queue.counts
    return found.items()


def _each(figure: Callable[[QueueReading], int | None]) -> Read:
    def read(health: Health) -> Iterable[Observation]:
        sums: dict[str, int] = {}
        for queue in health.queues():
            value = figure(queue)
            if value is not None:
                sums[queue.signal] = sums.get(queue.signal, 0) + value
        return [Observation(value, {"signal": signal}) for signal, value in sums.items()]

    return read


def _dropped(health: Health) -> Iterable[Observation]:
    for signal, counts in _together(health.queues(), _signal):
        for reason, items in sorted(_dropped_by_reason(counts).items()):
            yield Observation(items, {"signal": signal, official.ERROR_TYPE: reason})


def _dropped_by_reason(counts: DeliveryCounts) -> dict[str, int]:
    """What was given up, from memory or from disk."""
    reasons = counts.dropped.keys() | counts.replay_dropped.keys()
    return {reason: counts.dropped.get(reason, 0) + counts.replay_dropped.get(reason, 0) for reason in reasons}


def _failures(health: Health) -> Iterable[Observation]:
    for cause, count in health.failures().items():
        place, _, error = cause.partition(":")
        yield Observation(count, {"place": place, official.ERROR_TYPE: error or _UNKNOWN_ERROR})


def _disabled(health: Health) -> Iterable[Observation]:
    names = health.disabled_observers()
    for name in sorted(set(names)):
        yield Observation(names.count(name), {"observer": name})
