"""Slots that closed and are in no file yet.

They are numbered as they come, and the file says, within the transaction that writes them, up to which number it has
them. So it does not matter whether somebody heard that a transaction was committed: what is written again is not
counted again.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from kaizen_processors.slot_rows import SlotRow
from kaizen_processors.store.rows import Values, sums_of, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_processors.window_tiers import Cells, Key

MAX_WAITING: Final = 50_000
"""Rows that wait for a store that fails; further ones are lost to the others, and counted."""


class Waiting(NamedTuple):
    """One of them. `serial` is one more for each; the slot's `number` is as this process's windows count."""

    serial: int
    number: int
    key: Key
    values: Values


class Outbox:
    """What windows hand over. `take` is called by one thread at a time, everything else by another one.

    Attributes:
        dropped: rows that there was no room for.
    """

    def __init__(self) -> None:
        """Hold nothing."""
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget everything: what a parent handed over is the parent's to tell."""
        self._rows: list[Waiting] = []
        self._serial = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, number: int, cells: Cells) -> None:
        """Take a slot that closed, or what came late for one."""
        taken: list[Waiting] = []
        for key, sums in cells.items():
            if len(self._rows) + len(taken) >= MAX_WAITING:
                self.dropped += 1
                continue
            self._serial += 1
            taken.append(Waiting(self._serial, number, key, values_of(sums)))
        self._rows.extend(taken)  # all of the slot, or nothing

    def rows(self) -> list[Waiting]:
        """What waits now, in order."""
        return self._rows[:]

    def waiting(self) -> Iterator[SlotRow]:
        """The same, for windows that begin anew."""
        for row in self._rows[:]:
            yield SlotRow(1, row.number, row.key, sums_of(row.values))

    def forget_until(self, serial: int) -> None:
        """Let go of what is in the file: everything up to this number."""
        del self._rows[: bisect_right(self._rows, serial, key=attrgetter("serial"))]
