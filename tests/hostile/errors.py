"""Odd exceptions: what a user's node, tool or strategy, or a provider's client, may raise."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import TYPE_CHECKING, Any, NoReturn

from tests.hostile.values import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

CHAIN = 1_000


LONG_MESSAGE = "x" * 2_000_000
"""As long as Kaizen can stand: it searches each error for secrets, and 70 MB would take it eight seconds."""


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise Refused("touched")


def _touchy(*methods: str, base: type[BaseException] = ValueError) -> type[BaseException]:
    return type("TouchyError", (base,), dict.fromkeys(methods, _refuse))


def _with_property(name: str) -> type[BaseException]:
    return type("LyingError", (ValueError,), {name: property(_refuse)})


class _HiddenMeta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]  # what makes it odd
        raise Refused("touched")

    def __getattribute__(cls, name: str) -> Any:
        if name in {"__module__", "__qualname__", "__name__"}:
            raise Refused("touched")
        return super().__getattribute__(name)


class _HiddenError(ValueError, metaclass=_HiddenMeta):
    """An error whose class hides its name."""


class _BareBaseError(BaseException):
    """No `Exception`: it passes every handler that is not greedy."""


class _StatusError(Exception):
    """An error with a status that is no number."""

    def __init__(self) -> None:
        super().__init__("odd status")
        self.status = Refused
        self.status_code = _touchy("__eq__", "__le__", "__ge__", "__lt__", "__gt__")("x")


class _HomelessError(ValueError):
    """An error whose class has no module any more."""


_HomelessError.__module__ = 7  # type: ignore[assignment]  # what makes it odd


def _circle() -> BaseException:
    one, two = ValueError("one"), TypeError("two")
    one.__cause__, two.__cause__ = two, one
    return one


def _circle_of_contexts() -> BaseException:
    one, two = RuntimeError("one"), RuntimeError("two")
    one.__context__, two.__context__ = two, one
    return one


def _its_own_cause() -> BaseException:
    error = ValueError("mine")
    error.__cause__ = error
    return error


def _long_chain() -> BaseException:
    error: BaseException = KeyError("root")
    for number in range(CHAIN):
        above = ValueError(number)
        above.__cause__ = error
        error = above
    return error


def _caused_by_interrupt() -> BaseException:
    error = ValueError("cleaned up")
    error.__cause__ = KeyboardInterrupt()
    return error


def _dict_replaced() -> BaseException:
    error = ValueError("x")
    error.__dict__ = type("OddDict", (dict,), {"get": _refuse, "__getitem__": _refuse})(status=429)
    return error


ODD_ERRORS: dict[str, Callable[[], BaseException]] = {
    "str_raises": lambda: _touchy("__str__")("x"),
    "repr_raises": lambda: _touchy("__repr__", "__str__")("x"),
    "eq_and_hash_raise": lambda: _touchy("__eq__", "__hash__")("x"),
    "bool_raises": lambda: _touchy("__bool__", "__len__")("x"),
    "setattr_raises": lambda: _touchy("__setattr__")("x"),
    "getattr_raises": lambda: _touchy("__getattr__")("x"),
    "cause_raises": lambda: _with_property("__cause__")("x"),
    "context_raises": lambda: _with_property("__context__")("x"),
    "suppress_context_raises": lambda: _with_property("__suppress_context__")("x"),
    "dict_raises": lambda: _with_property("__dict__")("x"),
    "args_raise": lambda: _with_property("args")("x"),
    "hidden_class_name": lambda: _HiddenError("x"),
    "class_without_module": lambda: _HomelessError("x"),
    "odd_status": _StatusError,
    "dict_replaced": _dict_replaced,
    "circle_of_causes": _circle,
    "circle_of_contexts": _circle_of_contexts,
    "its_own_cause": _its_own_cause,
    "long_chain": _long_chain,
    "caused_by_interrupt": _caused_by_interrupt,
    "group": lambda: ExceptionGroup("many", [ValueError(1), ExceptionGroup("more", [KeyError(2)])]),
    "surrogates": lambda: ValueError("bad \ud800 text"),
    "huge_message": lambda: ValueError(LONG_MESSAGE),
    "odd_arguments": lambda: ValueError(object(), b"\xff", {1: Refused}),
    "no_arguments": ValueError,
    "returns_no_text": lambda: type("OddError", (ValueError,), {"__str__": lambda _: 7})("x"),
    "memory": lambda: MemoryError("out"),
    "recursion": lambda: RecursionError("deep"),
    "stop_iteration": lambda: StopIteration("value"),
    "stop_async_iteration": lambda: StopAsyncIteration("value"),
    "timeout": lambda: TimeoutError("late"),
    "future_cancelled": lambda: concurrent.futures.CancelledError("gone"),
    "cancelled": lambda: asyncio.CancelledError("gone"),
    "base_exception": lambda: _BareBaseError("bare"),
    "keyboard_interrupt": lambda: KeyboardInterrupt("ctrl-c"),
    "system_exit": lambda: SystemExit(3),
    "generator_exit": lambda: GeneratorExit("closed"),
}

ERRORS_THAT_HANG_ASYNCIO: dict[str, Callable[[], BaseException]] = {
    "class_raises": lambda: _with_property("__class__")("x"),
    "base_exception_class_raises": lambda: type("Lying", (BaseException,), {"__class__": property(_refuse)})("x"),
}
"""An event loop never finishes a task that raises one of these (CPython 3.11): only for code outside of one."""
