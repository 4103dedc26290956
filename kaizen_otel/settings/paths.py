"""The paths of settings when instrumentation begins: absolute, each one's own, in folders that are there."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kaizen_otel.settings.errors import Refusals, SettingsError
from kaizen_otel.settings.model import KINDS
from kaizen_otel.settings.origins import given_by_somebody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.settings.model import Settings

_IN_A_FOLDER: Final = ("file", "store", "alert_state")
"""Files that are made; the folder above is not, so that a typo is seen. A spool is a folder itself."""


def with_absolute_paths(settings: Settings) -> Settings:
    """Give the settings with every path as it is meant now: a later `os.chdir` moves none of them."""
    relative = {name: path for name, path in _paths(settings) if not path.is_absolute()}
    if not relative:
        return settings
    changes = {name: path.absolute() for name, path in relative.items()}
    return dataclasses.replace(settings, **changes, origins=settings.origins)  # type: ignore[arg-type]  # by name


def check_paths(settings: Settings) -> None:
    """See that no two settings name one path, and that what somebody named is in a folder.

    Raises:
        SettingsError: they do, or it is not.
    """
    refusals = Refusals()
    seen: dict[str, str] = {}
    for name, path in _paths(settings):
        other = seen.setdefault(os.path.realpath(path), name)
        if other != name:
            origin, last = max((settings.origins[one], one) for one in (name, other))
            message = f"{origin.where}: {other} and {name} cannot be the same path {path}"
            refusals.note(SettingsError(message, key=last, where=origin.where))
    for name in _IN_A_FOLDER:
        path = getattr(settings, name)
        if path is not None and given_by_somebody(settings, name) and not os.path.isdir(path.absolute().parent):  # noqa: PTH112 - says no, where is_dir() may raise
            where = settings.origins[name].where
            message = f"{where}: {name} cannot be {path}: there is no folder {path.absolute().parent}"
            refusals.note(SettingsError(message, key=name, where=where))
    for name in (*_IN_A_FOLDER, "spool"):
        path = getattr(settings, name)
        if path is not None and given_by_somebody(settings, name):
            _refuse_other_kinds(settings, name, path, refusals)
    refusals.raise_all()


def _refuse_other_kinds(settings: Settings, name: str, path: Path, refusals: Refusals) -> None:
    """A folder where a file is to be made, or the other way round."""
    is_folder = os.path.isdir(path)  # noqa: PTH112 - as above
    if is_folder if name != "spool" else (os.path.lexists(path) and not is_folder):
        where = settings.origins[name].where
        is_what = "it is a folder; allowed: a file" if is_folder else "it is a file; allowed: a folder"
        refusals.note(SettingsError(f"{where}: {name} cannot be {path}: {is_what}", key=name, where=where))


def _paths(settings: Settings) -> Iterator[tuple[str, Path]]:
    for name in KINDS:
        value = getattr(settings, name)
        if isinstance(value, Path):
            yield name, value
