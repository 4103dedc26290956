"""The application's functions that hear of alerts. They outlast `uninstrument()`, as subscribers do."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kaizen_otel.patches.switch import active
from kaizen_otel.settings.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.settings import Settings

OWN_CHANNELS: Final = ("events", "alertmanager")
"""Names that a handler cannot have."""

_logger = logging.getLogger("kaizen_otel")

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_]+")
_MAX_NAME_CHARS: Final = 80


class Handler(NamedTuple):
    """One function, and the name of its channel."""

    name: str
    call: Callable[[dict[str, Any]], object]
    resolved: bool


RULE_SETTINGS: Final = ("alert_rules", "alert_channels", "alertmanager_url", "notification_channels", "budget_limit")
"""Settings that change how rules are judged while they are."""

_registered: dict[str, Handler] = {}


def registered() -> tuple[Handler, ...]:
    """Every handler, in the order of registration."""
    return tuple(_registered.values())


def rules_wanted(settings: Settings) -> bool:
    """Whether rules are to be judged: as `alerting` says, else when somebody would hear of it."""
    if settings.alerting is not None:
        return settings.alerting
    given = (settings.alert_rules, settings.alertmanager_url, settings.notification_channels)
    return any(one is not None for one in given) or bool(_registered)


def refuse_unknown_channels(settings: Settings) -> None:
    """Refuse channels that are named while nobody would hear of an alert: there are none but the events.

    Raises:
        SettingsError: one is named.
    """
    unknown = [name for name in settings.alert_channels if name != OWN_CHANNELS[0]]
    if unknown:
        where = settings.origins["alert_channels"].where
        message = (
            f"{where}: alert_channels cannot be used: {', '.join(map(repr, unknown))} is unknown; allowed: "
            f"{OWN_CHANNELS[0]}, names of notification_channels, handlers that are registered before instrument()"
        )
        raise SettingsError(message, key="alert_channels", where=where)


def register_alert_handler(
    handler: Callable[[dict[str, Any]], object], *, resolved: bool = False, name: str | None = None
) -> str:
    """Call a function with each alert: a dictionary with `type`, `severity`, `message`, `value`, `threshold` and more.

    It is called on a thread of its own; what it raises is counted, and goes no further. Without `alert_rules` the
    built-in rules hold. Handlers stay registered after `uninstrument()`.

    Args:
        handler: the function.
        resolved: whether it is also called when an alert is over, with `status` `resolved`.
        name: of its channel, such as `slack`; None for the function's own.

    Returns:
        The name of its channel, for `unregister_alert_handler` and for the `channels` of rules.

    Raises:
        TypeError: it is no function.
        ValueError: the name is none, or that of another channel.
    """
    if not callable(handler):
        raise TypeError(f"an alert handler cannot be {type(handler).__name__}; allowed: a function of one argument")
    one = Handler(_free_name(handler) if name is None else _checked_name(name), handler, resolved)
    _registered[one.name] = one
    telemetry = active()
    if telemetry is not None and telemetry.settings.alerting is False:
        _logger.warning("the alert handler %s is told nothing: `alerting` is off", one.name)
    elif telemetry is not None:
        with telemetry.fence("alerts.register"):
            try:
                telemetry.rules.add_handler(one)
            except SettingsError as error:  # the rules that now begin to be judged cannot be
                telemetry.settings_desk.refuse(error.problems)
    return one.name


def unregister_alert_handler(name: str) -> bool:
    """Call a function no more; False when none has this name."""
    found = _registered.pop(name, None) is not None
    telemetry = active()
    if found and telemetry is not None and telemetry.settings.alerting is not False:
        with telemetry.fence("alerts.register"):
            telemetry.rules.remove_handler(name)
    return found


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"a channel cannot be named {name!r:.60}; allowed: letters, digits and _, no digit first")
    if name in _registered or name in OWN_CHANNELS:
        raise ValueError(f"there is a channel named {name!r}; allowed: any other name")
    return name


def _free_name(handler: object) -> str:
    given = getattr(handler, "__name__", None)
    words = _NO_NAME.sub("_", given if isinstance(given, str) else "").strip("_")[:_MAX_NAME_CHARS]
    name = words if words and not words[0].isdigit() else f"handler_{words}".rstrip("_")
    number = 1
    free = name
    while free in _registered or free in OWN_CHANNELS:
        number += 1
        free = f"{name}_{number}"
    return free
