"""Several `Kaizen(config=…)` in one process: their rules and channels live side by side, each under its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

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
    if _both_said(settings, before, _RULES) and _says_otherwise(settings, before):
        rules_before, rules = _rules_by_name(before), _new_rules_by_name(settings, before)
        warnings += _ambiguous("rule", rules_before, rules, settings.origins[_RULES].where)
        changes[_RULES] = MappingProxyType({"rules": [*_side_by_side(rules_before, rules).values()]})
    if _both_said(settings, before, _CHANNELS):
        channels_before, channels = dict(before.notification_channels or {}), dict(settings.notification_channels or {})
        warnings += _ambiguous("channel", channels_before, channels, settings.origins[_CHANNELS].where)
        changes[_CHANNELS] = MappingProxyType(channels_before | channels)
    if not changes:
        return settings, []
    return dataclasses.replace(settings, **changes, origins=settings.origins), warnings


def _both_said(settings: Settings, before: Settings, name: str) -> bool:
    """Whether each has a table of them from a dictionary: rules of a file, and built-in ones, are replaced."""
    return (
        settings.origins[name].source is before.origins[name].source is Source.DICTIONARY
        and isinstance(getattr(before, name), Mapping)
        and isinstance(getattr(settings, name), Mapping)
    )


def _says_otherwise(settings: Settings, before: Settings) -> bool:
    """Whether the new dictionary says rules, or channels for them: else the rules stay as they are written."""
    return (settings.alert_rules, settings.alert_channels) != (before.alert_rules, before.alert_channels)


def _new_rules_by_name(settings: Settings, before: Settings) -> dict[object, Any]:
    """The rules of the new dictionary; none when it only says channels, which are not for the rules of others."""
    return {} if settings.alert_rules == before.alert_rules else _rules_by_name(settings)


def _rules_by_name(settings: Settings) -> dict[object, Any]:
    """The rules by name, each with the channels of its own dictionary; what has no name, and is refused, by place."""
    found: dict[object, Any] = {}
    given = cast("Mapping[str, Any]", settings.alert_rules)["rules"]
    for index, rule in enumerate(given if isinstance(given, list) else [given]):
        name = rule.get("name") if isinstance(rule, Mapping) else None
        key = name if isinstance(name, str) and name not in found else (index, id(rule))
        found[key] = _with_channels(rule, settings.alert_channels)
    return found


def _with_channels(rule: Any, channels: tuple[str, ...]) -> Any:
    """The rule, told to these channels where it names none itself."""
    if not channels or not isinstance(rule, Mapping) or rule.get("channels"):
        return rule
    return {**rule, "channels": list(channels)}


def _side_by_side(earlier: dict[object, Any], now: dict[object, Any]) -> dict[object, Any]:
    """Both, and of what has one name the one of now."""
    # Those of now first: a message about one of them names its place in the dictionary.
    both = now | {name: rule for name, rule in earlier.items() if name not in now}
    return earlier if both == earlier else both  # the same again is no change, whatever their order


def _ambiguous(what: str, earlier: Mapping[Any, Any], now: Mapping[Any, Any], where: str) -> Iterable[str]:
    """A warning for each name that means something else in an earlier dictionary."""
    for name, meaning in now.items():
        if name in earlier and earlier[name] != meaning:
            yield f"{where}: the {what} {shown(name)} means something else in an earlier dictionary; the last one holds"
