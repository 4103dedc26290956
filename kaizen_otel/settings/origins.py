"""Where the value of a setting came from, and what follows from that where it cannot be used."""

from __future__ import annotations

import dataclasses
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kaizen_otel.settings.errors import SettingsError
    from kaizen_otel.settings.model import Settings


class Source(IntEnum):
    """Where a value came from; a higher one wins."""

    DEFAULT = 0
    PRESET = 1
    FILE = 2
    ENVIRONMENT = 3
    DICTIONARY = 4
    ARGUMENT = 5
    SWITCH = 6
    """`OTEL_SDK_DISABLED`: the operator's emergency switch, above everything."""


class Origin(NamedTuple):
    """Where one field's value came from."""

    source: Source
    where: str
    """For people: `environment variable KAIZEN_OTEL_CONSOLE`, `/etc/kaizen-otel.yaml:3`, `argument`."""


def given_by_somebody(settings: Settings, name: str) -> bool:
    """Whether a value stands somewhere: an argument, a variable, a file; not in a preset, which nobody spells out."""
    return settings.origins[name].source > Source.PRESET


def raise_where_asked_for(settings: Settings, name: str, error: SettingsError, warn: Callable[[str], object]) -> None:
    """Raise `error` where somebody gave the setting `name`; hand its message to `warn` where only a preset did.

    Two applications of one host may well have the same preset: neither shall fail for what nobody spelt out.

    Raises:
        SettingsError: `error` itself.
    """
    if given_by_somebody(settings, name):
        raise error
    warn(str(error))


def restored(settings: Settings, before: Settings, names: Iterable[str]) -> Settings:
    """Give `settings` with these fields as they were, where they came from included."""
    origins = {**settings.origins, **{name: before.origins[name] for name in names}}
    return dataclasses.replace(settings, **{name: getattr(before, name) for name in names}, origins=origins)
