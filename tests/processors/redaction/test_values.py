"""Values of any kind: copied as bounded JSON, secret keys emptied, nothing of the application run."""

from __future__ import annotations

import json
import math
from enum import StrEnum
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaizen_processors.redaction import CopyLimits, bounded_copy
from tests.processors.redaction.support import REDACTOR


class Raising:
    """An object of the application that must not be asked anything."""

    def __str__(self) -> NoReturn:
        raise AssertionError("asked for its text")

    __repr__ = __str__
    __hash__ = None  # type: ignore[assignment]

    @property  # type: ignore[misc]
    def __class__(self) -> NoReturn:  # type: ignore[override]
        raise AssertionError("asked for its class")


class RaisingDict(dict[str, object]):
    def items(self) -> NoReturn:
        raise AssertionError("overridden items called")

    __iter__ = __len__ = get = keys = values = __getitem__ = items  # type: ignore[assignment]


class RaisingText(str):
    __slots__ = ()

    def __str__(self) -> NoReturn:
        raise AssertionError("overridden __str__ called")

    lower = __len__ = __getitem__ = encode = __str__  # type: ignore[assignment]


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    "key", ["password", "DB_PASSWORD", "x-api-key", "refreshToken", "client secret", "Authorization", "cookie", "pwd"]
)
def test_value_of_a_secret_key_is_replaced_whole(key: str) -> None:
    assert REDACTOR.value({key: {"nested": ["anything"]}}) == {key: "[redacted:secret]"}


@pytest.mark.parametrize("key", ["max_tokens", "token_count", "author", "passenger", "secretary_name", "keyboard"])
def test_value_of_a_harmless_key_stays(key: str) -> None:
    assert REDACTOR.value({key: 7}) == {key: 7}


@pytest.mark.parametrize("nothing", [None, "", True, False])
def test_that_a_secret_is_missing_is_no_secret(nothing: object) -> None:
    assert REDACTOR.value({"password": nothing}) == {"password": nothing}


def test_secret_in_a_key_is_replaced_and_keys_stay_apart() -> None:
    copied = REDACTOR.value({"ann@example.com": 1, "bob@example.com": 2})

    assert isinstance(copied, dict)
    assert list(copied.values()) == [1, 2]
    assert "example.com" not in json.dumps(copied)


def test_nothing_of_the_application_is_run() -> None:
    copied = REDACTOR.value([Raising(), RaisingDict(a=1), RaisingText("ann@example.com"), Colour.RED, type, len])

    assert copied == [
        "[object Raising]",
        {"a": 1},
        "[redacted:email]",
        "red",
        "[object type]",
        "[object builtin_function_or_method]",
    ]


def test_copy_is_new_and_the_original_untouched() -> None:
    original = {"a": [{"password": "x"}]}

    copied = REDACTOR.value(original)

    assert original == {"a": [{"password": "x"}]}
    assert copied == {"a": [{"password": "[redacted:secret]"}]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        (-math.inf, None),
        (2**63 - 1, 2**63 - 1),
        (2**63, str(2**63)),
        (1 << 5000, "[object int]"),
        (b"12", "[bytes 2]"),
        (memoryview(b"123"), "[bytes 3]"),
        ("a\ud800b", "a\ufffdb"),
        ({1: "a", None: "b", False: "c"}, {"1": "a", "None": "b", "False": "c"}),
        ((1, {2}), [1, [2]]),
        (1j, "[object complex]"),
    ],
    ids=lambda _: "",
)
def test_odd_value_becomes_json(value: object, expected: object) -> None:
    assert bounded_copy(value) == expected


def test_cycle_is_named() -> None:
    cycle: list[object] = [1]
    cycle.append(cycle)

    assert bounded_copy(cycle) == [1, "[circular]"]


def test_same_object_twice_is_no_cycle() -> None:
    shared = {"a": 1}

    assert bounded_copy([shared, shared]) == [{"a": 1}, {"a": 1}]


def test_depth_items_and_texts_are_bounded_and_say_so() -> None:
    deep: object = "leaf"
    for _ in range(5000):
        deep = [deep]

    assert bounded_copy(deep, CopyLimits(max_depth=2)) == [["[nested too deep]"]]
    assert bounded_copy(list(range(9)), CopyLimits(max_items=3)) == [0, 1, 2, "…[6 more]"]
    assert bounded_copy({str(i): i for i in range(9)}, CopyLimits(max_items=1)) == {"0": 0, "…": "[8 more]"}
    nested = {"a": {"b": 1, "c": 2, "d": 3}, "e": {"f": 4, "g": 5}}
    assert bounded_copy(nested, CopyLimits(max_items=4)) == {
        "a": {"b": 1, "c": 2, "…": "[1 more]"},
        "e": {"…": "[2 more]"},
    }
    assert bounded_copy("abcdef", CopyLimits(max_chars=2)) == "ab…[truncated 4 characters]"


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None, exclude_categories=()))
    | st.binary()
    | st.builds(object)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers())
    ),
)


@given(VALUES, st.integers(0, 4), st.integers(0, 20), st.integers(0, 60))
def test_any_value_becomes_bounded_json(value: object, max_depth: int, max_items: int, max_chars: int) -> None:
    copied = REDACTOR.value(value, CopyLimits(max_depth, max_items, max_chars))

    encoded = json.dumps(copied, allow_nan=False, ensure_ascii=False).encode()
    # Notes of what was cut are short, and there are no more of them than entries and containers.
    assert len(encoded) <= 6 * max_chars + (max_items + 1) * 400 + 400


@given(VALUES)
def test_redacted_value_is_redacted_for_good(value: object) -> None:
    once = REDACTOR.value(value, CopyLimits(max_depth=50, max_items=10_000))

    assert REDACTOR.value(once, CopyLimits(max_depth=50, max_items=10_000)) == once
