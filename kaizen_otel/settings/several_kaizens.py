"""Several `Kaizen(config=…)` in one process: their rules and channels live side by side, each under its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.settings.errors import shown
from kaizen_otel.settings.origins import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen_otel.settings import Settings

_RULES: Final = "alert_rules"
_CHANNELS: Final = "notification_channels"


def with_earlier_alerting(settings: Settings, before: Settings) -> tuple[Settings, list[str]]:
    """Add to the rules and channels of a dictionary those of earlier ones: no part of an application has the only say.

    Args:
        settings: with the new dictionary laid over `before`.
        before: with the earlier ones.

    Returns:
        The settings, and a warning for each name that means two things: the last one holds.
    """
    changes: dict[str, Any] = {}
    warnings: list[str] = []
    where = settings.origins[_RULES].where
    says_more = settings.alert_rules != before.alert_rules
    if _both_said(settings, before, _RULES) and (says_more or settings.alert_channels != before.alert_channels):
        # A rule that names no channel goes to those that its own dictionary names.
        earlier = _by_name(before.alert_rules, before.alert_channels)
        now = _by_name(settings.alert_rules, settings.alert_channels) if says_more else {}
        warnings += _ambiguous("rule", earlier, now, where)
        # Its own first: a message about one of them names its place in the dictionary.
        together = now | {name: rule for name, rule in earlier.items() if name not in now}
        changes[_RULES] = MappingProxyType({"rules": [*(earlier if together == earlier else together).values()]})
    if _both_said(settings, before, _CHANNELS):
        known, given = dict(before.notification_channels or {}), dict(settings.notification_channels or {})
        warnings += _ambiguous("channel", known, given, settings.origins[_CHANNELS].where)
        changes[_CHANNELS] = MappingProxyType(known | given)
    if not changes:
        return settings, []
    return dataclasses.replace(settings, **changes, origins=settings.origins), warnings


def _both_said(settings: Settings, before: Settings, name: str) -> bool:
    return (
        settings.origins[name].source is before.origins[name].source is Source.DICTIONARY
        and isinstance(getattr(before, name), Mapping)
        and isinstance(getattr(settings, name), Mapping)
    )


def _by_name(rules: Any, channels: tuple[str, ...]) -> dict[object, Any]:
    """The rules by name; what has none, and will be refused, by its place."""
    found: dict[object, Any] = {}
    given = rules["rules"]
    for index, rule in enumerate(given if isinstance(given, list) else [given]):
        entry = {**rule, "channels": list(channels)} if _names_no_channel(rule, channels) else rule
        name = rule.get("name") if isinstance(rule, Mapping) else None
        found[name if isinstance(name, str) and name not in found else (index, id(rule))] = entry
    return found


def _names_no_channel(rule: Any, channels: tuple[str, ...]) -> bool:
    return isinstance(rule, Mapping) and bool(channels) and not rule.get("channels")


def _ambiguous(what: str, earlier: Mapping[Any, Any], now: Mapping[Any, Any], where: str) -> Iterable[str]:
    for name, meaning in now.items():
        if name in earlier and earlier[name] != meaning:
            yield f"{where}: the {what} {shown(name)} means something else in an earlier dictionary; the last one holds"
