"""A reading as bytes, for a place that several processes share: JSON, deflated, with the number of its format."""

from __future__ import annotations

import json
import zlib
from typing import Any, Final

from kaizen_processors.host_metrics.numbers import from_text, to_text
from kaizen_processors.host_metrics.reading import Distribution, Kind, Labels, Reading, Stream, labels_of

FORMAT: Final = 1
"""Goes up when an older reader would misunderstand what is written."""

MAX_BYTES: Final = 64 * 1024 * 1024
"""Most bytes that are unpacked: a damaged file must not take all memory."""

_LEVEL: Final = 1


class PackedError(ValueError):
    """Bytes that are no reading, or one of another format."""


def pack(reading: Reading) -> bytes:
    """Write a reading."""
    document = {
        "format": FORMAT,
        "taken_ns": reading.taken_ns,
        "streams": [
            {
                "name": stream.name,
                "kind": stream.kind,
                "unit": stream.unit,
                "description": stream.description,
                "start_ns": stream.start_ns,
                "points": [[dict(labels), _write(point)] for labels, point in stream.points.items()],
            }
            for stream in reading.streams.values()
        ],
    }
    return zlib.compress(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode(), _LEVEL)


def unpack(packed: bytes) -> Reading:
    """Read what `pack` wrote.

    Raises:
        PackedError: it is damaged, or of another format.
    """
    try:
        document = json.loads(_inflated(packed))
        _check_format(document["format"])
        return Reading(document["taken_ns"], [_stream(one) for one in document["streams"]])
    except PackedError:
        raise
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, RecursionError) as error:
        raise PackedError(f"damaged: {type(error).__name__}: {error}") from error


def _inflated(packed: bytes) -> bytes:
    inflater = zlib.decompressobj()
    text = inflater.decompress(packed, MAX_BYTES)
    if not inflater.eof:
        raise PackedError("cut off, or too long")
    return text


def _check_format(found: object) -> None:
    if found != FORMAT:
        raise PackedError(f"written in format {found!r}; this version reads {FORMAT}")


def _write(point: Any) -> Any:
    if isinstance(point, Distribution):
        return {
            "bounds": point.bounds,
            "counts": point.counts,
            "total": to_text(point.total),
            "min": repr(float(point.minimum)),
            "max": repr(float(point.maximum)),
        }
    return point if isinstance(point, dict) else to_text(point)


def _stream(document: dict[str, Any]) -> Stream:
    kind = Kind(document["kind"])
    stream = Stream(document["name"], kind, document["unit"], document["description"], document["start_ns"])
    stream.points = dict(_point(kind, *pair) for pair in document["points"])
    return stream


def _point(kind: Kind, attributes: dict[str, Any], written: Any) -> tuple[Labels, Any]:
    labels = labels_of(attributes)
    if kind is Kind.HISTOGRAM:
        bounds, counts = tuple(written["bounds"]), list(written["counts"])
        if len(counts) != len(bounds) + 1:
            raise ValueError(f"{len(counts)} counts for {len(bounds)} bounds")
        total = from_text(written["total"])
        return labels, Distribution(bounds, counts, total, float(written["min"]), float(written["max"]))
    return labels, dict(written) if kind is Kind.MEMBERS else from_text(written)
