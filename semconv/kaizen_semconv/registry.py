"""The registry as data, for checks: what may be emitted under one version of the GenAI conventions.

The emitters do not need it: they use the constants. It is read from `registry.json` when it is first asked for.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from kaizen_semconv import DEFAULT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_semconv.model import ValueType

Limits = tuple[float, float]
_ANY: Limits = (-math.inf, math.inf)

Level = Literal["required", "conditionally_required", "recommended", "opt_in"]


@dataclass(frozen=True, slots=True)
class AttributeModel:
    """An attribute.

    Attributes:
        key: its name.
        type: `string`, `int`, `double`, `boolean`, `any`, or one of these and `[]`.
        values: the known values of an enum, else empty.
        open: whether an enum may have other values.
        limits: least and greatest value of a number.
        pattern: what a string looks like, as a regular expression for all of it; empty when it may be anything.
    """

    key: str
    type: str
    values: frozenset[str] = frozenset()
    open: bool = False
    limits: Limits = _ANY
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class SpanModel:
    """A span: what tells it from others, its kind, its names, and its attributes with their levels."""

    id: str
    operation: str | None
    marker: str | None
    kind: str
    names: tuple[str, ...]
    attributes: Mapping[str, Level]


@dataclass(frozen=True, slots=True)
class MetricModel:
    """A metric: `instrument` is `counter`, `updowncounter`, `gauge` or `histogram`."""

    name: str
    unit: str
    instrument: str
    value_type: ValueType
    boundaries: tuple[float, ...]
    attributes: Mapping[str, Level]
    limits: Limits = _ANY


@dataclass(frozen=True, slots=True)
class EventModel:
    """An event and its attributes with their levels."""

    name: str
    attributes: Mapping[str, Level]


@dataclass(frozen=True, slots=True)
class Registry:
    """All of it, by name. `resource` are the keys that we put on resources."""

    version: int
    schema_url: str
    attributes: Mapping[str, AttributeModel]
    spans: Mapping[str, SpanModel]
    metrics: Mapping[str, MetricModel]
    events: Mapping[str, EventModel]
    resource: frozenset[str]


@cache
def load(version: int = DEFAULT_VERSION) -> Registry:
    """The registry of one version.

    Raises:
        KeyError: there is no such version.
    """
    data = _read()[str(version)]
    return Registry(
        version=version,
        schema_url=data["schema_url"],
        attributes={key: _attribute(key, entry) for key, entry in data["attributes"].items()},
        spans={name: _span(name, entry) for name, entry in data["spans"].items()},
        metrics={name: _metric(name, entry) for name, entry in data["metrics"].items()},
        events={name: EventModel(name=name, **entry) for name, entry in data["events"].items()},
        resource=frozenset(data["resource"]),
    )


def versions() -> tuple[int, ...]:
    """All versions, the oldest first."""
    return tuple(sorted(int(version) for version in _read()))


@cache
def _read() -> dict[str, Any]:
    text = files("kaizen_semconv").joinpath("registry.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


def _attribute(key: str, entry: dict[str, Any]) -> AttributeModel:
    return AttributeModel(
        key,
        entry["type"],
        frozenset(entry.get("values", ())),
        entry.get("open", False),
        _limits(entry),
        entry.get("pattern", ""),
    )


def _span(name: str, entry: dict[str, Any]) -> SpanModel:
    return SpanModel(
        name, entry["operation"], entry["marker"], entry["kind"], tuple(entry["names"]), entry["attributes"]
    )


def _metric(name: str, entry: dict[str, Any]) -> MetricModel:
    return MetricModel(
        name,
        entry["unit"],
        entry["instrument"],
        entry["value_type"],
        tuple(entry["boundaries"]),
        entry["attributes"],
        _limits(entry),
    )


def _limits(entry: dict[str, Any]) -> Limits:
    low, high = entry.get("range", (None, None))
    return (-math.inf if low is None else low, math.inf if high is None else high)
