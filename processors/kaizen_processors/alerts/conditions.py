"""The language of conditions: `error_rate > 0.05 and executions >= 20`.

What is compiled is made anew from the checked tree (`parsing.py`): nothing that a user wrote is ever evaluated.

Missing data fires nothing (`expressions.py` says how it spreads).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from kaizen_processors.alerts import expressions as ex
from kaizen_processors.alerts.parsing import ConditionError, Parser, checked_constants

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_NOTHING: Final[Mapping[str, float]] = MappingProxyType({})


class Finding(NamedTuple):
    """The comparison that decided.

    Attributes:
        subject: what was compared, as written.
        measure: the first thing measured in it.
        value: its value.
        threshold: what it was compared with.
    """

    subject: str
    measure: str
    value: float
    threshold: float


class Condition:
    """A compiled condition. Two are equal when their text and their constants are.

    Attributes:
        text: as it was written.
        names: what it measures, each once, in the order of `evaluate`'s values.
        expression: the checked tree, constants in place.
    """

    __slots__ = ("_judge", "expression", "names", "text")

    def __init__(self, text: str, constants: Mapping[str, float] = _NOTHING) -> None:
        """Compile `text`.

        Args:
            text: the condition.
            constants: names that stand for a number, such as `budget_limit`.

        Raises:
            ConditionError: it holds something that is not allowed.
        """
        self.expression = Parser(text, checked_constants(constants)).parse()
        self.text = text
        self.names = tuple(dict.fromkeys(ex.names_in(self.expression)))
        self._judge = _compiled(self.expression, self.names)

    def evaluate(self, values: Sequence[float | None]) -> bool | None:
        """Judge one value for each of `names`: a finite number, or None where there is no data.

        Returns:
            True, False, or None when missing data keeps it from being either.
        """
        try:
            return self._judge(*values)
        except (TypeError, ArithmeticError):  # data is missing, or a quotient has no value
            if values.count(None) == len(values):  # every comparison measures something
                return None
            return ex.judge(self.expression, dict(zip(self.names, values, strict=True)))

    def explain(self, values: Sequence[float | None]) -> Finding | None:
        """Name the first comparison that speaks for the condition; without one, the first that has values."""
        by_name = dict(zip(self.names, values, strict=True))
        found = None
        for comparison, negated in ex.reasons(self.expression):
            finding = _finding(comparison, by_name)
            if finding is not None and ex.judge(comparison, by_name) is not negated:
                return finding
            found = found or finding
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Condition):
            return NotImplemented
        return self.text == other.text and self.expression == other.expression

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"


def _finding(comparison: ex.Comparison, values: Mapping[str, float | None]) -> Finding | None:
    numbers = [ex.operand_of(operand, values) for operand in comparison.operands]
    measured = [any(True for _ in ex.names_in(operand)) for operand in comparison.operands]
    subject = measured.index(True)
    # What it is held against: the next constant, else its neighbour.
    other = next((index for index, is_measured in enumerate(measured) if not is_measured), None)
    if other is None:
        other = subject + 1 if subject + 1 < len(numbers) else subject - 1
    value, threshold = numbers[subject], numbers[other]
    if value is None or threshold is None:
        return None
    return Finding(comparison.texts[subject], next(ex.names_in(comparison.operands[subject])), value, threshold)


def _finite(value: float) -> float:
    if value - value == 0:
        return value
    raise ArithmeticError


def _compiled(expression: ex.Logical, names: tuple[str, ...]) -> Callable[..., bool]:
    """A function of the values. It raises where one that it needs is missing: the caller then takes the long way."""
    parameters = {name: f"v{index}" for index, name in enumerate(names)}
    source = f"lambda {', '.join(parameters.values())}: {_python(expression, parameters)}"
    # Not what the user wrote: made here, of checked nodes, fixed operators and numbers.
    return eval(source, {"__builtins__": {}, "_finite": _finite})  # type: ignore[no-any-return]  # noqa: S307


def _python(node: ex.Logical, parameters: Mapping[str, str]) -> str:
    if isinstance(node, ex.Not):
        return f"(not {_python(node.operand, parameters)})"
    if isinstance(node, ex.Every | ex.Some):
        between = " and " if isinstance(node, ex.Every) else " or "
        return f"({between.join(_python(operand, parameters) for operand in node.operands)})"
    sides = [_side(operand, parameters, node.operators) for operand in node.operands]
    return f"({sides[0]}{''.join(f' {op} {side}' for op, side in zip(node.operators, sides[1:], strict=True))})"


def _side(operand: ex.Numeric, parameters: Mapping[str, str], operators: tuple[str, ...]) -> str:
    source = _number(operand, parameters)
    if isinstance(operand, ex.Name):
        # `None < 1` is an error, and shall be; `None == 1` would be an answer, `+None` is an error.
        return f"(+{source})" if {"==", "!="}.intersection(operators) else source
    return source if isinstance(operand, ex.Number) else f"_finite({source})"


def _number(node: ex.Numeric, parameters: Mapping[str, str]) -> str:
    if isinstance(node, ex.Number):
        return f"({node.value!r})"
    if isinstance(node, ex.Name):
        return parameters[node.name]
    if isinstance(node, ex.Negative):
        return f"(-{_number(node.operand, parameters)})"
    return f"({_number(node.left, parameters)} {node.operator} {_number(node.right, parameters)})"


__all__ = ["Condition", "ConditionError", "Finding"]
