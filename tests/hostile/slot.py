"""One place of an instrumented surface where somebody else's value passes us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.stage import Stage

Takes = Literal["value", "error", "error outside a loop"]

API = "kaizen_otel.api"
"""The surface of slots that call our own functions: there is no attribute to patch."""


@dataclass(frozen=True)
class Slot:
    """Runs the real surface with the value of a stage in one place.

    Attributes:
        name: `surface_place`.
        surface: `module:attribute` that is patched; the value must reach it.
        run: calls the surface.
        takes: whether the place holds values, or raises errors (with or without an event loop around it).
        without: values that hang this place without us.
    """

    name: str
    surface: str
    run: Callable[[Stage], Any]
    takes: Takes
    without: tuple[str, ...]


class Slots(dict[str, Slot]):
    """Slots by name, in the order in which they were added."""

    def add(
        self, surface: str, *, takes: Takes = "value", without: tuple[str, ...] = ()
    ) -> Callable[[Callable[[Stage], Any]], Callable[[Stage], Any]]:
        """Make a slot of the decorated function; its name is the slot's."""

        def register(run: Callable[[Stage], Any]) -> Callable[[Stage], Any]:
            self[run.__name__] = Slot(run.__name__, surface, run, takes, without)
            return run

        return register
