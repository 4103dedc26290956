"""The settings as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaizen_otel.settings.errors import shown
from kaizen_otel.settings.model import KINDS, SECRETS

if TYPE_CHECKING:
    from kaizen_otel.settings.model import Settings


_IN_FORCE = {"content": "captured_content", "evaluators": "active_evaluators", "windows": "active_windows"}
"""What holds of a field at the monitoring level."""


def describe(settings: Settings) -> str:
    """Give one line for each field: name, value (secrets masked), source."""
    table = [("setting", "value", "source"), *rows(settings)]
    widths = [max(len(row[column]) for row in table) for column in range(2)]
    return "\n".join(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}" for name, value, source in table)


def rows(settings: Settings) -> list[tuple[str, str, str]]:
    """Name, value (secrets masked) and source of each field."""
    return [_row(settings, name) for name in KINDS]


def _row(settings: Settings, name: str) -> tuple[str, str, str]:
    value = getattr(settings, name)
    text = f"<{len(value)} hidden>" if name in SECRETS and value else as_text(value)
    in_force = getattr(settings, _IN_FORCE.get(name, name))
    if value != in_force:
        text += f" (off at level {settings.monitoring_level})"
    return name, text, settings.origins[name].where


def as_text(value: Any) -> str:
    """A value as people read it: `none`, `true`, a path as an absolute one."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(as_text(item) for item in value) or "none"
    if isinstance(value, str | Path):
        text = str(value.absolute() if isinstance(value, Path) else value)
        return text if text.isprintable() else repr(text)[1:-1]  # a value is one line, whatever is in it
    if isinstance(value, int | float):
        return f"{value:.15g}"
    return f"a dictionary of {len(value)}" if isinstance(value, Mapping) else _named(value)


def _named(value: object) -> str:
    name = getattr(value, "__qualname__", None)
    return name if isinstance(name, str) else shown(type(value).__name__).strip("'")
