"""Writes the resolved model that the conformance tests read: `kaizen_semconv/registry.json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from semconv_generator.resolve import Signal, Version
    from semconv_generator.source import Attribute


def model(versions: Sequence[Version]) -> str:
    """One object for each version, keys sorted so that a diff shows only what changed."""
    data = {str(version.number): _version(version) for version in versions}
    return json.dumps(data, indent=1, sort_keys=True) + "\n"


def _version(version: Version) -> dict[str, Any]:
    return {
        "schema_url": version.schema_url,
        "attributes": {key: _attribute(attribute) for key, attribute in version.attributes.items()},
        "metrics": {name: _metric(signal) for name, signal in version.metrics.items()},
        "spans": {name: _span(signal) for name, signal in version.spans.items()},
        "resource": sorted(key for signal in version.entities.values() for key in signal.references),
        "events": {name: {"attributes": _levels(signal)} for name, signal in version.events.items()},
    }


def _attribute(attribute: Attribute) -> dict[str, Any]:
    data: dict[str, Any] = {"type": attribute.type}
    if attribute.members:
        data["type"] = "string"
        data["values"] = [member.value for member in attribute.members]
        data["open"] = bool(attribute.annotations.get("open"))
    if "pattern" in attribute.annotations:
        data["pattern"] = attribute.annotations["pattern"]
    return data | _range(attribute.annotations)


def _range(annotations: dict[str, Any]) -> dict[str, Any]:
    limits = annotations.get("range", {})
    return {"range": [limits.get("min"), limits.get("max")]} if limits else {}


def _metric(signal: Signal) -> dict[str, Any]:
    group = signal.group
    return {
        "unit": group.unit,
        "instrument": group.instrument,
        "value_type": group.annotations["code_generation"]["metric_value_type"],
        "boundaries": [float(edge) for edge in group.annotations.get("boundaries", ())],
        "attributes": _levels(signal),
        **_range(group.annotations),
    }


def _span(signal: Signal) -> dict[str, Any]:
    notes = signal.group.annotations
    return {
        "kind": signal.group.span_kind,
        "names": list(notes["name"]),
        "operation": notes.get("operation"),
        "marker": notes.get("marker"),
        "attributes": _levels(signal),
    }


def _levels(signal: Signal) -> dict[str, str]:
    return {key: reference.level for key, reference in signal.references.items()}
