"""Closed slots of time in tiers, each coarser than the one before: what a window is read from.

=========  =====  ==========================================
a slot of  kept   answers windows of up to
=========  =====  ==========================================
10 s       30     5 minutes
1 min      60     1 hour
5 min      288    24 hours
1 h        24     (nothing more: it makes long windows cheap)
=========  =====  ==========================================

Times are numbers of the finest slot. A slot that closes is packed into bytes and added to the open slot of the next
tier; when that one's time is over it closes likewise. Beside the cells of its keys a closed slot has the sums of all of
them, so that what everybody did costs no more to read than what one key did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kaizen_processors.window_sums import WindowSums

if TYPE_CHECKING:
    from collections.abc import Iterator

Key = tuple[str, str]
"""Agent and model."""

Cells = dict[Key, WindowSums]

SLOT_S: Final = 10
"""Seconds of the finest slot."""

STEPS: Final = ((1, 30), (6, 60), (30, 288), (360, 24))
"""Of each tier: how many finest slots one of its slots spans, and how many are kept."""

_ENTRY_BYTES: Final = 140
"""What an entry costs beside its bytes: the head of the object, and its place in a dictionary that is half full."""

_UNPACKED_BYTES: Final = 1_000


class Table:
    """One closed slot. A `folded` one has given up its keys and kept the sums of all."""

    __slots__ = ("cells", "folded", "size_bytes", "whole")

    def __init__(self) -> None:
        """Start empty."""
        self.cells: dict[Key, bytes | WindowSums] = {}
        self.whole = WindowSums()
        self.folded = False
        self.size_bytes = _UNPACKED_BYTES

    def put(self, cells: Cells, whole: WindowSums) -> None:
        """Add cells, and the sums of all of them. They stay the caller's."""
        self.whole.merge(whole)
        if self.folded:
            return
        for key, cell in cells.items():
            held = self.cells.get(key)
            if held is not None:
                self.size_bytes -= _size_of(held)
                both = WindowSums.unpack(held)
                both.merge(cell)
                packed = both.pack()
            else:
                packed = cell.pack()
                if packed is cell:
                    packed = cell.copy()
            self.size_bytes += _size_of(packed)
            self.cells[key] = packed

    def fold(self) -> None:
        """Give the keys up."""
        self.folded = True
        self.cells = {}
        self.size_bytes = _UNPACKED_BYTES


def _size_of(packed: bytes | WindowSums) -> int:
    return (len(packed) if isinstance(packed, bytes) else _UNPACKED_BYTES) + _ENTRY_BYTES


class _Tier:
    """Closed slots of one length, and the open one that finer slots are added to."""

    __slots__ = ("closed", "open", "open_number", "size", "step", "whole")

    def __init__(self, step: int, size: int) -> None:
        self.step = step
        self.size = size
        self.closed: dict[int, Table] = {}
        self.begin()

    def begin(self) -> None:
        self.open: Cells = {}
        self.whole = WindowSums()
        self.open_number: int | None = None

    def oldest(self, now_slot: int) -> int:
        """The number of the oldest slot that is kept."""
        return now_slot // self.step - self.size


class Tiers:
    """The closed slots of all tiers. Not safe for threads: `Windows` holds a lock.

    Args:
        max_bytes: how much they may hold, roughly; beyond it the oldest slots are folded.

    Attributes:
        size_bytes: how much they hold, roughly.
        folded_until: where the keys of older slots were given up; what is read of a group begins there.
    """

    def __init__(self, max_bytes: int) -> None:
        """Start empty."""
        self._max_bytes = max_bytes
        self._tiers = [_Tier(step, size) for step, size in STEPS]
        self._advanced_to = -1
        self.size_bytes = 0
        self.folded_until = 0

    def keep(self, slots: int) -> None:
        """Keep only what is younger than this many slots, as soon as time goes on."""
        for tier, (step, size) in zip(self._tiers, STEPS, strict=True):
            tier.size = max(1, min(size, -(-slots // step)))

    def close(self, number: int, cells: Cells) -> None:
        """Take a slot of the finest tier. The cells are ours from now on."""
        whole = WindowSums()
        for cell in cells.values():
            whole.merge(cell)
        self._close(0, number, cells, whole)

    def advance(self, now_slot: int) -> None:
        """Close what is over at this slot, forget what is too old, and stay within the bound."""
        if now_slot == self._advanced_to:
            return
        self._advanced_to = now_slot
        for level, tier in enumerate(self._tiers):
            if tier.open_number is not None and (tier.open_number + 1) * tier.step <= now_slot:
                self._finish(level)
        for tier in self._tiers:
            oldest = tier.oldest(now_slot)
            for number in [one for one in tier.closed if one < oldest]:
                del tier.closed[number]
        self.size_bytes = sum(table.size_bytes for tier in self._tiers for table in tier.closed.values())
        if self.size_bytes > self._max_bytes:
            self._fold()

    def add_late(self, slot: int, now_slot: int, key: Key, late: WindowSums, step: int = 1) -> None:
        """Add to a slot that has closed, and to those above it; of slots finer than `step` nothing is known."""
        for level, tier in enumerate(self._tiers):
            if tier.step < step:
                continue
            number = slot // tier.step
            if number >= now_slot // tier.step:  # still open: the tiers above get it from here
                self._accumulate(level, number, {key: late}, late)
                return
            if number >= tier.oldest(now_slot):
                table = self._table(tier, number)
                before = table.size_bytes
                table.put({key: late}, late)
                self.size_bytes += table.size_bytes - before

    def starting(self, slot: int, now_slot: int) -> int:
        """The first slot of a window that begins in this one: a slot of the finest tier that reaches back so far."""
        for tier in self._tiers:
            if slot // tier.step >= tier.oldest(now_slot):
                return slot // tier.step * tier.step
        return max(self._tiers[-1].oldest(now_slot) * self._tiers[-1].step, 0)

    def boundary(self, slot: int, now_slot: int) -> int:
        """Where a stretch may end and the next begin, at this slot or before it.

        What lies before it must be kept as fine, up to where the coarser slots are whole.
        """
        for tier, coarser in zip(self._tiers, (*self._tiers[1:], None), strict=True):
            at = slot // tier.step * tier.step
            whole = at if coarser is None else at // coarser.step * coarser.step
            if whole // tier.step >= tier.oldest(now_slot):
                return at
        return max(self._tiers[-1].oldest(now_slot) * self._tiers[-1].step, 0)

    def between(self, start: int, now_slot: int, end: int | None = None) -> Iterator[Table]:
        """Give the closed slots from `start` to `end`, or to now: the coarsest ones that fit.

        Where `end` is given, both must be what `boundary` gave.
        """
        at, until = start, now_slot if end is None else min(end, now_slot)
        while at < until:
            for tier in reversed(self._tiers):
                number, over = divmod(at, tier.step)
                fits = not over and at + tier.step <= until
                if fits and number < now_slot // tier.step and number >= tier.oldest(now_slot):
                    table = tier.closed.get(number)
                    if table is not None:
                        yield table
                    at += tier.step
                    break
            else:
                at += 1

    def whole(self, start: int, now_slot: int, end: int | None = None) -> WindowSums:
        """Add up what all keys did from `start` to `end`, or to now."""
        sums = WindowSums()
        for table in self.between(start, now_slot, end):
            sums.merge(table.whole)
        return sums

    def sums_of(
        self, keys: list[Key], start: int, now_slot: int, end: int | None = None, *, with_latency: bool = True
    ) -> WindowSums:
        """Add up what some keys did from `start` to `end`, or to now."""
        sums = WindowSums()
        for table in self.between(start, now_slot, end):
            cells = table.cells
            for key in keys:
                cell = cells.get(key)
                if cell is not None:
                    sums.add(cell, with_latency=with_latency)
        return sums

    def _close(self, level: int, number: int, cells: Cells, whole: WindowSums) -> None:
        tier = self._tiers[level]
        self._table(tier, number).put(cells, whole)
        if level + 1 < len(self._tiers):
            self._accumulate(level + 1, number * tier.step // self._tiers[level + 1].step, cells, whole)

    def _table(self, tier: _Tier, number: int) -> Table:
        table = tier.closed.get(number)
        if table is None:
            table = tier.closed[number] = Table()
            if number * tier.step < self.folded_until:
                table.fold()
        return table

    def _accumulate(self, level: int, number: int, cells: Cells, whole: WindowSums) -> None:
        tier = self._tiers[level]
        if tier.open_number is not None and tier.open_number != number:
            self._finish(level)
        tier.open_number = number
        tier.whole.merge(whole)
        held = tier.open
        for key, cell in cells.items():
            sums = held.get(key)
            if sums is None:
                held[key] = cell  # nobody below needs it any more
            else:
                sums.merge(cell)

    def _finish(self, level: int) -> None:
        tier = self._tiers[level]
        number, cells, whole = tier.open_number, tier.open, tier.whole
        tier.begin()
        if number is not None:
            self._close(level, number, cells, whole)

    def _fold(self) -> None:
        """Give the keys of the oldest slots up until the rest is well within the bound."""
        enough = self._max_bytes * 9 // 10
        ends = sorted({(number + 1) * tier.step for tier in self._tiers for number in tier.closed})
        for end in ends:
            if self.size_bytes <= enough:
                return
            self.folded_until = max(self.folded_until, end)
            for tier in self._tiers:
                for number, table in tier.closed.items():
                    if number * tier.step < self.folded_until and not table.folded:
                        self.size_bytes -= table.size_bytes - _UNPACKED_BYTES
                        table.fold()
