"""A coroutine of ours in the place of Kaizen's, so that nobody sees a difference."""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator


class Held:
    """Kaizen's coroutine, until ours awaits it.

    A task that is cancelled before its first step closes our coroutine unstarted. Kaizen's is then closed with it,
    instead of warning of a coroutine that was never awaited, which its caller has never seen.
    """

    __slots__ = ("_coroutine",)

    def __init__(self, coroutine: CoroutineType[Any, Any, Any]) -> None:
        """Hold this coroutine."""
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    def __del__(self) -> None:
        self._coroutine.close()  # does nothing to one that has ended


def in_place_of(call: Any, watch: Callable[[Held], Coroutine[Any, Any, Any]]) -> Any:
    """The coroutine `watch(...)`, under the name of `call`; what is no coroutine is handed back as it is."""
    if not issubclass(type(call), CoroutineType):
        return call
    ours: Any = watch(Held(call))
    ours.__name__, ours.__qualname__ = call.__name__, call.__qualname__
    return ours
