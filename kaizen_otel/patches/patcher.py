"""Puts wrappers on Kaizen's attributes and takes them off again, by identity.

Patching is late: a surface is patched when its module is imported, so that importing us never imports Kaizen.
"""

from __future__ import annotations

import copy
import sys
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import wrapt

from kaizen_otel.patches.supported import supported

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from kaizen_processors.fence import Fence

Wrapper = "Callable[[Any, Any, tuple[Any, ...], dict[str, Any]], Any]"

_MISSING = object()


class Surface(NamedTuple):
    """One patched surface: what to do when `module` has been imported."""

    module: str
    apply: Callable[[Patcher, Any], None]


class Patcher:
    """The patches of this process. One object for the life of the process; import hooks cannot be taken back."""

    def __init__(self, surfaces: tuple[Surface, ...]) -> None:
        """Know the surfaces; patch nothing yet."""
        self._surfaces = surfaces
        self._hooked = False
        self._on = False
        self._fence: Fence | None = None
        # By owner, and weakly: a class that an application makes and forgets is forgotten here as well.
        self._patched: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()
        self._applied: set[str] = set()
        self._undo: list[Callable[[], None]] = []
        self.missing: list[str] = []

    def turn_on(self, fence: Fence) -> None:
        """Patch what is imported; patch the rest when it is."""
        self._fence = fence
        self._on = True
        if not self._hooked:
            self._hooked = True
            for surface in self._surfaces:
                wrapt.register_post_import_hook(self._on_import, surface.module)
        for surface in self._surfaces:
            module = sys.modules.get(surface.module)
            if module is not None:
                self._apply(surface, module)

    def turn_off(self) -> None:
        """Restore every attribute that still holds our wrapper; what others wrapped over stays and passes through."""
        self._on = False
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()
        for owner, names in list(self._patched.items()):
            for name in names:
                raw = _raw(owner, name)
                if type(raw) is OurWrapper:
                    setattr(owner, name, raw.__wrapped__)
        self._patched.clear()
        self._applied.clear()
        self.missing.clear()

    def patched(self) -> dict[tuple[Any, str], Any]:
        """What is patched now: the original by (class or module, attribute)."""
        return {
            (owner, name): raw.__wrapped__
            for owner, names in self._patched.items()
            for name in names
            if type(raw := _raw(owner, name)) is OurWrapper
        }

    def wrap(self, owner: Any, name: str, wrapper: Any) -> None:
        """Put `wrapper(wrapped, instance, args, kwargs)` around an attribute of a class or module.

        An attribute that is not there is noted in `missing` (another Kaizen version). One that already contains our
        wrapper, because somebody wrapped it after us or put our wrapper back, is left as it is: what is inside is live
        again.
        """
        raw = _raw(owner, name)
        if raw is _MISSING:
            if getattr(owner, name, _MISSING) is _MISSING:
                self.missing.append(f"{getattr(owner, '__name__', owner)}.{name}")
            return
        if not contains_ours(raw):
            setattr(owner, name, OurWrapper(raw, wrapper))
        self._patched.setdefault(owner, set()).add(name)

    def on_turn_off(self, undo: Callable[[], None]) -> None:
        """Run `undo` when patching is turned off: for changes other than wrappers."""
        self._undo.append(undo)

    def _on_import(self, module: ModuleType) -> None:
        if not self._on:
            return
        for surface in self._surfaces:
            if surface.module == module.__name__:
                self._apply(surface, module)

    def _apply(self, surface: Surface, module: ModuleType) -> None:
        key = f"{surface.module}:{surface.apply.__module__}"
        if key in self._applied or self._fence is None or not supported():
            return
        self._applied.add(key)
        with self._fence(f"patch.{surface.module}"):
            surface.apply(self, module)


class OurBoundWrapper(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]  # as below
    """A wrapper of ours as an attribute access gives it: copied and pickled by name, as methods are."""

    def __copy__(self) -> OurBoundWrapper:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        holder = self._holder()
        return self if isinstance(holder, type) else getattr(copy.deepcopy(holder, memo), self.__name__)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return getattr, (self._holder(), self.__name__)

    def _holder(self) -> Any:
        instance = self._self_instance
        return self._self_owner if instance is None or self._self_binding == "staticmethod" else instance


class OurWrapper(wrapt.FunctionWrapper):  # type: ignore[type-arg]  # generic only since wrapt 2
    """A wrapper of ours, recognisable under what others put on top; copied and pickled by name, as functions are."""

    __bound_function_wrapper__ = OurBoundWrapper

    def __copy__(self) -> OurWrapper:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> OurWrapper:
        return self

    def __reduce_ex__(self, protocol: Any) -> str:
        return str(self.__qualname__)


def _raw(owner: Any, name: str) -> Any:
    """The attribute as it is stored, not as it is bound."""
    return vars(owner).get(name, _MISSING)


def contains_ours(value: Any) -> bool:
    """Whether a wrapper of ours is somewhere in what an attribute holds."""
    for _ in range(32):
        if type(value) is OurWrapper:
            return True
        inner = getattr(value, "__wrapped__", None)
        if inner is None or inner is value:
            return False
        value = inner
    return False
