"""Silences: which alerts nobody wants to hear of for a while. Matchers and their meaning are Alertmanager's."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MATCHER: Final = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\["\\n])*"|[^"\s{},]*)\s*')
_ESCAPE: Final = re.compile(r'\\(["\\n])')
_MAX_CHARS: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ALLOWED: Final = 'allowed: name="value", with = != =~ !~'


class SilenceError(ValueError):
    """A silence cannot be used; `key` says which part of it."""

    def __init__(self, key: str, problem: str) -> None:
        """Hold both."""
        super().__init__(problem)
        self.key = key


@dataclass(frozen=True, slots=True)
class Matcher:
    """One test of one label. A label that is not there is empty; regular expressions match the whole value."""

    name: str
    operator: str
    value: str
    pattern: re.Pattern[str] | None = None

    @classmethod
    def parse(cls, text: str) -> Matcher:
        r"""Read `name="value"`; inside quotes `\"`, `\\` and `\n` are escapes.

        Raises:
            SilenceError: it is no matcher.
        """
        found = _MATCHER.fullmatch(text) if isinstance(text, str) and len(text) <= _MAX_CHARS else None
        if found is None:
            raise SilenceError("matchers", f"{text!r:.100} is no matcher; {_ALLOWED}")
        name, operator, value = found.groups()
        if value.startswith('"'):
            value = _ESCAPE.sub(lambda escape: "\n" if escape.group(1) == "n" else escape.group(1), value[1:-1])
        pattern = None
        if operator.endswith("~"):
            try:
                pattern = re.compile(value)
            except (re.error, RecursionError, OverflowError) as error:
                raise SilenceError("matchers", f"{text!r:.100}: {error}; allowed: a regular expression") from error
        return cls(name, operator, value, pattern)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels pass."""
        value = labels.get(self.name, "")
        same = value == self.value if self.pattern is None else self.pattern.fullmatch(value) is not None
        return same is not self.operator.startswith("!")

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.operator}"{value}"'


@dataclass(frozen=True, slots=True)
class Silence:
    """Keeps alerts whose labels pass every matcher from being told of, from `starts_at_ns` until before `ends_at_ns`.

    Times are Unix nanoseconds. `Silence.of` reads texts.
    """

    matchers: tuple[Matcher, ...]
    starts_at_ns: int
    ends_at_ns: int
    comment: str = ""
    created_by: str = ""

    def __post_init__(self) -> None:
        if not self.matchers:
            raise SilenceError("matchers", f"needs at least one; {_ALLOWED}")
        if all(matcher.matches({}) for matcher in self.matchers):
            raise SilenceError("matchers", "match every alert, even one without labels; one must ask for something")
        if self.ends_at_ns <= self.starts_at_ns:
            raise SilenceError("ends_at", "must be later than `starts_at`")

    @classmethod
    def of(
        cls,
        matchers: Iterable[str] = (),
        starts_at: Any = None,
        ends_at: Any = None,
        comment: str = "",
        created_by: str = "",
    ) -> Silence:
        """Read a silence.

        Args:
            matchers: one or more of `name="value"`.
            starts_at: a moment as `2026-01-31T12:00:00Z`, or a datetime with a zone; None for always.
            ends_at: the same; required.
            comment: why.
            created_by: who.

        Raises:
            SilenceError: it cannot be used.
        """
        given = (matchers,) if isinstance(matchers, str) else tuple(matchers)
        if ends_at is None:
            raise SilenceError("ends_at", "is missing: a silence ends")
        starts_at_ns = 0 if starts_at is None else _moment_ns("starts_at", starts_at)
        parsed = tuple(Matcher.parse(text) for text in given)
        return cls(parsed, starts_at_ns, _moment_ns("ends_at", ends_at), str(comment), str(created_by))

    @property
    def id(self) -> str:
        """The same for the same silence."""
        said = (*map(str, self.matchers), str(self.starts_at_ns), str(self.ends_at_ns))
        return hashlib.sha256("\0".join(said).encode("utf-8", "replace")).hexdigest()[:16]

    def silences(self, labels: Mapping[str, str], now_ns: int) -> bool:
        """Whether an alert with these labels is silenced at this moment."""
        return self.starts_at_ns <= now_ns < self.ends_at_ns and all(m.matches(labels) for m in self.matchers)


def _moment_ns(key: str, given: Any) -> int:
    moment = given
    if isinstance(given, str):
        try:
            moment = datetime.fromisoformat(given)
        except ValueError:
            moment = None
    elif isinstance(given, date) and not isinstance(given, datetime):
        moment = datetime(given.year, given.month, given.day, tzinfo=UTC)
    if not isinstance(moment, datetime):
        raise SilenceError(key, f"{given!r:.60} is no moment; allowed: 2026-01-31T12:00:00Z")
    if moment.tzinfo is None:  # YAML's own timestamps lose their zone: they are UTC
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000
