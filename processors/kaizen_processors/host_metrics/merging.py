"""Several workers' readings as one: exact in any order, and never less than before.

What a worker that is gone had counted is folded into one reading, `retired`, which only grows.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.host_metrics.reading import Distribution, Kind, Members, Reading, Stream, labels_of
from kaizen_semconv import metrics as m

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_RETIRED_POINTS: Final = 10_000
"""Points of one metric that are kept of workers that are gone; further ones are counted together."""

OVERFLOW: Final = labels_of({"otel.metric.overflow": True})
"""Labels that OpenTelemetry gives to points beyond a limit."""

ACTIVE_WITHIN_NS: Final = 300 * 1_000_000_000

LARGEST: Final = frozenset({m.KAIZEN_TELEMETRY_SPOOL_USAGE.name, m.KAIZEN_TELEMETRY_SPOOL_LIMIT.name})
"""Gauges of something that all workers share, a folder: the largest value counts. All others add up."""

_STAY: Final = frozenset({Kind.COUNTER, Kind.HISTOGRAM, Kind.MEMBERS})


def merge(living: Iterable[Reading], retired: Reading | None, now_ns: int) -> Reading:
    """Add up the readings of the workers that live, and what those that are gone had counted.

    Where workers disagree about the edges of a histogram, the first one's hold.
    """
    merged = Reading(now_ns)
    for reading in living:
        for stream in reading.streams.values():
            _add(_stream_like(merged, stream), stream)
    if retired is not None:
        for stream in retired.streams.values():
            if stream.kind in _STAY:
                _add(_stream_like(merged, stream), stream)
    return merged


def retire(retired: Reading | None, gone: Reading, max_points: int = MAX_RETIRED_POINTS) -> Reading:
    """Fold the last reading of a worker that is gone into what is kept of such; neither is changed.

    Args:
        retired: what was kept so far.
        gone: what the worker last said.
        max_points: most points of one metric; what would be one more is added to a point of its own.
    """
    taken_ns = gone.taken_ns if retired is None else max(retired.taken_ns, gone.taken_ns)
    kept = Reading(taken_ns)
    for reading in (retired, gone):
        if reading is None:
            continue
        for stream in reading.streams.values():
            if stream.kind is Kind.MEMBERS:
                _add(_stream_like(kept, stream), _ended(stream, reading.taken_ns, taken_ns))
            elif stream.kind in _STAY:
                _add(_stream_like(kept, stream), stream, max_points)
    return kept


def _stream_like(reading: Reading, stream: Stream) -> Stream:
    key = (stream.name, stream.kind)
    found = reading.streams.get(key)
    if found is None:
        found = reading.streams[key] = Stream(stream.name, stream.kind, stream.unit, stream.description)
    return found


def _ended(stream: Stream, taken_ns: int, now_ns: int) -> Stream:
    """The names of a worker that is gone: what ran when it was last heard of has ended then."""
    ended = Stream(stream.name, stream.kind, stream.unit, stream.description)
    for labels, names in stream.points.items():
        untils = {name: taken_ns + ACTIVE_WITHIN_NS if until is None else until for name, until in names.items()}
        left = {name: until for name, until in untils.items() if until >= now_ns}
        if left:
            ended.points[labels] = left
    return ended


def _add(to: Stream, stream: Stream, max_points: int | None = None) -> None:
    starts = [start for start in (to.start_ns, stream.start_ns) if start]
    to.start_ns = min(starts, default=0)
    points = to.points
    for given, point in stream.points.items():
        labels = given
        if max_points is not None and labels not in points and len(points) >= max_points:
            labels = OVERFLOW
        held = points.get(labels)
        points[labels] = _copy(point) if held is None else _sum(to, held, point)


def _copy(point: Any) -> Any:
    if isinstance(point, Distribution):
        return Distribution(point.bounds, list(point.counts), point.total, point.minimum, point.maximum)
    return dict(point) if isinstance(point, dict) else point


def _sum(stream: Stream, held: Any, point: Any) -> Any:
    if isinstance(held, Distribution):
        return _both(held, point)
    if isinstance(held, dict):
        return _union(held, point)
    if stream.kind is Kind.GAUGE and stream.name in LARGEST:
        return max(held, point)
    return held + point


def _both(held: Distribution, other: Distribution) -> Distribution:
    counts = list(held.counts)
    for index, count in enumerate(other.counts):
        counts[_place(held, other, index)] += count
    return Distribution(
        held.bounds,
        counts,
        held.total + other.total,
        min(held.minimum, other.minimum),
        max(held.maximum, other.maximum),
    )


def _place(held: Distribution, other: Distribution, index: int) -> int:
    """The bucket that one of the other's belongs to: where its upper edge lies, should the edges differ."""
    if held.bounds == other.bounds:
        return index
    return len(held.bounds) if index == len(other.bounds) else bisect_left(held.bounds, other.bounds[index])


def _union(held: Members, other: Members) -> Members:
    union = dict(held)
    for name, until in other.items():
        known = union.get(name, 0)
        union[name] = None if known is None or until is None else max(known, until)
    return union
