"""What windows hand over to a store, and take in from it: what one key did in one slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen_processors.window_keys import WindowKeys
    from kaizen_processors.window_sums import WindowSums
    from kaizen_processors.window_tiers import Cells, Key, Tiers


class SlotRow(NamedTuple):
    """What one key did in one slot: `step` finest slots, from slot `number` on."""

    step: int
    number: int
    key: Key
    sums: WindowSums


class Outlet(Protocol):
    """Where closed slots are handed over to: a store."""

    def take(self, number: int, cells: Cells) -> None:
        """Take a slot that closed, or what came late for one. The cells are lent. Must be quick, and not raise."""
        ...

    def waiting(self) -> Iterable[SlotRow]:
        """What was taken and is in no store yet."""
        ...


def place(tiers: Tiers, row: SlotRow, key: Key, now_slot: int) -> None:
    """Add another process's slot. One that is still open here has closed there a moment ago: it counts as the last."""
    number = row.number if row.step > 1 else min(row.number, now_slot - 1)
    tiers.add_late(number, now_slot, key, row.sums, row.step)


def place_all(tiers: Tiers, keys: WindowKeys, rows: Iterable[SlotRow], now_slot: int) -> int:
    """Add the slots of others; gives the number of the oldest one, that of now where there is none."""
    oldest = now_slot
    for row in rows:
        place(tiers, row, keys.admit(row.key, row.number), now_slot)
        oldest = min(oldest, row.number)
    return oldest
