"""What is installed, and whether it fits together."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Final

from packaging.requirements import InvalidRequirement, Requirement

from kaizen_otel._version import __version__
from kaizen_otel.doctor.findings import Finding, Level, ok, warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    VersionOf = Callable[[str], str | None]

_US: Final = "kaizen-otel"
_OPENTELEMETRY: Final = "opentelemetry-"
_TOGETHER: Final = ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp")
_KAIZEN: Final = ("kailash-kaizen", "kailash")


def installed(name: str) -> str | None:
    """The version of an installed distribution; None when there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def requirements_of(name: str) -> list[str]:
    """What an installed distribution needs, its extras included."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


def check_versions(
    version_of: VersionOf = installed, requires: Callable[[str], list[str]] = requirements_of
) -> list[Finding]:
    """Findings about Python, OpenTelemetry and Kaizen."""
    return [
        ok("versions.python", f"Python {platform.python_version()}, kaizen-otel {__version__}"),
        *_opentelemetry(version_of, requires),
        *_kaizen(version_of, requires),
    ]


def _opentelemetry(version_of: VersionOf, requires: Callable[[str], list[str]]) -> Iterator[Finding]:
    unmet = list(_unmet(_US, version_of, requires))
    for name in _together(version_of):
        unmet += [line for line in _unmet(name, version_of, requires) if _OPENTELEMETRY in line.partition(" needs ")[2]]
    for line in dict.fromkeys(unmet):
        yield warning("versions.unmet", line, "Install them together: pip install --upgrade kaizen-otel")
    versions = {name: version_of(name) for name in _TOGETHER}
    told = ", ".join(f"{name.removeprefix(_OPENTELEMETRY)} {version}" for name, version in versions.items())
    level = Level.INFO if unmet else Level.OK
    yield Finding("versions.opentelemetry", level, f"OpenTelemetry: {told}", facts=dict(versions))


def _together(version_of: VersionOf) -> list[str]:
    names = {_name(found) for found in metadata.distributions()}
    return sorted(name for name in names if name.startswith(_OPENTELEMETRY) and version_of(name) is not None)


def _name(distribution: metadata.Distribution) -> str:
    # A broken installation has distributions without a name.
    return str(distribution.metadata["Name"] or "").lower().replace("_", "-")


def _unmet(name: str, version_of: VersionOf, requires: Callable[[str], list[str]]) -> Iterator[str]:
    for text in requires(name):
        need = _requirement(text)
        if need is None or (need.marker is not None and not need.marker.evaluate({"extra": ""})):
            continue
        version = version_of(need.name)
        if version is None:
            yield f"{name} needs {need.name}{need.specifier}, which is not installed"
        elif not need.specifier.contains(version, prereleases=True):
            yield f"{name} needs {need.name}{need.specifier}, and {version} is installed"


def _requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _kaizen(version_of: VersionOf, requires: Callable[[str], list[str]]) -> Iterator[Finding]:
    versions = {name: version_of(name) for name in _KAIZEN}
    kaizen, kailash = versions.values()
    if kaizen is None:
        remedy = "Run this with the Python that runs your application; or pip install kailash-kaizen."
        yield warning("versions.kaizen", "kailash-kaizen is not installed here: nothing can be watched", remedy)
        return
    told = f"kailash-kaizen {kaizen} with kailash {kailash or 'missing'}"
    supported = {need.name: need.specifier for text in requires(_US) if (need := _requirement(text)) is not None}
    old = [
        f"{name}{supported[name]}"
        for name, version in versions.items()
        if name in supported and (version is None or not supported[name].contains(version, prereleases=True))
    ]
    if not old:
        yield ok("versions.kaizen", f"{told}: supported", **versions)
    else:
        message = f"{told}: older than what is fully supported; what exists there is watched"
        yield warning("versions.kaizen", message, f"Install {' and '.join(old)}.", **versions)
