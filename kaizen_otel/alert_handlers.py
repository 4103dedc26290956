"""The application's functions that hear of alerts. They outlast `uninstrument()`, as subscribers do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from collections.abc import Callable

_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_]+")
_MAX_NAME_CHARS: Final = 80


class Handler(NamedTuple):
    """One function, and the name of its channel."""

    name: str
    call: Callable[[dict[str, Any]], object]
    resolved: bool


_registered: dict[str, Handler] = {}


def registered() -> tuple[Handler, ...]:
    """Every handler, in the order of registration."""
    return tuple(_registered.values())


def register_alert_handler(handler: Callable[[dict[str, Any]], object], *, resolved: bool = False) -> str:
    """Call a function with each alert: a dictionary with `type`, `severity`, `message`, `value`, `threshold` and more.

    It is called on a thread of its own; what it raises is counted, and goes no further. Without `alert_rules` the
    built-in rules hold. Handlers stay registered after `uninstrument()`.

    Args:
        handler: the function.
        resolved: whether it is also called when an alert is over, with `status` `resolved`.

    Returns:
        The name of its channel, for `unregister_alert_handler` and for the `channels` of rules.

    Raises:
        TypeError: it is no function.
    """
    if not callable(handler):
        raise TypeError(f"an alert handler cannot be {type(handler).__name__}; allowed: a function of one argument")
    one = Handler(_free_name(handler), handler, resolved)
    _registered[one.name] = one
    telemetry = active()
    if telemetry is not None:
        with telemetry.fence("alerts.register"):
            telemetry.rules.add_handler(one)
    return one.name


def unregister_alert_handler(name: str) -> bool:
    """Call a function no more; False when none has this name."""
    found = _registered.pop(name, None) is not None
    telemetry = active()
    if found and telemetry is not None:
        with telemetry.fence("alerts.register"):
            telemetry.rules.remove_handler(name)
    return found


def _free_name(handler: object) -> str:
    given = getattr(handler, "__name__", None)
    words = _NO_NAME.sub("_", given if isinstance(given, str) else "").strip("_")[:_MAX_NAME_CHARS]
    name = words if words and not words[0].isdigit() else f"handler_{words}".rstrip("_")
    number = 1
    free = name
    while free in _registered:
        number += 1
        free = f"{name}_{number}"
    return free
