"""What one worker's instruments say at one moment, in numbers that add up exactly."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)

from kaizen_processors.host_metrics.numbers import Number, exact, rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

Labels = tuple[tuple[str, Any], ...]
"""Attributes of a point, sorted by key: sequences among the values are tuples."""

Members = dict[str, int | None]
"""Names that are counted once for the host, and until when: wall clock in nanoseconds, None for "it goes on"."""

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class Kind(StrEnum):
    """How the points of several workers become one."""

    COUNTER = "counter"
    """They add up, and stay when the worker is gone."""
    UP_DOWN = "updown"
    """They add up while the worker lives."""
    GAUGE = "gauge"
    """As the rule for the instrument says, while the worker lives."""
    HISTOGRAM = "histogram"
    """Buckets, sums and counts add up, and stay."""
    MEMBERS = "members"
    """The number of distinct names."""


class Distribution:
    """The values that a histogram was given."""

    __slots__ = ("bounds", "counts", "maximum", "minimum", "total")

    def __init__(
        self, bounds: tuple[float, ...], counts: list[int], total: Number, minimum: float, maximum: float
    ) -> None:
        """Hold them; `counts` has one more than `bounds`."""
        self.bounds = bounds
        self.counts = counts
        self.total = total
        self.minimum = minimum
        self.maximum = maximum

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Distribution) and all(getattr(self, n) == getattr(other, n) for n in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # compared by value, never a key

    def __repr__(self) -> str:
        return f"Distribution({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


Point = Number | Distribution | Members


class Stream:
    """All points of one metric. `start_ns` is the wall clock from which it counts; 0 where that means nothing."""

    __slots__ = ("description", "kind", "name", "points", "start_ns", "unit")

    def __init__(self, name: str, kind: Kind, unit: str = "", description: str = "", start_ns: int = 0) -> None:
        """Hold no point yet."""
        self.name = name
        self.kind = kind
        self.unit = unit
        self.description = description
        self.start_ns = start_ns
        self.points: dict[Labels, Any] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and all(getattr(self, n) == getattr(other, n) for n in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # compared by value, never a key

    def __repr__(self) -> str:
        return f"Stream({self.name!r}, {self.kind!r}, start_ns={self.start_ns}, points={self.points!r})"


class Reading:
    """What the instruments said at one moment, `taken_ns` on the wall clock."""

    __slots__ = ("streams", "taken_ns")

    def __init__(self, taken_ns: int, streams: Iterable[Stream] = ()) -> None:
        """Hold these streams."""
        self.taken_ns = taken_ns
        self.streams: dict[tuple[str, Kind], Stream] = {(one.name, one.kind): one for one in streams}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reading) and self.taken_ns == other.taken_ns and self.streams == other.streams

    __hash__ = None  # type: ignore[assignment]  # compared by value, never a key

    def __repr__(self) -> str:
        return f"Reading({self.taken_ns}, {list(self.streams.values())!r})"


def labels_of(attributes: Mapping[str, Any] | None) -> Labels:
    """The attributes of a point as a key."""
    return tuple(
        (key, tuple(value) if isinstance(value, (list, tuple)) else value)
        for key, value in sorted((attributes or {}).items())
    )


def read(
    data: MetricsData | None,
    taken_ns: int,
    exactly: Mapping[str, Mapping[Labels, Number]] = _NONE,
    members: Mapping[str, Mapping[Labels, Members]] = _NONE,
) -> Reading:
    """Take in what the SDK collected, cumulative.

    Args:
        data: what a reader was given; None is nothing.
        taken_ns: wall clock of the collection.
        exactly: values to be taken instead, where the instrument reports a point with these labels.
        members: gauges that count distinct names, by metric; they take the place of what was collected of them.

    Raises:
        TypeError: an aggregation that cannot be added up: an exponential histogram.
    """
    reading = Reading(taken_ns)
    for metric in _metrics(data):
        if metric.name in members:
            stream = Stream(metric.name, Kind.MEMBERS, metric.unit or "", metric.description or "")
            stream.points = {labels: dict(names) for labels, names in members[metric.name].items()}
        else:
            stream = _stream(metric, exactly.get(metric.name, {}))
        reading.streams[stream.name, stream.kind] = stream
    return reading


def _metrics(data: MetricsData | None) -> Iterable[Metric]:
    if data is not None:
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                yield from scope.metrics


def _stream(metric: Metric, exactly: Mapping[Labels, Number]) -> Stream:
    data = metric.data
    if isinstance(data, Histogram):
        kind = Kind.HISTOGRAM
    elif isinstance(data, Gauge):
        kind = Kind.GAUGE
    elif isinstance(data, Sum):
        kind = Kind.COUNTER if data.is_monotonic else Kind.UP_DOWN
    else:
        raise TypeError(f"{metric.name}: {type(data).__name__} cannot be added up")
    stream = Stream(metric.name, kind, metric.unit or "", metric.description or "")
    starts = []
    for point in data.data_points:
        labels = labels_of(point.attributes)
        starts.append(point.start_time_unix_nano or 0)
        if isinstance(point, HistogramDataPoint):
            bounds, counts = tuple(point.explicit_bounds), list(point.bucket_counts)
            stream.points[labels] = Distribution(bounds, counts, exact(point.sum), point.min, point.max)
        else:
            stream.points[labels] = exactly.get(labels, exact(point.value))
    stream.start_ns = min(starts, default=0) if kind is not Kind.GAUGE else 0
    return stream


def to_metrics_data(reading: Reading, resource: Resource, scope: InstrumentationScope) -> MetricsData:
    """Give a reading as what the SDK would have collected."""
    metrics = [
        Metric(stream.name, stream.description, stream.unit, _data(stream, reading.taken_ns))
        for stream in reading.streams.values()
        if stream.points
    ]
    schema_url = scope.schema_url or ""
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(scope, metrics, schema_url)], resource.schema_url)])


def _data(stream: Stream, taken_ns: int) -> Sum | Gauge | Histogram:
    start_ns, points = stream.start_ns, stream.points
    if stream.kind is Kind.HISTOGRAM:
        return Histogram(
            [
                HistogramDataPoint(
                    attributes=dict(labels),
                    start_time_unix_nano=start_ns,
                    time_unix_nano=taken_ns,
                    count=sum(one.counts),
                    sum=rounded(one.total),
                    bucket_counts=one.counts,
                    explicit_bounds=one.bounds,
                    min=one.minimum,
                    max=one.maximum,
                )
                for labels, one in points.items()
            ],
            AggregationTemporality.CUMULATIVE,
        )
    values: dict[Labels, int | float]
    if stream.kind is Kind.MEMBERS:
        values = {labels: count_members(names, taken_ns) for labels, names in points.items()}
    else:
        values = {labels: rounded(number) for labels, number in points.items()}
    found = [NumberDataPoint(dict(labels), start_ns, taken_ns, value) for labels, value in values.items()]
    if stream.kind in {Kind.GAUGE, Kind.MEMBERS}:
        return Gauge(found)
    return Sum(found, AggregationTemporality.CUMULATIVE, is_monotonic=stream.kind is Kind.COUNTER)


def count_members(names: Members, now_ns: int) -> int:
    """How many of the names hold at this moment."""
    return sum(1 for until_ns in names.values() if until_ns is None or until_ns >= now_ns)
