"""Where alerts go. One file a channel, and a line in `CHANNELS` for those that a dictionary can describe."""

from __future__ import annotations

import importlib
import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.alerts.rules import NAME, RuleError
from kaizen_processors.spelling import meant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_processors.alerts.channels.channel import Channel

CHANNELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "webhook": "kaizen_processors.alerts.channels.webhook:WebhookChannel",
        "alertmanager": "kaizen_processors.alerts.channels.alertmanager:AlertmanagerChannel",
    }
)
"""For each type its class: the keys of a dictionary are its arguments."""


def channels_from(data: Mapping[str, Mapping[str, Any]], *, where: str = "channels") -> list[Channel]:
    """Make channels of a dictionary: name → `{"type": "webhook", "url": …}`.

    Raises:
        RuleError: a channel cannot be made; the message has a line for each problem.
    """
    made: list[Channel] = []
    problems: list[str] = []
    for name, given in data.items():
        try:
            made.append(_channel(name, given))
        except (ValueError, TypeError) as error:
            problems.append(f"{where}.{name}: {error}")
    if problems:
        raise RuleError(tuple(problems))
    return made


def _channel(name: str, given: object) -> Channel:
    if not NAME.fullmatch(name):
        raise ValueError("names are letters, digits and _, no digit first")
    if not isinstance(given, dict):
        raise TypeError("must be a mapping with `type` and its arguments")
    arguments = dict(given)
    kind = arguments.pop("type", name)
    if kind not in CHANNELS:
        allowed = f"{', '.join(CHANNELS)}, or a handler with this name"
        raise ValueError(f"type {kind!r:.60} is unknown{meant(kind, CHANNELS)}; allowed: {allowed}")
    module, _, class_name = CHANNELS[kind].partition(":")
    made: type[Channel] = getattr(importlib.import_module(module), class_name)
    known = [key for key in inspect.signature(made).parameters if key not in {"name", "clock"}]
    for key in arguments:
        if key not in known:
            raise ValueError(f"unknown key {key!r:.60}{meant(key, known)}; allowed: type, {', '.join(known)}")
    needed = inspect.signature(made).parameters[known[0]]
    if needed.name not in arguments:
        raise ValueError(f"`{needed.name}` is missing")
    return made(name, **arguments)
