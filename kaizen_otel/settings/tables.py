"""Kinds of settings that hold a dictionary: rules and channels of alerts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from kaizen_otel.settings.errors import Refused
from kaizen_otel.settings.kinds import FilePath, Kind

PRODUCTION_RULES = "production"
"""The word for `kaizen_processors.alerts.production_rules`."""

_SCALARS = (str, int, float, Decimal, date, type(None))


class RulesSource(FilePath):
    """Rules of alerts: a file, the word `production`, or (not from text) a dictionary with the keys of a file."""

    def is_path(self, text: str) -> bool:
        """All but the word."""
        return text.strip().lower() != PRODUCTION_RULES and super().is_path(text)

    def _allowed(self) -> str:
        return "a path, production, a dictionary with `rules`"

    def _check(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return _own_copy(value)
        word = value.strip().lower() if isinstance(value, str) else None
        return PRODUCTION_RULES if word == PRODUCTION_RULES else super()._check(value)


class Table(Kind):
    """A dictionary with names for keys; JSON where only text is possible."""

    def _allowed(self) -> str:
        return "a dictionary; as text, one in JSON"

    def _read(self, text: str) -> Any:
        import json  # noqa: PLC0415 - few have such a variable

        try:
            return self._check(json.loads(text))
        except (ValueError, RecursionError):
            raise Refused("not JSON") from None

    def _check(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise Refused
        return _own_copy(value)


def _own_copy(value: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Give a copy that stays as it is: whoever gave it may go on changing theirs."""
    return MappingProxyType({_plain(key): _plain(held) for key, held in value.items()})


def _plain(value: Any) -> Any:
    """Give a copy of what a file could hold; anything else has no place in rules or channels."""
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, Mapping):
        return {_plain(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    raise Refused(f"it holds a {type(value).__name__}")
