"""An application's own evaluators: a callable with a name, a sampling rate and a time limit."""

from __future__ import annotations

import functools
import inspect
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, overload, runtime_checkable

from kaizen_processors.quality.evaluation import FAIL, PASS, Evaluation, EvaluationInput
from kaizen_processors.quality.structural import STRUCTURAL_NAMES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DEFAULT_TIMEOUT_S: Final = 30.0
_MAX_TIMEOUT_S = 3_600.0
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")

Verdict: TypeAlias = "float | bool | Evaluation | None"
"""What an evaluator returns: a score from 0 to 1, yes or no, an `Evaluation`, or None for no judgement."""

EvaluatorFunction: TypeAlias = "Callable[[EvaluationInput], Verdict | Awaitable[Verdict]]"


class EvaluatorError(ValueError):
    """An evaluator that cannot be used; the message names it and says why."""


class BadVerdictError(ValueError):
    """An evaluator returned something that is no verdict; the message names its type, never its content."""


@runtime_checkable
class Evaluator(Protocol):
    """What the runner needs of an evaluator; `@evaluator` makes one of a function."""

    @property
    def name(self) -> str:
        """What is judged. It becomes a metric's label, so it is one of few."""
        ...

    @property
    def sample_rate(self) -> float:
        """The part of executions that is evaluated, from 0 to 1."""
        ...

    @property
    def timeout_s(self) -> float:
        """Seconds after which a run is given up."""
        ...

    def __call__(self, given: EvaluationInput, /) -> Verdict | Awaitable[Verdict]:
        """Judge one execution."""
        ...


@dataclass(frozen=True, slots=True)
class FunctionEvaluator:
    """A function as an `Evaluator`. Calling it calls the function."""

    function: EvaluatorFunction
    name: str
    sample_rate: float = 1.0
    timeout_s: float = DEFAULT_TIMEOUT_S

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise EvaluatorError(f"evaluator {self.name!r} is not callable")
        check_evaluator(self)

    def __call__(self, given: EvaluationInput, /) -> Verdict | Awaitable[Verdict]:
        """Judge one execution."""
        return self.function(given)


@overload
def evaluator(function: EvaluatorFunction, /) -> FunctionEvaluator: ...


@overload
def evaluator(
    *, name: str | None = None, sample_rate: float = 1.0, timeout_s: float = DEFAULT_TIMEOUT_S
) -> Callable[[EvaluatorFunction], FunctionEvaluator]: ...


def evaluator(
    function: EvaluatorFunction | None = None,
    /,
    *,
    name: str | None = None,
    sample_rate: float = 1.0,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> FunctionEvaluator | Callable[[EvaluatorFunction], FunctionEvaluator]:
    """Make an evaluator of a function, sync or async.

    Args:
        function: Takes an `EvaluationInput`, returns a score from 0 to 1, a boolean, an `Evaluation` or None.
        name: What is judged; the function's own name when not given.
        sample_rate: The part of executions that is evaluated, from 0 to 1.
        timeout_s: Seconds after which a run is given up.

    Raises:
        EvaluatorError: A name, rate or time limit that cannot be used.

    Example:
        >>> @evaluator(sample_rate=0.1)
        ... def concise(given: EvaluationInput) -> bool:
        ...     return len(given.output_text or "") < 500
        >>> concise.name, concise(EvaluationInput(output="yes"))
        ('concise', True)
    """

    def wrap(wrapped: EvaluatorFunction) -> FunctionEvaluator:
        return FunctionEvaluator(wrapped, name or _name_of(wrapped), sample_rate, timeout_s)

    return wrap if function is None else wrap(function)


def as_evaluator(given: Evaluator | EvaluatorFunction) -> Evaluator:
    """Take an evaluator as it is, and make one of a plain callable.

    Raises:
        EvaluatorError: It cannot be used.
    """
    if isinstance(given, Evaluator):
        check_evaluator(given)
        return given
    if not callable(given):
        raise EvaluatorError(f"an evaluator must be callable, got {type(given).__name__}")
    return FunctionEvaluator(given, _name_of(given))


def check_evaluator(given: Evaluator) -> None:
    """Raise `EvaluatorError` unless name, sampling rate and time limit can be used."""
    name = given.name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise EvaluatorError(f"evaluator name {name!r} must match {_NAME.pattern}")
    if name in STRUCTURAL_NAMES:
        raise EvaluatorError(f"evaluator name {name!r} is taken by the structural evaluators {STRUCTURAL_NAMES}")
    if not _is_number(given.sample_rate) or not 0.0 <= given.sample_rate <= 1.0:
        raise EvaluatorError(f"evaluator {name!r}: sample_rate must be from 0 to 1, got {given.sample_rate!r}")
    if not _is_number(given.timeout_s) or not 0.0 < given.timeout_s <= _MAX_TIMEOUT_S:
        raise EvaluatorError(
            f"evaluator {name!r}: timeout_s must be above 0 and at most {_MAX_TIMEOUT_S:g}, got {given.timeout_s!r}"
        )


def is_async(given: Evaluator) -> bool:
    """Whether calling this evaluator gives a coroutine."""
    function = given.function if isinstance(given, FunctionEvaluator) else given
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def evaluation_of(name: str, verdict: object) -> Evaluation | None:
    """Make an `Evaluation` of what an evaluator returned; None when it did not want to judge.

    The evaluator's own name is used, also where it returned an `Evaluation` with another: names label metrics.

    Raises:
        BadVerdictError: It returned something else, or a number outside 0 to 1.
    """
    if verdict is None:
        return None
    if isinstance(verdict, Evaluation):
        return verdict if verdict.name == name else Evaluation(name, verdict.score, verdict.label, verdict.explanation)
    if isinstance(verdict, bool):
        return Evaluation(name, float(verdict), PASS if verdict else FAIL)
    if isinstance(verdict, int | float):
        if not 0.0 <= verdict <= 1.0:
            raise BadVerdictError("a number outside 0 to 1")
        return Evaluation(name, float(verdict))
    raise BadVerdictError(f"a value of type {type(verdict).__name__}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _name_of(function: object) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__
