"""What OTel Weaver does not catch, and what it would but is not here to run: the rules of our registry.

Each rule takes the whole source and yields one line for each breach.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from semconv_generator.naming import constant
from semconv_generator.resolve import attributes_of, resolve
from semconv_generator.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from semconv_generator.source import Attribute, Group, Member, Source

TYPES = {"string": str, "int": int, "double": float, "boolean": bool, "any": str, "enum": str}
STABILITY = frozenset({"development", "alpha", "beta", "release_candidate", "stable"})
LEVELS = frozenset({"required", "conditionally_required", "recommended", "opt_in"})
INSTRUMENTS = frozenset({"counter", "updowncounter", "gauge", "histogram"})
SPAN_KINDS = frozenset({"client", "consumer", "internal", "producer", "server"})

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_UNIT = re.compile(r"1|s|By|\{[A-Za-z_]+\}")
_PLACEHOLDER = re.compile(r"\{([^}]+)\}")
_ARRAY = "[]"


def breaches(source: Source) -> list[str]:
    """All breaches of all rules, in the order of the rules, each said once."""
    found: dict[str, None] = {}
    for rule in RULES:
        try:
            found |= dict.fromkeys(rule(source))
        except SourceError as error:
            found[str(error)] = None
    return list(found)


def duplicate_names(source: Source) -> Iterator[str]:
    """Two groups, attributes, metrics or events with one name; Weaver sees only the attributes."""
    groups = (*source.official, *source.own)
    yield from _duplicates("group", (group.id for group in groups))
    yield from _duplicates("attribute", (attribute.id for attribute in _attributes(groups)))
    yield from _duplicates("metric", (group.metric_name for group in groups if group.type == "metric"))
    yield from _duplicates("event", (group.name for group in groups if group.type == "event"))
    yield from _duplicates(
        "constant", {attribute.id: constant(attribute.id) for attribute in _attributes(groups)}.values()
    )
    for group in groups:
        yield from _duplicates(f"{group.where}: ref", (reference.ref for reference in group.references))
    # The two ends of one operation have it in common.
    for span_kind in sorted(SPAN_KINDS):
        spans = (group for group in groups if group.type == "span" and group.span_kind == span_kind)
        operations = (group.annotations.get("operation") for group in spans)
        yield from _duplicates("span operation", (operation for operation in operations if operation))


def prefix_names(source: Source) -> Iterator[str]:
    """A name that is also the namespace of another of its kind, such as `a.b` beside `a.b.c`."""
    groups = _all_groups(source)
    kinds = {
        "attribute": {attribute.id for attribute in _attributes(groups)},
        "metric": {group.metric_name for group in groups if group.type == "metric"},
        "event": {group.name for group in groups if group.type == "event"},
    }
    for kind, names in kinds.items():
        for name in sorted(names):
            parts = name.split(".")
            namespaces = {".".join(parts[:length]) for length in range(1, len(parts))}
            for namespace in sorted(namespaces & names):
                yield f"{kind} {namespace} is a namespace: {name} lies in it"


def malformed_names(source: Source) -> Iterator[str]:
    """A name that is not lower case, dots and underscores."""
    for group in _all_groups(source):
        for name in (group.id, group.metric_name, group.name, *(attribute.id for attribute in group.definitions)):
            if name and not _NAME.fullmatch(name):
                yield f"{group.where}: malformed name {name}"


def renamed_to_unknown(source: Source) -> Iterator[str]:
    """A deprecated attribute whose successor does not exist."""
    groups = _all_groups(source)
    known = attributes_of(groups)
    for attribute in _attributes(groups):
        if attribute.renamed_to is not None and attribute.renamed_to not in known:
            yield f"{attribute.where}: renamed to unknown {attribute.renamed_to}"


def types_and_examples(source: Source) -> Iterator[str]:
    """An unknown type, examples of another type, or a string without examples."""
    for attribute in _attributes(_all_groups(source)):
        if attribute.type.removesuffix(_ARRAY) not in TYPES:
            yield f"{attribute.where}: unknown type {attribute.type}"
        elif not _examples_fit(attribute):
            yield f"{attribute.where}: examples are not a list of {attribute.type}"
        elif attribute.type in {"string", "string[]"} and not attribute.examples:
            yield f"{attribute.where}: a {attribute.type} needs examples"


def limits(source: Source) -> Iterator[str]:
    """A range or a pattern that nothing can be in, or that an example is not in."""
    for group in _all_groups(source):
        yield from _limits(group.annotations, (), group.where)
        for attribute in group.definitions:
            examples = attribute.examples if isinstance(attribute.examples, list) else ()
            yield from _limits(attribute.annotations, examples, attribute.where)


def enum_members(source: Source) -> Iterator[str]:
    """Enums with no members, with two alike, or that differ from the enum they claim to equal."""
    groups = _all_groups(source)
    known = attributes_of(groups)
    for attribute in _attributes(groups):
        if attribute.type != "enum":
            continue
        if not attribute.members:
            yield f"{attribute.where}: no members"
        yield from _duplicates(f"{attribute.where}: member id", (member.id for member in attribute.members))
        yield from _duplicates(f"{attribute.where}: member value", (member.value for member in attribute.members))
        for member in attribute.members:
            if not _NAME.fullmatch(member.id):
                yield f"{attribute.where}: malformed member id {member.id}"
        twin = attribute.annotations.get("same_values_as")
        if twin is None:
            continue
        if twin not in known:
            yield f"{attribute.where}: same_values_as unknown {twin}"
        elif known[twin].members != attribute.members:
            yield f"{attribute.where}: members differ from those of {twin}"


def briefs_and_stability(source: Source) -> Iterator[str]:
    """Anything without a brief, or anything but an attribute group without a stability."""
    for group in _all_groups(source):
        if not group.brief:
            yield f"{group.where}: no brief"
        if group.type != "attribute_group" and group.stability not in STABILITY:
            yield f"{group.where}: no stability"
        for attribute in group.definitions:
            yield from _undescribed(attribute, attribute.where)
            for member in attribute.members:
                yield from _undescribed(member, f"{attribute.where}: {member.id}")


def metrics(source: Source) -> Iterator[str]:
    """Instruments, units, value types and bucket edges."""
    for group in _all_groups(source):
        if group.type != "metric":
            continue
        if group.instrument not in INSTRUMENTS:
            yield f"{group.where}: unknown instrument {group.instrument}"
        if not _UNIT.fullmatch(group.unit):
            yield f"{group.where}: unit {group.unit!r} is none of 1, s, By, {{noun}}"
        if group.metric_name.endswith(".duration") and group.unit != "s":
            yield f"{group.where}: a duration is in s, not {group.unit}"
        value_type = group.annotations.get("code_generation", {}).get("metric_value_type")
        if value_type not in {"int", "double"}:
            yield f"{group.where}: code_generation.metric_value_type is neither int nor double"
        edges = group.annotations.get("boundaries", [])
        if (group.instrument == "histogram") != bool(edges):
            yield f"{group.where}: boundaries belong to histograms, all of them"
        if any(low >= high for low, high in pairwise(edges)):
            yield f"{group.where}: boundaries do not rise"


def spans(source: Source) -> Iterator[str]:
    """Kinds, and whether a span can be told from others and its name be made from its own attributes."""
    for group in _all_groups(source):
        if group.type == "span" and group.span_kind not in SPAN_KINDS:
            yield f"{group.where}: unknown span_kind {group.span_kind}"
    operations = {member.value for member in attributes_of(source.official)["gen_ai.operation.name"].members}
    for version in resolve(source):
        for signal in version.spans.values():
            notes = signal.group.annotations
            if (notes.get("operation") in operations) == (notes.get("marker") in signal.references):
                yield f"{signal.group.where}: needs a known operation or a marker, not both"
            for key in _PLACEHOLDER.findall(" ".join(notes.get("name", ()))):
                if key not in signal.references:
                    yield f"{signal.group.where}: its name uses {key}, which it does not have"
            if not notes.get("name"):
                yield f"{signal.group.where}: no name"


def requirement_levels(source: Source) -> Iterator[str]:
    """A level that does not exist, or a condition that is not said."""
    for group in _all_groups(source):
        for reference in group.references:
            if reference.level not in LEVELS:
                yield f"{group.where}: {reference.ref}: unknown requirement_level {reference.level}"
            if reference.level == "conditionally_required" and not reference.condition:
                yield f"{group.where}: {reference.ref}: conditionally_required without its condition"


def unused_attributes(source: Source) -> Iterator[str]:
    """A definition that no signal of its version has."""
    for version in resolve(source):
        used = {key for signal in version.signals() for key in signal.references}
        for key in sorted(version.attributes.keys() - used):
            yield f"v{version.number}: no signal has {key}"


RULES: tuple[Callable[[Source], Iterator[str]], ...] = (
    duplicate_names,
    prefix_names,
    malformed_names,
    renamed_to_unknown,
    types_and_examples,
    limits,
    enum_members,
    briefs_and_stability,
    metrics,
    spans,
    requirement_levels,
    unused_attributes,
)


def _limits(annotations: dict[str, Any], examples: Iterable[Any], where: str) -> Iterator[str]:
    span = annotations.get("range", {})
    low, high = span.get("min", -math.inf), span.get("max", math.inf)
    if span.keys() - {"min", "max"} or low >= high:
        yield f"{where}: range is not min below max"
    pattern = annotations.get("pattern")
    for example in examples:
        if (span and not low <= example <= high) or (pattern and not re.fullmatch(pattern, example)):
            yield f"{where}: example {example} is outside its own limits"


def _undescribed(item: Attribute | Member, where: str) -> Iterator[str]:
    if not item.brief:
        yield f"{where}: no brief"
    if item.stability not in STABILITY:
        yield f"{where}: no stability"


def _all_groups(source: Source) -> tuple[Group, ...]:
    return (*source.official, *source.own, *(group for delta in source.deltas for group in delta.groups))


def _attributes(groups: Iterable[Group]) -> Iterator[Attribute]:
    return (attribute for group in groups for attribute in group.definitions)


def _duplicates(kind: str, names: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{kind} {name} is there {count} times"


def _examples_fit(attribute: Attribute) -> bool:
    if attribute.examples is None:
        return True
    if not isinstance(attribute.examples, list):
        return False
    wanted = TYPES[attribute.type.removesuffix(_ARRAY)]
    values = attribute.examples
    if attribute.type.endswith(_ARRAY):
        if not all(isinstance(value, list) for value in values):
            return False
        values = [item for value in values for item in value]
    # `type`, not isinstance: True is no int, and 1 is no double.
    return all(type(value) is wanted for value in values)
