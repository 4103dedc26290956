"""The registry as it is written: YAML groups in the format of OTel Weaver, read into typed records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

_GROUP_KEYS = frozenset(
    {
        "id",
        "type",
        "brief",
        "note",
        "stability",
        "attributes",
        "extends",
        "span_kind",
        "metric_name",
        "instrument",
        "unit",
        "name",
        "annotations",
        "display_name",
        "deprecated",
        "events",
    }
)
_ATTRIBUTE_KEYS = frozenset({"id", "type", "brief", "note", "stability", "examples", "deprecated", "annotations"})
_REFERENCE_KEYS = frozenset(
    {"ref", "requirement_level", "sampling_relevant", "brief", "note", "examples", "annotations"}
)
_MEMBER_KEYS = frozenset({"id", "value", "brief", "note", "stability", "deprecated"})

# The loader in C is ten times as fast, where PyYAML was built with it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class SourceError(ValueError):
    """A registry file that cannot be read: the message names file, group and key."""


@dataclass(frozen=True)
class Member:
    """One value of an enum attribute."""

    id: str
    value: str
    brief: str
    stability: str


@dataclass(frozen=True)
class Attribute:
    """The definition of an attribute. `members` is empty unless its type is an enum."""

    id: str
    type: str
    members: tuple[Member, ...]
    brief: str
    note: str
    stability: str
    examples: object
    renamed_to: str | None
    annotations: dict[str, Any]
    where: str


@dataclass(frozen=True)
class Reference:
    """The use of an attribute on a signal."""

    ref: str
    level: str
    condition: str
    sampling_relevant: bool


@dataclass(frozen=True)
class Group:
    """A group of the registry: an attribute group or one signal."""

    id: str
    type: str
    brief: str
    note: str
    stability: str
    extends: str | None
    definitions: tuple[Attribute, ...]
    references: tuple[Reference, ...]
    span_kind: str
    metric_name: str
    instrument: str
    unit: str
    name: str
    annotations: dict[str, Any]
    where: str


@dataclass(frozen=True)
class Delta:
    """What a later version of the conventions changes."""

    version: int
    schema_url: str
    commit: str
    groups: tuple[Group, ...]
    removed_attributes: frozenset[str]
    removed_metrics: frozenset[str]
    span_removed: dict[str, frozenset[str]]
    span_added: dict[str, tuple[Reference, ...]]


@dataclass(frozen=True)
class Source:
    """Our registry, the official part it builds on, and what a later version changes there."""

    schema_url: str
    base_version: int
    base_schema_url: str
    own: tuple[Group, ...]
    official: tuple[Group, ...]
    deltas: tuple[Delta, ...] = field(default=())


def read(root: Path) -> Source:
    """Read `registry/`, `official/v<N>/` and `official/v<M>.yaml` below this folder.

    Raises:
        SourceError: a file is not what the format asks for.
    """
    manifest = _manifest(root / "registry")
    (base,) = sorted((root / "official").glob("v*/"))
    return Source(
        schema_url=manifest["schema_url"],
        base_version=int(base.name.removeprefix("v")),
        base_schema_url=_manifest(base)["schema_url"],
        own=_folder(root / "registry"),
        official=_folder(base),
        deltas=tuple(_delta(path) for path in sorted((root / "official").glob("v*.yaml"))),
    )


def _manifest(folder: Path) -> dict[str, Any]:
    data = _load(folder / "manifest.yaml")
    for key in ("description", "schema_url", "stability"):
        if key not in data:
            raise SourceError(f"{folder.name}/manifest.yaml: no {key}")
    return data


def _load(path: Path) -> dict[str, Any]:
    data = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506  one of the two safe loaders
    if not isinstance(data, dict):
        raise SourceError(f"{path.name}: not a mapping")
    return data


def _folder(folder: Path) -> tuple[Group, ...]:
    return tuple(
        _group(group, f"{folder.name}/{path.name}")
        for path in sorted(folder.glob("*.yaml"))
        if path.name != "manifest.yaml"
        for group in _load(path)["groups"]
    )


def _delta(path: Path) -> Delta:
    data = _load(path)
    spans: dict[str, dict[str, Any]] = data["spans"]
    return Delta(
        version=data["version"],
        schema_url=data["schema_url"],
        commit=data["commit"],
        groups=tuple(_group(group, path.name) for group in data["groups"]),
        removed_attributes=frozenset(data["removed"]["attributes"]),
        removed_metrics=frozenset(data["removed"]["metrics"]),
        span_removed={operation: frozenset(change.get("removed", ())) for operation, change in spans.items()},
        span_added={
            operation: tuple(_reference(ref, path.name) for ref in change.get("added", ()))
            for operation, change in spans.items()
        },
    )


def _group(data: dict[str, Any], where: str) -> Group:
    where = f"{where}: {data.get('id', '?')}"
    _reject_unknown(data, _GROUP_KEYS, where)
    entries = data.get("attributes", [])
    return Group(
        id=data["id"],
        type=data["type"],
        brief=_text(data, "brief"),
        note=_text(data, "note"),
        stability=_text(data, "stability"),
        extends=data.get("extends"),
        definitions=tuple(_attribute(entry, where) for entry in entries if "id" in entry),
        references=tuple(_reference(entry, where) for entry in entries if "id" not in entry),
        span_kind=_text(data, "span_kind"),
        metric_name=_text(data, "metric_name"),
        instrument=_text(data, "instrument"),
        unit=_text(data, "unit"),
        name=_text(data, "name"),
        annotations=data.get("annotations", {}),
        where=where,
    )


def _attribute(data: dict[str, Any], where: str) -> Attribute:
    where = f"{where}: {data['id']}"
    _reject_unknown(data, _ATTRIBUTE_KEYS, where)
    kind = data.get("type")
    members = kind.get("members", []) if isinstance(kind, dict) else []
    for member in members:
        _reject_unknown(member, _MEMBER_KEYS, where)
    return Attribute(
        id=data["id"],
        type="enum" if isinstance(kind, dict) else str(kind),
        members=tuple(Member(m["id"], m["value"], _text(m, "brief"), _text(m, "stability")) for m in members),
        brief=_text(data, "brief"),
        note=_text(data, "note"),
        stability=_text(data, "stability"),
        examples=data.get("examples"),
        renamed_to=data.get("deprecated", {}).get("renamed_to"),
        annotations=data.get("annotations", {}),
        where=where,
    )


def _reference(data: dict[str, Any], where: str) -> Reference:
    _reject_unknown(data, _REFERENCE_KEYS, where)
    level = data.get("requirement_level", "recommended")
    condition = ""
    if isinstance(level, dict):
        ((level, condition),) = level.items()
    return Reference(data["ref"], level, condition, data.get("sampling_relevant", False))


def _reject_unknown(data: dict[str, Any], known: frozenset[str], where: str) -> None:
    if unknown := sorted(set(data) - known):
        raise SourceError(f"{where}: unknown key {', '.join(unknown)}")


def _text(data: dict[str, Any], key: str) -> str:
    return str(data.get(key, "")).strip()
