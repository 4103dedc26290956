"""What an examination found."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHORTEST_SECRET: Final = 4
_MASK: Final = "•••"


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: What was looked at, for machines: stable, dotted, such as `tls.certificate`.
        level: How bad it is.
        message: What was found, one sentence without a capital or a full stop.
        remedy: What to do about it; empty where nothing is to be done.
        facts: Figures for machines.
    """

    check: str
    level: Level
    message: str
    remedy: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def ok(check: str, message: str, **facts: Any) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, message, facts=facts)


def info(check: str, message: str, remedy: str = "", **facts: Any) -> Finding:
    """Worth knowing."""
    return Finding(check, Level.INFO, message, remedy, facts)


def warning(check: str, message: str, remedy: str, **facts: Any) -> Finding:
    """It may work, but probably not as meant."""
    return Finding(check, Level.WARNING, message, remedy, facts)


def error(check: str, message: str, remedy: str, **facts: Any) -> Finding:
    """It does not work."""
    return Finding(check, Level.ERROR, message, remedy, facts)


@dataclass(frozen=True, slots=True)
class Section:
    """Findings about one subject."""

    title: str
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class Report:
    """An examination.

    Attributes:
        sections: The findings, by subject.
        settings: Each setting, its value as people read it, and where it came from.
    """

    sections: list[Section]
    settings: list[tuple[str, str, str]]

    def count(self, level: Level) -> int:
        """How many findings there are of a level."""
        return sum(found.level is level for section in self.sections for found in section.findings)


class Secrets:
    """Texts that nothing printed may contain."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Hide these; shorter ones than four characters would hide half of all words."""
        self._texts = sorted({text for text in texts if len(text) >= _SHORTEST_SECRET}, key=len, reverse=True)

    def hide(self, text: str) -> str:
        """The text without them."""
        for secret in self._texts:
            text = text.replace(secret, _MASK)
        return text

    def hide_in(self, section: Section) -> Section:
        """The section without them."""
        return Section(self.hide(section.title), [self._hidden(found) for found in section.findings])

    def _hidden(self, found: Finding) -> Finding:
        facts = {key: self.hide(value) if isinstance(value, str) else value for key, value in found.facts.items()}
        return Finding(found.check, found.level, self.hide(found.message), self.hide(found.remedy), facts)
