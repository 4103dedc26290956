"""Reads a condition: Python's own parser, then a whitelist of what may stand there.

Limits on length, depth and numbers keep hostile input cheap. Every refusal shows the place and what is allowed.
"""

from __future__ import annotations

import ast
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from kaizen_processors.alerts import expressions as ex
from kaizen_processors.alerts.vocabulary import MEASURES
from kaizen_processors.spelling import closest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Tree = TypeVar("Tree", ex.Logical, ex.Numeric)

MAX_CHARS: Final = 500
MAX_DEPTH: Final = 20
MAX_NUMBER: Final = 1e15

ALLOWED: Final = "names, numbers, < <= > >= == !=, and, or, not, + - * /, parentheses"
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_ .+*/()<>=!-]")
_NUMBER: Final = re.compile(r"[0-9][0-9_]*(\.[0-9_]*)?([eE][+-]?[0-9]{1,3})?|\.[0-9][0-9_]*([eE][+-]?[0-9]{1,3})?")
_NUMBER_LIKE: Final = re.compile(r"(?<![A-Za-z0-9_.])[0-9.](?:[eE][+-](?=[0-9])|[A-Za-z0-9_.])*")
"""What Python's tokenizer begins to read as a number; it takes `1and` for two words, with a warning."""

_WORD: Final = re.compile(r"(?<![A-Za-z0-9_.])[A-Za-z_][A-Za-z0-9_]*(?![A-Za-z0-9_.(])")
_OPERATOR_WORDS: Final = frozenset({"and", "or", "not"})
_ASSIGNED: Final = re.compile(r"(?<![<>=!])=(?!=)")
_CONSTANT_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_HINTS: Final = {
    "&": "write `and`",
    "|": "write `or`",
    "%": "write a percentage as a fraction, 0.05 for 5 %",
    "'": "there are no texts here",
    '"': "there are no texts here",
    "[": "nothing has parts here",
    "^": "there are no powers here",
}
_COMPARISONS: Final[Mapping[type, str]] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_OPERATORS: Final[Mapping[type, str]] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


class ConditionError(ValueError):
    """A condition is not allowed: the message shows where, and what is. `position` counts characters from 0.

    `problems` has a message for each place that is wrong, this one's first.
    """

    def __init__(self, problem: str, text: str, position: int, length: int = 1, *, allowed: str = ALLOWED) -> None:
        """Point at `length` characters of `text` from `position` on."""
        start = max(0, position - 60)
        shown = text[start : position + 60]
        carets = "^" * max(1, min(length, len(shown) - (position - start)))
        super().__init__(f"{problem}\n    {shown}\n    {' ' * (position - start)}{carets}\nallowed: {allowed}")
        self.problem = problem
        self.position = position
        self.problems: tuple[str, ...] = (str(self),)

    @classmethod
    def of_all(cls, errors: Sequence[ConditionError]) -> ConditionError:
        """Give the first of these errors, with what all of them say in `problems`."""
        first = errors[0]
        first.problems = tuple(dict.fromkeys(str(error) for error in errors))
        return first


def checked_constants(constants: Mapping[str, float]) -> dict[str, float]:
    """Give the constants as floats. Raises `ValueError` for a name or a number that cannot be one."""
    checked: dict[str, float] = {}
    for name, value in constants.items():
        if not isinstance(name, str) or not _CONSTANT_NAME.fullmatch(name) or name in MEASURES:
            raise ValueError(f"constant {name!r}: allowed are lower-case names that nothing measured has")
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_NUMBER:
            raise ValueError(f"constant {name} cannot be {value!r}; allowed: a number up to {MAX_NUMBER:g}")
        checked[name] = float(value)
    return checked


class _NotedError(Exception):
    """Something below is wrong, and noted already."""


class Parser:
    """Turns a text into a checked tree, or says where it cannot."""

    def __init__(self, text: str, constants: Mapping[str, float]) -> None:
        if not isinstance(text, str):
            raise ConditionError(f"a condition is a text, not {type(text).__name__}", "", 0)
        self._original = text
        self._text = re.sub(r"[\n\r\t]", " ", text)
        self._constants = constants
        self._errors: list[ConditionError] = []

    def parse(self) -> ex.Logical:
        """Give the checked tree. Raises `ConditionError`."""
        self._errors += self._forbidden_characters()
        if self._errors:
            self._errors += self._unknown_words()
        self._raise_errors()
        # In parentheses: leading blanks are no indentation then. Positions are one further.
        try:
            tree = ast.parse(f"({self._text})", mode="eval")
        except SyntaxError as error:
            position = min(max((error.offset or 2) - 2, 0), len(self._text) - 1)
            raise self._refused("this cannot be read here", position) from None
        except (RecursionError, MemoryError):
            raise self._refused("too deeply nested", 0) from None
        with self._noting():
            logical = self._logical(tree.body, 0)
        self._raise_errors()
        return logical

    def _raise_errors(self) -> None:
        if self._errors:
            raise ConditionError.of_all(self._errors)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Note what is refused inside: what stands beside it is looked at all the same."""
        try:
            yield
        except ConditionError as error:
            self._errors.append(error)
        except _NotedError:
            pass

    def _forbidden_characters(self) -> Iterator[ConditionError]:
        if len(self._text) > MAX_CHARS:
            yield self._refused(f"longer than {MAX_CHARS} characters", MAX_CHARS)
            return
        if not self._text.strip():
            yield self._refused("the condition is empty", 0)
        seen: set[str] = set()
        for foreign in _FOREIGN.finditer(self._text):
            if foreign.group() in seen:
                continue
            seen.add(foreign.group())
            shown = ascii(foreign.group())[1:-1]
            yield self._refused(f"`{shown}` is not allowed", foreign.start(), hint=_HINTS.get(foreign.group(), ""))
        for assigned in _ASSIGNED.finditer(self._text):
            yield self._refused("nothing is assigned here", assigned.start(), hint="compare with `==`")
        for number in _NUMBER_LIKE.finditer(self._text):
            if not _NUMBER.fullmatch(number.group()):
                yield self._refused("only decimal numbers are allowed", number.start(), len(number.group()))
        yield from self._stray_parentheses()

    def _unknown_words(self) -> Iterator[ConditionError]:
        """Names that nobody knows in what cannot be read; between quotes they are none."""
        if '"' not in self._text and "'" not in self._text:
            for word in _WORD.finditer(self._text):
                if word.group() not in _OPERATOR_WORDS and not self._knows(word.group()):
                    yield self._unknown(word.group(), word.start(), len(word.group()))

    def _stray_parentheses(self) -> Iterator[ConditionError]:
        depth = 0
        for position, character in enumerate(self._text):
            depth += {"(": 1, ")": -1}.get(character, 0)
            if depth > MAX_DEPTH:
                yield self._refused(f"more than {MAX_DEPTH} levels deep", position)
                return
            if depth < 0:
                yield self._refused("this parenthesis closes nothing", position)
                return

    def _logical(self, node: ast.AST, depth: int) -> ex.Logical:
        self._check_depth(node, depth)
        if isinstance(node, ast.Compare):
            return self._comparison(node, depth)
        if isinstance(node, ast.BoolOp):
            operands = self._each(self._logical, node.values, depth)
            return ex.Every(operands) if isinstance(node.op, ast.And) else ex.Some(operands)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ex.Not(self._logical(node.operand, depth + 1))
        if isinstance(node, ast.Name | ast.BinOp | ast.UnaryOp) or _is_number(node):
            self._numeric(node, depth)  # what is wrong inside comes first
            raise self._refused_node("this is a number: compare it with something", node)
        raise self._refused_node(f"{_KINDS.get(type(node), 'this')} is not allowed", node)

    def _comparison(self, node: ast.Compare, depth: int) -> ex.Comparison:
        nodes = [node.left, *node.comparators]
        operators = []
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if type(operator) not in _COMPARISONS:
                raise self._refused_node("`in` and `is` are not allowed", right)
            operators.append(_COMPARISONS[type(operator)])
        operands = self._each(self._numeric, nodes, depth)
        for index in range(len(operators)):
            if not any(True for side in operands[index : index + 2] for _ in ex.names_in(side)):
                raise self._refused_node(
                    "this compares constants: it is always the same", nodes[index], nodes[index + 1]
                )
        return ex.Comparison(operands, tuple(operators), tuple(self._source(operand) for operand in nodes))

    def _numeric(self, node: ast.AST, depth: int) -> ex.Numeric:
        self._check_depth(node, depth)
        if isinstance(node, ast.Constant):
            return self._number(node)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            operand = self._numeric(node.operand, depth + 1)
            if isinstance(node.op, ast.UAdd):
                return operand
            return ex.Number(-operand.value) if isinstance(operand, ex.Number) else ex.Negative(operand)
        if isinstance(node, ast.BinOp):
            return self._arithmetic(node, depth)
        if isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp):
            raise self._refused_node("this is true or false: it cannot be compared or calculated with", node)
        raise self._refused_node(f"{_KINDS.get(type(node), 'this')} is not allowed", node)

    def _arithmetic(self, node: ast.BinOp, depth: int) -> ex.Numeric:
        operator = _OPERATORS.get(type(node.op))
        if operator is None:
            raise self._refused_node("of operators only + - * / are allowed", node)
        left, right = self._each(self._numeric, (node.left, node.right), depth)
        if operator == "/" and right == ex.Number(0.0):
            raise self._refused_node("this divides by zero", node.right)
        if isinstance(left, ex.Number) and isinstance(right, ex.Number):
            value = ex.CALCULATED[operator](left.value, right.value)
            if not abs(value) <= MAX_NUMBER:
                raise self._refused_node(f"numbers go up to {MAX_NUMBER:g}", node)
            return ex.Number(value)
        return ex.Arithmetic(operator, left, right)

    def _number(self, node: ast.Constant) -> ex.Number:
        value = node.value
        if type(value) not in {int, float} or not isinstance(value, int | float):
            raise self._refused_node("only decimal numbers are allowed", node)
        if not abs(value) <= MAX_NUMBER:
            raise self._refused_node(f"numbers go up to {MAX_NUMBER:g}", node)
        return ex.Number(float(value))

    def _name(self, node: ast.Name) -> ex.Name | ex.Number:
        if node.id in MEASURES:
            return ex.Name(node.id)
        if node.id in self._constants:
            return ex.Number(self._constants[node.id])
        raise self._unknown(node.id, *self._place(node))

    def _knows(self, name: str) -> bool:
        return name in MEASURES or name in self._constants

    def _unknown(self, name: str, position: int, length: int) -> ConditionError:
        known = sorted((*MEASURES, *self._constants))
        close = closest(name, known)
        hint = "" if close is None else f"did you mean `{close}`?"
        return self._refused(f"unknown name `{name}`", position, length, hint=hint, allowed=", ".join(known))

    def _each(self, read: Callable[[ast.AST, int], Tree], nodes: Iterable[ast.AST], depth: int) -> tuple[Tree, ...]:
        """Read all of these, so that every one that is wrong is told of."""
        found: list[Tree] = []
        before = len(self._errors)
        for node in nodes:
            with self._noting():
                found.append(read(node, depth + 1))
        if len(self._errors) > before:
            raise _NotedError
        return tuple(found)

    def _check_depth(self, node: ast.AST, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self._refused_node(f"more than {MAX_DEPTH} levels deep", node)

    def _source(self, node: ast.AST) -> str:
        position, length = self._place(node)
        return self._text[position : position + length]

    def _place(self, node: ast.AST, last: ast.AST | None = None) -> tuple[int, int]:
        start = max(getattr(node, "col_offset", 1) - 1, 0)
        end = (getattr(last or node, "end_col_offset", None) or start + 2) - 1
        return start, max(end - start, 1)

    def _refused_node(self, problem: str, node: ast.AST, last: ast.AST | None = None) -> ConditionError:
        return self._refused(problem, *self._place(node, last))

    def _refused(
        self, problem: str, position: int, length: int = 1, *, hint: str = "", allowed: str = ALLOWED
    ) -> ConditionError:
        # What is shown may be hostile: only printable ASCII.
        text = "".join(character if " " <= character <= "~" else "?" for character in self._text)
        problem = f"{problem}: {hint}" if hint else problem
        return ConditionError(problem, text, position, length, allowed=allowed)


_KINDS: Final[Mapping[type, str]] = {
    ast.Call: "a call",
    ast.Attribute: "an attribute",
    ast.Subscript: "a subscript",
    ast.IfExp: "`if`",
    ast.Lambda: "`lambda`",
    ast.Tuple: "a list",
    ast.Starred: "`*`",
    ast.Constant: "this value",
    ast.Await: "`await`",
    ast.GeneratorExp: "a loop",
}


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in {int, float}
