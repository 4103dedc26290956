"""A window: whose work, in how many seconds, and what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from kaizen_processors.window_sums import WindowSums


class Group(NamedTuple):
    """Whose work: of one agent, of one model, of the one by the other, or (both None) all of it."""

    agent: str | None = None
    model: str | None = None


EVERYTHING: Final = Group()


class Window(NamedTuple):
    """What a group did in a window. `observed_s` is the time that `sums` cover."""

    group: Group
    window_s: float
    observed_s: float
    sums: WindowSums
