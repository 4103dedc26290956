"""The shapes of what the registry defines. The generated modules hold their values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

ValueType = Literal["int", "double"]


class Instrument(StrEnum):
    """Kinds of instruments, observable ones apart."""

    COUNTER = "counter"
    OBSERVABLE_COUNTER = "observable_counter"
    UPDOWNCOUNTER = "updowncounter"
    OBSERVABLE_UPDOWNCOUNTER = "observable_updowncounter"
    GAUGE = "gauge"
    OBSERVABLE_GAUGE = "observable_gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """A metric.

    Attributes:
        name: its name in OpenTelemetry.
        unit: its unit, UCUM.
        instrument: the kind of instrument that records it.
        description: what it measures.
        attributes: the keys that its points may have.
        boundaries: edges of its buckets, in its unit; empty unless it is a histogram.
        value_type: whether its values are whole numbers.
        versions: the versions of the GenAI conventions in which it is emitted.
    """

    name: str
    unit: str
    instrument: Instrument
    description: str
    attributes: tuple[str, ...]
    boundaries: tuple[float, ...]
    value_type: ValueType
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SpanDefinition:
    """A span.

    Attributes:
        id: its name in the registry.
        kind: `client` or `internal`.
        names: how its name is made; the first whose attributes are there applies.
        operation: value of `gen_ai.operation.name`, None when it has none.
        marker: the attribute that tells it from others when it has no operation.
        description: what it covers.
    """

    id: str
    kind: Literal["client", "consumer", "internal", "producer", "server"]
    names: tuple[str, ...]
    operation: str | None
    marker: str | None
    description: str
