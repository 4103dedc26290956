"""The registry of each version with its references followed: what constants, documents and checks are made from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from semconv_generator.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from semconv_generator.source import Attribute, Delta, Group, Reference, Source


@dataclass(frozen=True)
class Signal:
    """A metric, span, event or entity with all its attributes, by key."""

    group: Group
    references: dict[str, Reference]


@dataclass(frozen=True)
class Version:
    """Everything that may be emitted under one version of the conventions."""

    number: int
    schema_url: str
    attributes: dict[str, Attribute]
    metrics: dict[str, Signal]
    spans: dict[str, Signal]
    events: dict[str, Signal]
    entities: dict[str, Signal]

    def signals(self) -> tuple[Signal, ...]:
        """Everything that has attributes."""
        kinds = (self.metrics, self.spans, self.events, self.entities)
        return tuple(signal for kind in kinds for signal in kind.values())


def resolve(source: Source) -> tuple[Version, ...]:
    """The base version first, then each later one.

    Raises:
        SourceError: a reference or an `extends` leads nowhere.
    """
    base = _version(source.base_version, source.base_schema_url, (*source.official, *source.own))
    return (base, *(_apply(base, delta, source) for delta in source.deltas))


def attributes_of(groups: Iterable[Group]) -> dict[str, Attribute]:
    """All definitions, by key; of two with the same key the later."""
    return {attribute.id: attribute for group in groups for attribute in group.definitions}


def _version(number: int, schema_url: str, groups: tuple[Group, ...]) -> Version:
    by_id = {group.id: group for group in groups}
    attributes = attributes_of(groups)
    signals = [(group, Signal(group, _references(group, by_id, attributes))) for group in groups]
    events = {group.name: signal for group, signal in signals if group.type == "event"}
    for group in groups:
        for event in group.annotations.get("adds_to", ()):
            if event not in events:
                raise SourceError(f"{group.where}: adds to unknown event {event}")
            added = events[event].references | _references(group, by_id, attributes)
            events[event] = Signal(events[event].group, added)
    return Version(
        number=number,
        schema_url=schema_url,
        attributes=attributes,
        metrics={group.metric_name: signal for group, signal in signals if group.type == "metric"},
        spans={group.id: signal for group, signal in signals if group.type == "span"},
        events=events,
        entities={group.name: signal for group, signal in signals if group.type == "entity"},
    )


def _references(group: Group, by_id: dict[str, Group], attributes: dict[str, Attribute]) -> dict[str, Reference]:
    inherited: dict[str, Reference] = {}
    if group.extends is not None:
        if group.extends not in by_id:
            raise SourceError(f"{group.where}: extends unknown group {group.extends}")
        inherited = _references(by_id[group.extends], by_id, attributes)
    for reference in group.references:
        if reference.ref not in attributes:
            raise SourceError(f"{group.where}: refers to unknown attribute {reference.ref}")
    return inherited | {reference.ref: reference for reference in group.references}


def _apply(base: Version, delta: Delta, source: Source) -> Version:
    replaced = {attribute for group in delta.groups for attribute in attributes_of([group])}
    kept = tuple(
        replace(group, definitions=tuple(a for a in group.definitions if a.id not in replaced))
        for group in (*source.official, *source.own)
        if group.metric_name not in delta.removed_metrics
    )
    later = _version(delta.version, delta.schema_url, (*kept, *delta.groups))
    spans = {span: _changed(signal, delta, later.attributes) for span, signal in later.spans.items()}
    attributes = {key: value for key, value in later.attributes.items() if key not in delta.removed_attributes}
    unknown = (delta.removed_attributes - base.attributes.keys()) | (delta.removed_metrics - base.metrics.keys())
    if unknown:
        raise SourceError(f"v{delta.version}: removes unknown {', '.join(sorted(unknown))}")
    changed = replace(later, spans=spans, attributes=attributes)
    for signal in changed.signals():
        if gone := sorted(signal.references.keys() & delta.removed_attributes):
            raise SourceError(f"v{delta.version}: {signal.group.id} still has the removed {', '.join(gone)}")
    return changed


def _changed(signal: Signal, delta: Delta, attributes: dict[str, Attribute]) -> Signal:
    operation = signal.group.annotations.get("operation", "")
    removed = delta.span_removed.get(operation, frozenset())
    kept = {key: reference for key, reference in signal.references.items() if key not in removed}
    for reference in delta.span_added.get(operation, ()):
        if reference.ref not in attributes:
            raise SourceError(f"v{delta.version}: adds unknown attribute {reference.ref} to {operation}")
        kept[reference.ref] = reference
    return Signal(signal.group, kept)
