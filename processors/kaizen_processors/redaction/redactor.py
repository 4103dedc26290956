"""The redactor: rules for text, names of secret keys, and both applied to nested values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kaizen_processors.redaction import rules
from kaizen_processors.redaction.cards import redact_cards
from kaizen_processors.redaction.copying import CopyLimits, JsonValue, bounded_copy, cut, valid_unicode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MARGIN_CHARS = 1024
"""A cut text is read this much further, so that a secret that lies across the cut is still recognised."""

WINDOW_CHARS = 4096
"""An application's own pattern sees this much at once: a quadratic one then costs no more than linear time."""

_CACHED_KEYS = 2048
_KEY_CHARS = 256
_RULE_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


class RedactionError(ValueError):
    """A redaction setting that cannot be used; the message names the key or pattern and says why."""


class Redactor:
    """Replaces secrets by `[redacted:kind]`, in text and in nested values.

    Built in: values of secret keys (`secret`, see `rules.DEFAULT_KEYS`), private keys, passwords in URLs, API keys and
    tokens of well-known providers, JWTs, bearer tokens, `key=value` secrets inside text, e-mail addresses, and payment
    cards with a valid check digit.

    Args:
        keys: Further names of secret keys, matched like the built-in ones (end of the name; case, `_` and `-` do not
            matter).
        patterns: Further secrets, kind → regular expression. They are compiled and tried at once; a bad one raises
            `RedactionError`. They see windows of 4,096 characters; matches of up to 1,024 are always found whole.
        builtin: Whether the built-in keys and rules apply too.

    Example:
        >>> Redactor(patterns={"employee": r"EMP-[0-9]{6}"}).text("EMP-123456 wrote to ann@example.com")
        '[redacted:employee] wrote to [redacted:email]'
    """

    __slots__ = ("_builtin", "_key_suffixes", "_own", "_rules", "_secret_keys")

    secret = rules.marker("secret")

    def __init__(
        self,
        *,
        keys: Iterable[str] = (),
        patterns: Mapping[str, str | re.Pattern[str]] | None = None,
        builtin: bool = True,
    ) -> None:
        names = (*(rules.DEFAULT_KEYS if builtin else ()), *_checked_keys(keys))
        self._builtin = builtin
        self._own = tuple((_compiled(kind, given), rules.marker(kind)) for kind, given in (patterns or {}).items())
        self._key_suffixes = tuple({_folded(name) for name in names})
        self._secret_keys: dict[str, bool] = {}
        assignment = (rules.assignment(names),) if names else ()
        self._rules = (*rules.BEFORE_ASSIGNMENT, *assignment, *rules.AFTER_ASSIGNMENT) if builtin else assignment

    def text(self, text: str, max_chars: int | None = None) -> str:
        """Give `text` without its secrets, cut to `max_chars` characters (and a note of what is missing)."""
        exact = str.__str__(text)
        if max_chars is None or len(exact) <= max_chars:
            return self._redact(valid_unicode(exact))
        redacted = self._redact(valid_unicode(exact[: max_chars + MARGIN_CHARS]))
        if len(exact) > max_chars + MARGIN_CHARS:
            # What stands at the end of the part that was read may be half a secret.
            redacted = redacted[:-MARGIN_CHARS]
        return cut(redacted, max_chars, len(exact))

    def value(self, value: object, limits: CopyLimits | None = None) -> JsonValue:
        """Give a new, bounded, JSON-ready copy of a nested value without its secrets."""
        return bounded_copy(value, limits, self)

    def is_secret(self, key: str) -> bool:
        """Whether the value under this key is redacted whole."""
        known = self._secret_keys.get(key)
        if known is None:
            known = _folded(key).endswith(self._key_suffixes)
            if len(self._secret_keys) < _CACHED_KEYS:
                self._secret_keys[key] = known
        return known

    def _redact(self, text: str) -> str:
        for pattern, replacement in self._own:
            text = _sub_in_windows(pattern, replacement, text)
        folded = rules.fold(text)
        for rule in self._rules:
            for hint in rule.hints:
                if hint in folded:
                    redacted = _apply(rule, text, folded)
                    if redacted is not text:
                        text, folded = redacted, rules.fold(redacted)
                    break
        return redact_cards(text, rules.marker("card")) if self._builtin else text


def _apply(rule: rules.Rule, text: str, folded: str) -> str:
    pieces: list[str] = []
    done = 0
    for match in rule.pattern.finditer(folded if rule.folded else text):
        start, end = match.span(match.lastindex or 0)
        pieces += (text[done:start], rule.replacement)
        done = end
    if not pieces:
        return text
    pieces.append(text[done:])
    return "".join(pieces)


def _folded(key: str) -> str:
    return "".join(filter(str.isalnum, key[-_KEY_CHARS:].casefold()))


def _checked_keys(keys: Iterable[str]) -> tuple[str, ...]:
    if isinstance(keys, str):
        raise RedactionError(f"redaction keys must be a list of names, not the single text {keys!r}")
    names = tuple(keys)
    for name in names:
        if not isinstance(name, str) or not _folded(name):
            raise RedactionError(f"redaction key {name!r} must be a text with at least one letter or digit")
    return names


def _compiled(kind: str, given: str | re.Pattern[str]) -> re.Pattern[str]:
    if not isinstance(kind, str) or not _RULE_NAME.fullmatch(kind):
        raise RedactionError(f"redaction pattern name {kind!r} must match {_RULE_NAME.pattern}")
    try:
        pattern = re.compile(given)
    except (re.error, TypeError) as error:
        raise RedactionError(f"redaction pattern {kind!r} is no regular expression: {error}") from error
    if not isinstance(pattern.pattern, str):
        raise RedactionError(f"redaction pattern {kind!r} must be a text pattern, not bytes")
    if pattern.search(""):
        raise RedactionError(f"redaction pattern {kind!r} matches the empty text: it would redact everywhere")
    return pattern


def _sub_in_windows(pattern: re.Pattern[str], replacement: str, text: str) -> str:
    pieces: list[str] = []
    position = 0
    while position < len(text):
        end = min(position + WINDOW_CHARS, len(text))
        # Matches that begin later than this may be cut by the window's end: the next window sees them whole.
        safe = end if end == len(text) else end - MARGIN_CHARS
        done = position
        for match in pattern.finditer(text, position, end):
            if match.start() >= safe:
                break
            if match.end() > match.start():
                pieces += (text[done : match.start()], replacement)
                done = match.end()
        position = max(done, safe)
        pieces.append(text[done:position])
    return "".join(pieces)
