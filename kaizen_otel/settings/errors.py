"""The one error of the settings, and how its messages are worded."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from kaizen_processors.spelling import closest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_SHOWN_CHARACTERS = 80
_CONTAINERS = (dict, list, tuple, set, frozenset)


class SettingsError(ValueError):
    """A setting is not what it may be: the message says which, where it stands, what was given and what is allowed.

    Attributes:
        key: the setting or dictionary key, as the user wrote it; `None` when the source as a whole is at fault.
        where: the argument, environment variable, dictionary path or `file:line` at fault.
    """

    def __init__(self, message: str, *, key: str | None = None, where: str | None = None) -> None:
        super().__init__(message)
        self.key = key
        self.where = where
        self._problems: tuple[SettingsError, ...] = ()

    @property
    def problems(self) -> tuple[SettingsError, ...]:
        """One error for each mistake; this one alone where there is one."""
        return self._problems or (self,)

    @classmethod
    def of_all(cls, problems: Sequence[SettingsError]) -> SettingsError:
        """Give one error that shows all of these, each on a line of its own; `key` and `where` are the first's."""
        if len(problems) == 1:
            return problems[0]
        whole = cls("\n".join(map(str, problems)), key=problems[0].key, where=problems[0].where)
        whole._problems = tuple(problems)
        return whole


class Refusals:
    """Mistakes, collected one by one: all are told at once, and what is right can be used.

    Attributes:
        errors: the mistakes so far, each once.
    """

    def __init__(self) -> None:
        self.errors: list[SettingsError] = []

    def note(self, error: SettingsError) -> None:
        """Note what is wrong."""
        known = {str(one) for one in self.errors}
        self.errors += [one for one in error.problems if str(one) not in known]

    @contextmanager
    def noting(self, where: str) -> Iterator[None]:
        """Note what is refused inside, and whatever a foreign mapping or value raises while it is read."""
        try:
            with only_settings_errors(where):
                yield
        except SettingsError as error:
            self.note(error)

    def raise_all(self) -> None:
        """Raise what was noted, if anything was."""
        if self.errors:
            raise SettingsError.of_all(self.errors)


@contextmanager
def only_settings_errors(where: str) -> Iterator[None]:
    """Turn whatever a foreign mapping or value raises while it is read into a `SettingsError`."""
    try:
        yield
    except SettingsError:
        raise
    except Exception as error:
        raise SettingsError(f"{where}: reading it raised {type(error).__name__}", where=where) from error


class Refused(Exception):  # noqa: N818 - never leaves this package: it becomes a SettingsError where the place is known
    """A value that its kind does not allow. The text, if any, says why beyond the list of what is allowed."""


def shown(value: object, at_most: int = _SHOWN_CHARACTERS) -> str:
    """Show what was given in so many characters at most.

    Containers are only named: they may be huge, self-referential, or hold a secret such as an API key.
    """
    try:
        text = f"a {type(value).__name__} of {len(value)}" if isinstance(value, _CONTAINERS) else repr(value)
    except Exception:  # noqa: BLE001 - a foreign value may raise anything; its type is all that can be said
        text = f"<{type(value).__name__}>"
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= at_most else f"{text[: at_most - 1]}…"


def wrong_value(
    key: str, value: object, *, where: str, allowed: str, why: str = "", secret: bool = False
) -> SettingsError:
    """Build the error of a known setting with a value it cannot have."""
    given = f"<{type(value).__name__}, not shown>" if secret else shown(value)
    because = f" ({why})" if why else ""
    return SettingsError(f"{where}: {key} cannot be {given}{because}; allowed: {allowed}", key=key, where=where)


def meant(value: object, choices: Iterable[str]) -> str:
    """Say which of a few choices a value may have been meant for; empty when it is near none."""
    close = closest(value, choices)
    return "" if close is None else f"did you mean {close}?"


def unknown_key(
    key: object, known: Iterable[str], *, where: str, what: str = "setting", hint: str | None = None
) -> SettingsError:
    """Build the error of a key that nobody reads: the hint, or the closest known one, first, then all of them."""
    names = sorted(known)
    close = closest(key, names)
    if close is not None and (hint is None or close.startswith(f"{key}_")):
        hint = f"Did you mean {close}?"
    elif hint is not None:
        hint = f"{hint}."
    said = "" if hint is None else f" {hint}"
    return SettingsError(
        f"{where}: unknown {what} {shown(key)}.{said} Known: {', '.join(names)}", key=str_or_shown(key), where=where
    )


def str_or_shown(key: object) -> str:
    """Name a key that may not be a string."""
    return key if type(key) is str else shown(key)
