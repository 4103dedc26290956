"""Odd values: what an application, a provider or a model may put where we look.

Each entry is a function, so that every run gets a value of its own (a generator is used up by one run).
"""

from __future__ import annotations

import decimal
import enum
import math
import threading
import unittest.mock
import weakref
from collections import OrderedDict, UserDict, namedtuple
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HUGE_CHARS = 70_000_000
"""A text above OTLP's 64 MiB limit for a request."""

DEPTH = 5_000


class Refused(RuntimeError):  # noqa: N818 - not an error of ours: what an odd object answers to a touch
    """Raised by the methods of odd objects: whoever sees it has touched one."""


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise Refused("touched")


_METHODS = {
    "str": ("__str__",),
    "repr": ("__repr__",),
    "format": ("__format__",),
    "eq": ("__eq__", "__ne__"),
    "hash": ("__hash__",),
    "getattr": ("__getattr__",),
    "bool": ("__bool__",),
    "len": ("__len__",),
    "iter": ("__iter__",),
    "contains": ("__contains__",),
    "getitem": ("__getitem__",),
    "number": ("__int__", "__float__", "__index__"),
    "compare": ("__lt__", "__le__", "__gt__", "__ge__"),
    "setattr": ("__setattr__",),
    "copy": ("__copy__", "__deepcopy__", "__reduce_ex__"),
}


def _touchy(*methods: str, base: type = object, name: str = "Touchy") -> type:
    """A class whose methods raise; `__hash__` stays usable where only `__eq__` raises."""
    body: dict[str, Any] = dict.fromkeys(methods, _refuse)
    if "__eq__" in methods and "__hash__" not in methods:
        body["__hash__"] = vars(base).get("__hash__") or object.__hash__
    return type(name, (base,), body)


class _LyingClass:
    """An object whose `__class__` raises, which breaks every `isinstance` that is not plain true."""

    @property  # type: ignore[misc]  # what makes it odd
    def __class__(self) -> Any:
        raise Refused("touched")


class _NoAttributes:
    """An object that refuses every attribute, also the ones it has."""

    def __getattribute__(self, name: str) -> Any:
        raise Refused("touched")


class _NamelessMeta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]  # what makes it odd
        raise Refused("touched")

    @property
    def __mro__(cls) -> Any:
        raise Refused("touched")

    def __instancecheck__(cls, instance: object) -> bool:
        raise Refused("touched")


class _Nameless(metaclass=_NamelessMeta):
    """An object whose class has no readable name."""


_EVERYTHING = [
    *sorted({name for group in _METHODS.values() for name in group} - {"__getattr__", "__setattr__"}),
    *("keys", "items", "values", "get", "encode", "strip", "lower", "startswith"),
]


def _subclass(base: type, *instance: Any) -> Any:
    """An instance of a built-in type's subclass whose own methods all raise."""
    methods = [name for name in _EVERYTHING if hasattr(base, name) and name not in {"__hash__", "__reduce_ex__"}]
    return _touchy(*methods, base=base, name=f"Odd{base.__name__.title()}")(*instance)


class _EqualsAnything:
    """A key that collides with `key` in a dictionary, and raises when compared with it."""

    def __init__(self, key: str) -> None:
        self._hash = hash(key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        raise Refused("touched")


def _self_dict() -> dict[str, Any]:
    value: dict[str, Any] = {"type": "json", "name": "self"}
    value["self"] = value
    return value


def _self_list() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


def _two_that_hold_each_other() -> dict[str, Any]:
    one: dict[str, Any] = {}
    one["other"] = {"one": one}
    return one


def _deep_dict() -> dict[str, Any]:
    value: dict[str, Any] = {"end": 1}
    for _ in range(DEPTH):
        value = {"in": value}
    return value


def _deep_list() -> list[Any]:
    value: list[Any] = []
    for _ in range(DEPTH):
        value = [value]
    return value


@cache
def huge_text() -> str:
    """The one 70 MB text of the process: it is never changed."""
    return "x" * HUGE_CHARS


def _generator() -> Iterator[int]:
    yield 1


async def _nothing() -> None:
    """A coroutine that nobody awaits."""


class _Gone:
    pass


def _dead_proxy() -> Any:
    return weakref.proxy(_Gone())


class _Shade(enum.Enum):
    DARK = "dark"


_Pair = namedtuple("_Pair", ["results", "run_id"])  # noqa: PYI024 - the older kind, on purpose


def _usage(**counts: Any) -> dict[str, Any]:
    """A usage dictionary that speaks every provider's names."""
    names = {
        "input": ("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count"),
        "output": ("completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count"),
        "details": ("prompt_tokens_details", "completion_tokens_details"),
    }
    return {name: value for side, value in counts.items() for name in names[side]}


ODD_VALUES: dict[str, Callable[[], object]] = {
    # objects whose methods raise
    **{f"raises_in_{name}": _touchy(*methods) for name, methods in _METHODS.items()},
    "raises_in_everything": _touchy(*_EVERYTHING),
    "raises_in_class": _LyingClass,
    "refuses_attributes": _NoAttributes,
    "nameless_class": _Nameless,
    "the_nameless_class_itself": lambda: _Nameless,
    # built-in types with raising methods
    "odd_str": lambda: _subclass(str, "gpt-4o"),
    "odd_int": lambda: _subclass(int, 7),
    "odd_float": lambda: _subclass(float, 0.5),
    "odd_dict": lambda: _subclass(dict, {"name": "odd", "type": "json", "prompt_tokens": 3}),
    "odd_list": lambda: _subclass(list, ["a"]),
    "odd_tuple": lambda: _subclass(tuple, ("a", "b")),
    "odd_bytes": lambda: _subclass(bytes, b"abc"),
    # structures
    "self_dict": _self_dict,
    "self_list": _self_list,
    "hold_each_other": _two_that_hold_each_other,
    "deep_dict": _deep_dict,
    "deep_list": _deep_list,
    "wide_dict": lambda: {f"k{number}": number for number in range(2_000)},
    "odd_keys": lambda: {None: 1, 2: 3, b"b": 4, (5, 6): 7, _Shade.DARK: 8, 1.5: 9},
    "surrogate_keys": lambda: {"\ud800": "\udfff", "type": "\ud800"},
    "colliding_key": lambda: {_EqualsAnything("type"): 1, _EqualsAnything("usage"): 2, _EqualsAnything("id"): 3},
    "tuple_of_two": lambda: ({"n0": {"failed": True}}, "run"),
    "named_tuple": lambda: _Pair({"n0": {"error": "x"}}, 3),
    "user_dict": lambda: UserDict({"success": False, "error": "x"}),
    "ordered_dict": lambda: OrderedDict(success=False, error="x", type="Odd"),
    "says_it_failed": lambda: {"success": False, "error": _LyingClass(), "type": "\ud800", "error_type": b"x"},
    "looks_failed": lambda: {"failed": True, "status": _touchy("__eq__")(), "error": float("nan")},
    # texts
    "lone_surrogate": lambda: "model-\ud800\udc01-\udfff",
    "control_characters": lambda: "a\x00b\x1b[31mc\r\nd\u202e",
    "empty_text": lambda: "",
    "long_text": lambda: "ä" * 200_000,
    "huge_text": huge_text,
    "bad_bytes": lambda: b"\xff\xfe\x00",
    "bytearray": lambda: bytearray(b"\xff" * 100),
    "memoryview": lambda: memoryview(b"abc"),
    # numbers
    "nan": lambda: math.nan,
    "infinity": lambda: math.inf,
    "minus_infinity": lambda: -math.inf,
    "two_to_the_70": lambda: 2**70,
    "minus_two_to_the_70": lambda: -(2**70),
    "unprintable_int": lambda: 10**5_000,
    "minus_one": lambda: -1,
    "true": lambda: True,
    "complex": lambda: 1j,
    "decimal_nan": lambda: decimal.Decimal("sNaN"),
    # usage
    "usage_negative": lambda: _usage(input=-5, output=-7),
    "usage_bool": lambda: _usage(input=True, output=False),
    "usage_texts": lambda: _usage(input="12", output="many"),
    "usage_floats": lambda: _usage(input=1.5, output=math.nan),
    "usage_none": lambda: _usage(input=None, output=None, details=None),
    "usage_lists": lambda: _usage(input=[1], output=[[2]], details=[3]),
    "usage_nested": lambda: _usage(input={"prompt_tokens": {"x": 1}}, output=_self_dict(), details=_deep_dict()),
    "usage_huge": lambda: _usage(input=2**62, output=2**70),
    "usage_one_side": lambda: _usage(input=10),
    "usage_touchy": lambda: _usage(input=_LyingClass(), output=_NoAttributes(), details=_subclass(dict, {})),
    "usage_of_subclasses": lambda: _usage(input=_subclass(int, 3), output=_subclass(int, 4)),
    # things that are no data
    "generator": _generator,
    "coroutine": _nothing,
    "function": lambda: _refuse,
    "class": lambda: Refused,
    "module": lambda: math,
    "lock": threading.Lock,
    "dead_proxy": _dead_proxy,
    "mock": unittest.mock.MagicMock,
    "enum_member": lambda: _Shade.DARK,
    "exception": lambda: ValueError(_LyingClass()),
    "exception_class": lambda: KeyboardInterrupt,
    "ellipsis": lambda: ...,
    "none": lambda: None,
}
