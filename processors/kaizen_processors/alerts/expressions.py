"""A condition as a tree, after it was checked: what both engines work on.

Numbers and truth values never mix: operands of a `Comparison` are numeric, everything above one is true, false or
missing. Missing data follows Kleene's three-valued logic: `missing and false` is false, `missing or true` is true,
everything else that touches missing data is missing.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

COMPARED: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
CALCULATED: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Number:
    """A literal, or a constant of the settings in its place."""

    value: float


@dataclass(frozen=True, slots=True)
class Name:
    """Something measured."""

    name: str


@dataclass(frozen=True, slots=True)
class Negative:
    """The negative of a number."""

    operand: Numeric


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`+`, `-`, `*` or `/` of two numbers. Division by zero is missing."""

    operator: str
    left: Numeric
    right: Numeric


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison or a chain: `operators` stand between `operands`. `texts` are the operands as written."""

    operands: tuple[Numeric, ...]
    operators: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    operand: Logical


@dataclass(frozen=True, slots=True)
class Every:
    """`and` of two or more."""

    operands: tuple[Logical, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """`or` of two or more."""

    operands: tuple[Logical, ...]


Numeric = Number | Name | Negative | Arithmetic
Logical = Comparison | Not | Every | Some


def calculate(node: Numeric, values: Mapping[str, float | None]) -> float | None:
    """The number that a node stands for; None when data is missing or it divides by zero."""
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Name):
        return values[node.name]
    if isinstance(node, Negative):
        operand = calculate(node.operand, values)
        return None if operand is None else -operand
    left, right = calculate(node.left, values), calculate(node.right, values)
    if left is None or right is None:
        return None
    try:
        return CALCULATED[node.operator](left, right)
    except ZeroDivisionError:
        return None


def judge(node: Logical, values: Mapping[str, float | None]) -> bool | None:
    """Whether a node is true, false or missing (None)."""
    if isinstance(node, Comparison):
        return _all(_links(node, values))
    if isinstance(node, Not):
        answer = judge(node.operand, values)
        return None if answer is None else not answer
    answers = (judge(operand, values) for operand in node.operands)
    if isinstance(node, Every):
        return _all(answers)
    opposite = _all(None if answer is None else not answer for answer in answers)
    return None if opposite is None else not opposite


def operand_of(node: Numeric, values: Mapping[str, float | None]) -> float | None:
    """What a comparison sees of an operand: a result that is not finite is missing."""
    number = calculate(node, values)
    return number if number is not None and math.isfinite(number) else None


def comparisons(node: Logical) -> Iterator[Comparison]:
    """Every comparison, from left to right."""
    for comparison, _ in reasons(node):
        yield comparison


def reasons(node: Logical, *, negated: bool = False) -> Iterator[tuple[Comparison, bool]]:
    """Every comparison, from left to right, and whether it speaks for the whole when it is false (`not`)."""
    if isinstance(node, Comparison):
        yield node, negated
    elif isinstance(node, Not):
        yield from reasons(node.operand, negated=not negated)
    else:
        for operand in node.operands:
            yield from reasons(operand, negated=negated)


def names_in(node: Numeric | Logical) -> Iterator[str]:
    """Every name, from left to right, as often as it is there."""
    if isinstance(node, Name):
        yield node.name
    elif isinstance(node, Negative | Not):
        yield from names_in(node.operand)
    elif isinstance(node, Arithmetic):
        yield from names_in(node.left)
        yield from names_in(node.right)
    elif isinstance(node, Comparison | Every | Some):
        for operand in node.operands:
            yield from names_in(operand)


def _links(node: Comparison, values: Mapping[str, float | None]) -> Iterator[bool | None]:
    numbers = [operand_of(operand, values) for operand in node.operands]
    for compared, left, right in zip(node.operators, numbers, numbers[1:], strict=False):
        yield None if left is None or right is None else COMPARED[compared](left, right)


def _all(answers: Iterator[bool | None]) -> bool | None:
    missing = False
    for answer in answers:
        if answer is False:
            return False
        missing = missing or answer is None
    return None if missing else True
