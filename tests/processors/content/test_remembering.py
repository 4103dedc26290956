"""Messages are encoded once, and none is taken for another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_processors.content import ContentEncoder, ContentMode, ContentPolicy
from kaizen_processors.content.cache import FragmentCache
from kaizen_processors.redaction import Redactor
from tests.processors.content.support import INPUT, SMALL, SPAN, user

if TYPE_CHECKING:
    import pytest


def test_history_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    redacted: list[str] = []
    original = Redactor.text

    def counting(self: Redactor, text: str, max_chars: int | None = None) -> str:
        redacted.append(text)
        return original(self, text, max_chars)

    monkeypatch.setattr(Redactor, "text", counting)
    encoder = ContentEncoder(SPAN)
    call = {"id": "c", "function": {"name": "f", "arguments": '{"a": "argument"}'}}
    history: list[object] = [user(f"message {i}") for i in range(40)]
    history.append({"role": "assistant", "content": None, "tool_calls": [call]})
    encoder.request(history)
    redacted.clear()

    history.append(user("new"))
    encoder.request([dict(message) if isinstance(message, dict) else message for message in history])

    assert "new" in redacted
    assert not [text for text in redacted if text.startswith(("message", "argument"))]


def test_message_that_was_changed_in_place_is_encoded_again() -> None:
    encoder = ContentEncoder(SPAN)
    part = {"type": "text", "text": "before"}
    message = user([part])
    encoder.request([message])

    part["text"] = "after"

    assert "after" in encoder.request([message])[INPUT]


def test_long_texts_that_differ_only_in_their_middle_are_kept_apart() -> None:
    encoder = ContentEncoder(SMALL)
    first, second = ("x" * 50 + middle + "x" * 5000 for middle in ("A", "B"))

    assert encoder.request([user(first)]) != encoder.request([user(second)])


def test_cache_forgets_what_is_not_used() -> None:
    cache: FragmentCache[int] = FragmentCache()
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        return number

    for number in range(5000):
        cache.get_or_make((0, 1), lambda: make(-1))
        cache.get_or_make((number + 1, 1), lambda number=number: make(number))  # type: ignore[misc]

    assert made.count(-1) == 1
    assert len(cache._young) + len(cache._old) <= 2 * 1024 + 1
    cache.get_or_make((1, 1), lambda: make(0))
    assert made.count(0) == 2


def test_cache_is_bounded_in_characters() -> None:
    encoder = ContentEncoder(ContentPolicy(mode=ContentMode.SPAN))
    for number in range(2000):
        encoder.request([user(f"{number:08}" + "x" * 16_000)])

    assert sum(len(str(key)) for kept in (encoder._cache._young, encoder._cache._old) for key in kept) < 10_000_000


def test_values_that_python_calls_equal_are_kept_apart() -> None:
    alike = [
        1,
        True,
        1.0,
        "1",
        b"1",
        b"22",
        [1],
        (1,),
        [True],
        [1.0],
        {1},
        {"a": 1},
        {"a": True},
        {"a": 1.0},
        None,
        "",
        {},
    ]
    encoder = ContentEncoder(SMALL)

    for value in alike:
        for message in (user(value), user([value]), user([{"type": "other", "a": value}])):
            assert encoder.request([message]) == ContentEncoder(SMALL).request([message])
