"""Random conditions: they agree with Python's own evaluation, and missing data spreads as Kleene's logic says."""

from __future__ import annotations

import string
from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen_processors.alerts import expressions as ex
from kaizen_processors.alerts.conditions import Condition, ConditionError
from kaizen_processors.alerts.vocabulary import MEASURES

NAMES = ("error_rate", "p95_latency", "executions", "daily_cost")
SETTINGS = settings(max_examples=120, deadline=None)

numbers = st.sampled_from(["0", "1", "2.5", "0.05", "1e3", ".5", "7_000"])
leaves = st.one_of(st.sampled_from(NAMES), numbers)
numeric = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda operand: f"-{operand}"),
        inner.map(lambda operand: f"+{operand}"),
    ),
    max_leaves=5,
)
comparison = st.one_of(
    st.tuples(numeric, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), numeric).map(" ".join),
    st.tuples(numeric, st.sampled_from("<>"), st.sampled_from(NAMES), st.sampled_from("<>"), numeric).map(" ".join),
)
logical = st.recursive(
    comparison,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
        inner.map(lambda operand: f"not ({operand})"),
        inner.map(lambda operand: f"({operand})"),
    ),
    max_leaves=6,
)
# None so near to zero that a quotient leaves the range of floats: that is missing here, and infinite in Python.
amounts = st.one_of(
    st.sampled_from([0.0, 0.05, 1.0, 2.5, 1000.0]),
    st.floats(-1e6, 1e6, allow_nan=False).filter(lambda amount: abs(amount) > 1e-6),
)


def compiled(text: str) -> Condition | None:
    """The condition; None when the text divides by a zero, compares constants or is too deep."""
    try:
        return Condition(text)
    except ConditionError as refused:
        if any(part in refused.problem for part in ("constants", "zero", "deep", "longer", "go up to")):
            return None
        raise


def python_says(text: str, values: dict[str, float]) -> Any:
    try:
        return eval(text, {"__builtins__": {}}, dict(values))  # noqa: S307 - the oracle; the text was made above
    except ZeroDivisionError:
        return None


@SETTINGS
@given(text=logical, values=st.fixed_dictionaries(dict.fromkeys(NAMES, amounts)))
def test_it_agrees_with_python(text: str, values: dict[str, float]) -> None:
    condition = compiled(text)
    expected = python_says(text, values)
    if condition is None or expected is None:
        return
    answer = condition.evaluate([values[name] for name in condition.names])
    # Python stops at the first operand that decides; a division by zero further on is missing here, too.
    assert answer is expected


@SETTINGS
@given(text=logical, values=st.fixed_dictionaries(dict.fromkeys(NAMES, st.none() | amounts)))
def test_the_short_way_and_the_long_way_agree(text: str, values: dict[str, float | None]) -> None:
    condition = compiled(text)
    if condition is None:
        return
    answer = condition.evaluate([values[name] for name in condition.names])
    assert answer is ex.judge(condition.expression, values)


@SETTINGS
@given(text=logical, values=st.fixed_dictionaries(dict.fromkeys(NAMES, st.none() | amounts)))
def test_an_answer_with_missing_data_holds_whatever_the_data_were(text: str, values: dict[str, float | None]) -> None:
    condition = compiled(text)
    if condition is None:
        return
    answer = condition.evaluate([values[name] for name in condition.names])
    if answer is None:
        return
    missing = [name for name in condition.names if values[name] is None]
    for filled in product((-3.5, 0.0, 1.0, 1e5), repeat=len(missing)):
        whole = values | dict(zip(missing, filled, strict=True))
        assert condition.evaluate([whole[name] for name in condition.names]) in {answer, None}


@SETTINGS
@given(text=st.text(max_size=60) | st.text(alphabet=string.printable, max_size=60))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        names = Condition(text).names
    except ConditionError as error:
        names = ()
        shown = str(error)
        position = error.position
    else:
        shown, position = "", 0
    assert set(names) <= set(MEASURES)
    assert shown.isascii()
    assert 0 <= position <= len(text)


@SETTINGS
@given(
    words=st.lists(
        st.sampled_from(
            [*NAMES, "(", ")", "and", "or", "not", "<", ">", "==", "=", "+", "-", "/", "1", "0", "in", "if"]
        ),
        max_size=12,
    )
)
def test_any_words_of_the_language_compile_or_are_refused(words: list[str]) -> None:
    try:
        condition = Condition(" ".join(words))
    except ConditionError:
        return
    for amount in (None, 0.0, 1.5):
        assert condition.evaluate([amount] * len(condition.names)) in {True, False, None}
