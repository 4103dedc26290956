"""What a setting may hold: one kind per sort of value, each able to check a Python value and to read a text.

`check` takes what a caller, a file or a dictionary gave and returns the value as it is stored; `read` takes the text of
an environment variable. Both raise `Refused`; only the caller knows which place to name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaizen_otel.settings.errors import Refused, meant
from kaizen_otel.settings.levels import MonitoringLevel

if TYPE_CHECKING:
    from collections.abc import Callable

_TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
_FALSE_WORDS = frozenset({"false", "no", "off", "0"})
_NONE_WORDS = frozenset({"none", "null"})
_MAX_TEXT = 1_024
_MAX_ITEMS = 1_000
_KAIZEN_LEVELS = {"detailed": "standard", "verbose": "comprehensive"}
"""`KaizenConfig` (kaizen 2.46) refuses every monitoring_level but its own `basic`, `detailed` and `verbose`."""
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_UNIT_BYTES = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([kmg]?i?b)?", re.ASCII | re.IGNORECASE)
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*(ms|[smhdw])", re.ASCII)


class Kind:
    """What one setting may hold. Plain classes: a dozen dataclasses would cost 15 ms of every import.

    Attributes:
        optional: whether `None` is a value.
        on: what `True` stands for where the kind is no flag (a default path, port or level), if anything.
        from_text: whether an environment variable or a file can give it; objects come from Python only.
    """

    from_text = True

    def __init__(self, *, optional: bool = False, on: Any = None) -> None:
        self.optional = optional
        self.on = on

    @property
    def allowed(self) -> str:
        """Say what is allowed, for people."""
        return ", ".join(
            [self._allowed(), *(["true, false"] if self.on is not None else []), *(["none"] if self.optional else [])]
        )

    def check(self, value: Any) -> Any:
        """Give `value` as it is stored."""
        if value is None:
            if self.optional:
                return None
            raise Refused
        if self.on is not None and isinstance(value, bool):
            return self.on if value else self._off()
        return self._check(value)

    def read(self, text: str) -> Any:
        """Give the value that an environment variable's text stands for; `True` where the text switches `on`."""
        word = text.strip().lower()
        if self.optional and word in _NONE_WORDS:
            return None
        # A port is a number and a file may be called 1: only words switch those.
        if self.on is not None and not word.isdigit() and word in _TRUE_WORDS | _FALSE_WORDS:
            return word in _TRUE_WORDS
        return self._read(text)

    def _off(self) -> Any:
        return None

    def _allowed(self) -> str:
        raise NotImplementedError

    def _check(self, value: Any) -> Any:
        raise NotImplementedError

    def _read(self, text: str) -> Any:
        return self.check(text)


class Flag(Kind):
    """True or false."""

    def _allowed(self) -> str:
        return "true, false"

    def _check(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        raise Refused

    def _read(self, text: str) -> bool:
        word = text.strip().lower()
        if word in _TRUE_WORDS:
            return True
        if word in _FALSE_WORDS:
            return False
        raise Refused


class Text(Kind):
    """One line of printable text."""

    def _allowed(self) -> str:
        return f"a line of 1 to {_MAX_TEXT} printable characters"

    def _check(self, value: Any) -> str:
        if not isinstance(value, str):
            raise Refused
        text = value.strip()
        # isprintable() is false for lone surrogates and control characters, which no backend takes.
        if not text or len(text) > _MAX_TEXT or not text.isprintable():
            raise Refused
        return text


class Whole(Kind):
    """A whole number within bounds."""

    def __init__(self, *, least: int, most: int, optional: bool = False, on: Any = None) -> None:
        super().__init__(optional=optional, on=on)
        self._least = least
        self._most = most

    def _allowed(self) -> str:
        return f"a whole number from {self._least} to {self._most}"

    def _check(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self._least <= value <= self._most:
            raise Refused
        return int(value)

    def _read(self, text: str) -> int:
        return self._check(_whole(text))


class Size(Whole):
    """A number of bytes: a whole number, or text with a unit, such as `64MiB`."""

    def _allowed(self) -> str:
        return f"bytes, from {_size_text(self._least)} to {_size_text(self._most)}: a whole number, or 512KiB, 64MiB …"

    def _check(self, value: Any) -> int:
        return super()._check(_bytes(value) if isinstance(value, str) else value)

    def _read(self, text: str) -> int:
        return self._check(text)


class Number(Kind):
    """A finite number within bounds."""

    def __init__(self, *, least: float, most: float, optional: bool = False) -> None:
        super().__init__(optional=optional)
        self._least = least
        self._most = most

    def _allowed(self) -> str:
        return f"a number from {self._least:g} to {self._most:g}"

    def _check(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refused
        # NaN compares false; bounds come before the conversion, since a whole number may be too big for a float.
        if not self._least <= value <= self._most:
            raise Refused
        return float(value)

    def _read(self, text: str) -> float:
        try:
            return self._check(float(text))
        except ValueError:
            raise Refused from None


class Duration(Number):
    """A length of time, kept in seconds: a number of seconds, or a text like `7d`."""

    def _allowed(self) -> str:
        return (
            f"seconds from {self._least:.12g} to {self._most:.12g}, or a duration such as 500ms, 30s, 15m, 12h, 7d, 2w"
        )

    def _check(self, value: Any) -> float:
        if isinstance(value, str):
            return super()._check(_seconds(value))
        return super()._check(value)

    def _read(self, text: str) -> float:
        return self._check(text)


class OneOf(Kind):
    """One of a few values. `false` stands for `off` where that is one: YAML 1.1 reads a bare `off` as false."""

    def __init__(self, *choices: Any, on: Any = None) -> None:
        super().__init__(on=on)
        self._choices = choices

    def _allowed(self) -> str:
        return ", ".join(str(choice) for choice in self._choices)

    def _check(self, value: Any) -> Any:
        if value is False:
            return self._off()
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise Refused
        return self._choice(str(value) if isinstance(value, str) else f"{_bounded(value)}")

    def _off(self) -> Any:
        return self._choice("off")

    def _choice(self, text: str) -> Any:
        word = text.strip().lower()
        for choice in self._choices:
            if word == str(choice):
                return choice
        raise Refused(meant(word, map(str, self._choices)))


class Level(OneOf):
    """A monitoring level, with Kaizen's own words for them as synonyms."""

    def __init__(self) -> None:
        super().__init__(*MonitoringLevel, on=MonitoringLevel.STANDARD)

    def _allowed(self) -> str:
        return f"{super()._allowed()} (Kaizen's detailed means standard, verbose means comprehensive)"

    def _choice(self, text: str) -> Any:
        word = text.strip().lower()
        return super()._choice(_KAIZEN_LEVELS.get(word, word))


class FilePath(Kind):
    """A path; `~` is the home folder."""

    def is_path(self, text: str) -> bool:
        """Whether a text would be taken for a path."""
        return bool(text.strip())

    def _allowed(self) -> str:
        return "a path"

    def _check(self, value: Any) -> Path:
        if not isinstance(value, str | Path) or not str(value).strip() or not str(value).isprintable():
            raise Refused
        try:
            return Path(value).expanduser()
        except RuntimeError:
            raise Refused("no home folder is known for ~") from None


class Template(Text):
    """An address with a place in it, such as `http://localhost:16686/trace/{trace_id}`."""

    def __init__(self, place: str, example: str) -> None:
        super().__init__(optional=True)
        self._place = f"{{{place}}}"
        self._example = example

    def _allowed(self) -> str:
        return f"http(s)://… with {self._place} in it, such as {self._example}"

    def _check(self, value: Any) -> str:
        text = super()._check(value)
        if self._place not in text or not text.startswith(("http://", "https://")):
            raise Refused
        return text


class Lines(Kind):
    """Texts: a list, or one text with commas between them."""

    _separator = ","

    def _allowed(self) -> str:
        apart = "commas" if self._separator == "," else "line ends"
        return f"texts: a list, or one text with {apart} between them"

    def _check(self, value: Any) -> tuple[str, ...]:
        given = value.split(self._separator) if isinstance(value, str) else value
        if not isinstance(given, list | tuple) or len(given) > _MAX_ITEMS:
            raise Refused
        return tuple(text for text in (self._item(item) for item in given) if text)

    def _item(self, item: Any) -> str:
        if not isinstance(item, str) or len(item) > _MAX_TEXT:
            raise Refused
        return item.strip()


class Patterns(Lines):
    """Regular expressions; in one text they stand one per line, since commas are part of them."""

    _separator = "\n"

    def _allowed(self) -> str:
        return f"regular expressions: {super()._allowed()}"

    def _item(self, item: Any) -> str:
        text = super()._item(item)
        try:
            re.compile(text)
        except (re.error, RecursionError, OverflowError, Warning) as error:
            # The message of re.error holds a position and no part of the pattern.
            raise Refused(f"not a regular expression: {error}") from None
        return text


class Callables(Kind):
    """Functions, in a list or a tuple."""

    from_text = False

    def _allowed(self) -> str:
        return "a list of callables"

    def _check(self, value: Any) -> tuple[Callable[..., Any], ...]:
        if not isinstance(value, list | tuple) or not all(callable(item) for item in value):
            raise Refused
        return tuple(value)


class Has(Kind):
    """Any object with these methods."""

    from_text = False

    def __init__(self, *methods: str) -> None:
        super().__init__(optional=True)
        self._methods = methods

    def _allowed(self) -> str:
        return f"an object with {' and '.join(f'{name}()' for name in self._methods)}"

    def _check(self, value: Any) -> Any:
        if isinstance(value, type) or not all(callable(getattr(value, name, None)) for name in self._methods):
            raise Refused
        return value


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise Refused
    return int(float(match[1]) * _UNIT_BYTES[(match[2] or "b").lower()])


def _size_text(size: int) -> str:
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} bytes"


def _whole(text: str) -> int:
    word = text.strip()
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", word, re.ASCII):
        raise Refused
    return int(word)


def _bounded(value: int) -> int:
    # Turning a number of thousands of digits into text raises; no choice has more than a few.
    if abs(value) > _MAX_TEXT:
        raise Refused
    return value


def _seconds(text: str) -> float:
    word = text.strip().lower()
    match = _DURATION.fullmatch(word)
    if match:
        return float(match[1]) * _UNIT_SECONDS[match[2]]
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", word, re.ASCII):
        return float(word)
    raise Refused
