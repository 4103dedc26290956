"""An object as one of its own methods sees it, so that we see what the method asks of a vendor's SDK.

kaizen_agents calls the SDKs of the providers itself (0.13) and keeps of an answer only the sums: cached and reasoning
tokens, the response's id and the raw finish reason are gone. Patching the SDK would be in the way of the libraries that
do so for a living, and an attribute put on the application's object would be seen; a stand-in for `self` is neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import wrapt

from kaizen_otel.invocations.values import attribute_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Standin(wrapt.ObjectProxy):  # type: ignore[type-arg]  # generic only since wrapt 2
    """An object, but for one attribute: `see` decides what stands in for its value."""

    def __init__(self, real: Any, name: str, see: Callable[[Any], Any]) -> None:
        """Stand in for `real`."""
        super().__init__(real)
        self._self_name = name
        self._self_see = see

    def __getattr__(self, name: str) -> Any:
        value = super().__getattr__(name)
        return self._self_see(value) if name == self._self_name else value


def along(real: Any, path: str, see: Callable[[Any], Any]) -> Standin:
    """`real`, but what the dotted `path` leads to is `see(what it leads to)`."""
    name, _, rest = path.partition(".")
    return Standin(real, name, (lambda value: along(value, rest, see)) if rest else see)


def method_of(wrapped: Any, standin: Any, instance: Any) -> Any:
    """The bound method `wrapped`, bound to a stand-in instead; `wrapped` itself where it is no method."""
    # What another library wrapped with wrapt tells its function as `__func__`, and its wrapper as its parent.
    method = attribute_of(wrapped, "_self_parent") or attribute_of(wrapped, "__func__")
    return wrapped if method is None else method.__get__(standin, type(instance))


class SeenIterator:
    """An async iterator whose items are shown to `see` before they go where they go."""

    __slots__ = ("_items", "_see")

    def __init__(self, items: Any, see: Callable[[Any], None]) -> None:
        """Take the iterator that was asked for."""
        self._items = items
        self._see = see

    def __aiter__(self) -> SeenIterator:
        return self

    async def __anext__(self) -> Any:
        item = await anext(self._items)
        self._see(item)
        return item


class SeenStream(wrapt.ObjectProxy):  # type: ignore[type-arg]  # as above
    """An SDK's stream: the same, but its items are shown to `see`."""

    def __init__(self, stream: Any, see: Callable[[Any], None]) -> None:
        """Stand in for `stream`."""
        super().__init__(stream)
        self._self_see = see

    def __aiter__(self) -> SeenIterator:
        return SeenIterator(aiter(self.__wrapped__), self._self_see)


class SeenEvents(wrapt.ObjectProxy):  # type: ignore[type-arg]  # as above
    """An SDK's stream: the same, but its items are those of an iterator that reads it."""

    def __init__(self, stream: Any, items: Any) -> None:
        """Stand in for `stream`."""
        super().__init__(stream)
        self._self_items = items

    def __aiter__(self) -> Any:
        return self._self_items


class SeenManager:
    """An SDK's async context manager, whose stream is shown to `see`."""

    __slots__ = ("_manager", "_see")

    def __init__(self, manager: Any, see: Callable[[Any], None]) -> None:
        """Stand in for `manager`."""
        self._manager = manager
        self._see = see

    async def __aenter__(self) -> SeenStream:
        return SeenStream(await self._manager.__aenter__(), self._see)

    async def __aexit__(self, *error: object) -> Any:
        return await self._manager.__aexit__(*error)
