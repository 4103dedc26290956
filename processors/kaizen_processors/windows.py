"""What was done lately, by agent and model: sums and latencies of any stretch of the last 24 hours.

A window begins with the slot of ten seconds that its first moment falls into, so it never leaves out anything, and
holds up to one slot more than was asked for (`window_slots.py` has the slots). `Window.observed_s` is the time it
really covers: from there, or from when the watching began, until now. Time is monotonic throughout: a stepped wall
clock changes nothing.

With a store (`kaizen_processors.store`) the windows are those of the host. What is asked of a group begins after the
slots that keep only the sums of all keys, for want of room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kaizen_processors.execution import NO_AGENT
from kaizen_processors.ledger import OVERFLOW
from kaizen_processors.window import EVERYTHING, Group, Window
from kaizen_processors.window_slots import LONGEST_S, MAX_BYTES, NS, SLOT_NS, WindowSlots
from kaizen_processors.window_tiers import SLOT_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen_processors.window_sums import WindowSums
    from kaizen_processors.window_tiers import Key

__all__ = ["EVERYTHING", "LONGEST_S", "MAX_BYTES", "NS", "SLOT_NS", "Group", "Window", "Windows"]

_AT_A_TIME: Final = 64
"""Open cells that are copied under the lock at once, so that no caller waits long."""


class Windows(WindowSlots):
    """The windows of one instrumentation, read from the slots that it counts into; made as those are."""

    def read(self, group: Group = EVERYTHING, window_s: float = 300.0, *, with_latency: bool = True) -> Window:
        """Add up what a group did in the last `window_s` seconds.

        Args:
            group: whose work.
            window_s: from 0 (what the open slot holds) to 24 hours.
            with_latency: False leaves the durations out, which is three times as fast.

        Raises:
            ValueError: the window is longer than 24 hours, or negative.
        """
        if not 0 <= window_s <= LONGEST_S:
            raise ValueError(f"a window is from 0 to {LONGEST_S:.0f} seconds, not {window_s}")
        with self._tiers_lock:
            now_ns = self._now()
            self._turn(now_ns)
            now_slot = self._roll()
            start = self._tiers.starting(self._first_slot(now_ns, window_s), now_slot)
            if group != EVERYTHING:
                start = max(start, self._tiers.folded_until)
            sums = self._sums_of(group, start, now_slot, with_latency=with_latency)
        return Window(group, window_s, max(now_ns - self._beginning_of(start), 0) / NS, sums)

    def _first_slot(self, now_ns: int, window_s: float) -> int:
        """The slot that the first moment of a window falls into, or that the watching began in."""
        return self._slot_at(max(now_ns - int(min(window_s, self._keep_s) * NS), self._began_ns))

    def _beginning_of(self, slot: int) -> int:
        """Since when a slot was watched, by the monotonic clock."""
        return max(self._epoch_ns + slot * SLOT_NS, self._began_ns)

    def periods(self, group: Group, period_s: float, count: int) -> list[Window]:
        """Cut the last `count` periods of `period_s` seconds apart, oldest first; the last one ends now.

        They lie end to end, so what happened is in exactly one of them. Their ends are those of slots, which are longer
        the longer ago: `observed_s` is how long each really is. Periods before the watching began are left out, and
        those that are shorter than a slot may be part of the one before.

        Raises:
            ValueError: a period is shorter than ten seconds, or all of them are longer than 24 hours.
        """
        if not (period_s >= SLOT_S and count >= 1 and period_s * count <= LONGEST_S):
            raise ValueError(
                f"periods are at least {SLOT_S} s and at most 24 hours in all, not {count} of {period_s} s"
            )
        with self._tiers_lock:
            now_ns = self._now()
            self._turn(now_ns)
            now_slot = self._roll()
            found = []
            end: int | None = None
            for back in range(1, count + 1):
                start = self._tiers.boundary(self._first_slot(now_ns, back * period_s), now_slot)
                if group != EVERYTHING:
                    start = max(start, self._tiers.folded_until)
                if end is not None and start >= end:
                    continue  # before the beginning, or shorter than a slot of so long ago
                sums = self._sums_of(group, start, now_slot, end)
                until_ns = now_ns if end is None else self._epoch_ns + end * SLOT_NS
                found.append(Window(group, period_s, (until_ns - self._beginning_of(start)) / NS, sums))
                end = start
        return found[::-1]

    def _sums_of(
        self, group: Group, start: int, now_slot: int, end: int | None = None, *, with_latency: bool = True
    ) -> WindowSums:
        """Everything of a group from one slot to another, or to now. The caller holds the lock of the tiers."""
        stretch = (start, now_slot, end)
        if group == EVERYTHING:
            sums = self._tiers.whole(*stretch)
            if end is None:
                self._add_live_of_all(sums)
            return sums
        with self._lock:
            keys = self._keys.of(*group)
        sums = self._tiers.sums_of(keys, *stretch, with_latency=with_latency)
        if end is None:
            self._add_live(sums, keys)
        return sums

    def groups(self) -> list[Group]:
        """Every pair of agent and model that did something in the last 24 hours."""
        with self._lock:
            return [Group(agent, model) for agent, model in self._keys.last_slot]

    def agents_since(self, window_s: float) -> set[str]:
        """Every agent that did something in the last seconds."""
        with self._lock:
            first = self._first_slot(self._now(), window_s)
            last = self._keys.last_slot.items()
            return {agent for (agent, _), slot in last if slot >= first} - {NO_AGENT, OVERFLOW}

    def stats(self) -> dict[str, int]:
        """How full it is: keys, bytes, records counted under `overflow`, records too old to be counted here."""
        with self._tiers_lock, self._lock:
            return {
                "keys": len(self._keys.last_slot),
                "bytes": self._tiers.size_bytes,
                "overflowed": self._overflowed,
                "too_late": self._too_late,
                "folded_s": max(self._tiers.folded_until - self._slot_at(self._began_ns), 0) * SLOT_S,
            }

    def _add_live(self, sums: WindowSums, keys: Iterable[Key]) -> None:
        with self._lock:
            for cells in (*[cells for _, cells in self._pending], self._open):
                for key in keys:
                    cell = cells.get(key)
                    if cell is not None:
                        sums.merge(cell)

    def _add_live_of_all(self, sums: WindowSums) -> None:
        with self._lock:
            live = [cell for _, cells in self._pending for cell in cells.values()] + list(self._open.values())
        for at in range(0, len(live), _AT_A_TIME):
            with self._lock:
                for cell in live[at : at + _AT_A_TIME]:
                    sums.merge(cell)
