"""What was done lately, by agent and model: sums and latencies of any stretch of the last 24 hours.

Finished work is counted in the open slot of ten seconds, and nowhere else. As time goes on, a tick closes slots and
adds them up into coarser ones:

=========  =====  ==========================================
a slot of  kept   answers windows of up to
=========  =====  ==========================================
10 s       30     5 minutes
1 min      60     1 hour
5 min      288    24 hours
1 h        24     (nothing more: it makes long windows cheap)
=========  =====  ==========================================

A window begins with the slot that its first moment falls into, so it never leaves out anything, and holds up to one
slot more than was asked for. `Window.observed_s` is the time it really covers: from there, or from when the watching
began, until now. Time is monotonic throughout: a stepped wall clock changes nothing.

Bounded in keys (further ones count under `overflow`) and in bytes: beyond, the oldest slots keep only the sums of all
keys, and what is asked of a group begins after them.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.pipeline import Observer
from kaizen_processors.window_keys import WindowKeys
from kaizen_processors.window_sums import WindowSums
from kaizen_processors.window_tiers import SLOT_S, Tiers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kaizen_processors.clock import Clock
    from kaizen_processors.execution import CallRecord, ExecutionRecord
    from kaizen_processors.window_tiers import Cells, Key, Table

NS: Final = 10**9
LONGEST_S: Final = 86_400.0
"""The longest window."""

MAX_BYTES: Final = 64 << 20

SLOT_NS: Final = SLOT_S * NS

_UNTENDED: Final = 60
"""Closed slots that may wait for a tick; when nobody ticks, who opens the next one rolls them up."""

_AT_A_TIME: Final = 64
"""Open cells that are copied under the lock at once, so that no caller waits long."""


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


class Windows(Observer):
    """The windows of one instrumentation.

    Args:
        clock: its monotonic reading is what windows are measured by.
        max_keys: pairs of agent and model counted apart; further ones count under `overflow`.
        max_bytes: how much the closed slots may hold, roughly.
        on_turn: called by whoever opens a new slot: a moment to see that somebody ticks.
    """

    def __init__(
        self,
        clock: Clock = SYSTEM_CLOCK,
        *,
        max_keys: int = 2_000,
        max_bytes: int = MAX_BYTES,
        on_turn: Callable[[], object] | None = None,
    ) -> None:
        """Start empty."""
        self._now = clock.monotonic_ns
        self._max_keys = max_keys
        self._max_bytes = max_bytes
        self._keep_s = LONGEST_S
        self._on_turn = on_turn
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Begin with nothing counted, and with locks that nobody holds."""
        # Both are reentrant: collecting garbage may end an abandoned call, a signal handler may ask for a snapshot.
        self._lock = threading.RLock()  # guards what is counted into
        self._tiers_lock = threading.RLock()  # guards what has closed; taken before the other one
        self._rolling = False
        self._began_ns = self._now()
        self._open: Cells = {}
        self._open_slot = 0
        self._open_until_ns = self._began_ns
        self._pending: list[tuple[int, Cells]] = []
        self._keys = WindowKeys(self._max_keys)
        self._tiers = Tiers(self._max_bytes)
        self._overflowed = 0
        self._too_late = 0
        self.keep(self._keep_s)

    def keep(self, retention_s: float | None) -> None:
        """Keep what was done for this long only, where that is less than 24 hours."""
        with self._tiers_lock:
            self._keep_s = LONGEST_S if retention_s is None else min(retention_s, LONGEST_S)
            self._tiers.keep(math.ceil(self._keep_s / SLOT_S))

    # -- counting -------------------------------------------------------------------------------------------------

    def on_execution(self, record: ExecutionRecord) -> None:
        """Count one execution in the open slot, or where it belongs when it was reported later."""
        key = (record.agent_name, record.model)
        if record.ended_ago_ns > 0:
            late = WindowSums()
            late.add_execution(record)
            self._add_late(key, record.ended_ago_ns, late)
            return
        now_ns = self._now()
        if now_ns >= self._open_until_ns:
            self._turn(now_ns)
        with self._lock:
            (self._open.get(key) or self._new_cell(key)).add_execution(record)

    def on_call(self, record: CallRecord) -> None:
        """Count one model call in the open slot, or where it belongs when it was reported later."""
        key = (record.agent_name, record.model)
        if record.ended_ago_ns > 0:
            late = WindowSums()
            late.add_call(record)
            self._add_late(key, record.ended_ago_ns, late)
            return
        now_ns = self._now()
        if now_ns >= self._open_until_ns:
            self._turn(now_ns)
        with self._lock:
            (self._open.get(key) or self._new_cell(key)).add_call(record)

    def change_quality(self, key: Key, before: float | None, after: float, ago_ns: int) -> None:
        """Put another score in the place of the one that an execution was counted with so long ago."""
        late = WindowSums()
        late.change_quality(before, after)
        self._add_late(key, ago_ns, late)

    def _new_cell(self, key: Key) -> WindowSums:
        known = self._keys.admit(key, self._open_slot)
        if known is not key:
            self._overflowed += 1
        found = self._open.get(known)
        return self._open.setdefault(known, WindowSums()) if found is None else found

    def _turn(self, now_ns: int) -> None:
        """Close the open slot when its time is over, and open the one of now."""
        with self._lock:
            if now_ns < self._open_until_ns:
                return
            slot = max((now_ns - self._began_ns) // SLOT_NS, self._open_slot)
            fresh: Cells = {}
            if self._open:
                self._pending.append((self._open_slot, self._open))
            # Nothing is allocated between these: collecting garbage may count something, and must find them whole.
            self._open = fresh
            self._open_slot = slot
            self._open_until_ns = self._began_ns + (slot + 1) * SLOT_NS
        # Not waiting: who holds the lock of the tiers may wait for ours.
        if len(self._pending) > _UNTENDED and self._tiers_lock.acquire(blocking=False):
            try:
                self._roll()
            finally:
                self._tiers_lock.release()
        if self._on_turn is not None:
            self._on_turn()

    def _add_late(self, key: Key, ago_ns: int, late: WindowSums) -> None:
        with self._tiers_lock:
            now_ns = self._now()
            self._turn(now_ns)
            now_slot = self._roll()
            at_ns = now_ns - ago_ns - self._began_ns
            if at_ns < 0 or ago_ns > self._keep_s * NS:
                self._too_late += 1
                return
            slot = at_ns // SLOT_NS
            with self._lock:
                if slot >= now_slot:
                    (self._open.get(key) or self._new_cell(key)).merge(late)
                    return
                known = self._keys.admit(key, slot)
                self._overflowed += known is not key
            self._tiers.add_late(slot, now_slot, known, late)

    # -- rolling up -----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Close what is over, and add it up into the coarser tiers."""
        self._turn(self._now())
        with self._tiers_lock:
            self._roll()

    def _roll(self) -> int:
        """Bring the tiers up to the open slot, and give its number. The caller holds their lock."""
        with self._lock:
            now_slot = self._open_slot
            if self._rolling:  # garbage or a signal, in the middle of it
                return now_slot
            pending, self._pending = self._pending, []
        self._rolling = True
        try:
            for number, cells in pending:
                self._tiers.close(number, cells)
            self._tiers.advance(now_slot)
            with self._lock:
                self._keys.forget_old(now_slot)
        finally:
            self._rolling = False
        return now_slot

    # -- reading --------------------------------------------------------------------------------------------------

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
        sums = WindowSums()
        with self._tiers_lock:
            now_ns = self._now()
            self._turn(now_ns)
            now_slot = self._roll()
            elapsed_ns = now_ns - self._began_ns
            first = max(int(elapsed_ns - min(window_s, self._keep_s) * NS) // SLOT_NS, 0)
            start = self._tiers.starting(first, now_slot)
            tables = self._tiers.between(start, now_slot)
            if group == EVERYTHING:
                for table in tables:
                    sums.merge(table.whole)
                self._add_live_of_all(sums)
            else:
                start = max(start, self._tiers.folded_until)
                with self._lock:
                    keys = self._keys.of(*group)
                tables = self._tiers.between(start, now_slot)
                _add_closed(sums, tables, keys, with_latency=with_latency)
                self._add_live(sums, keys)
        return Window(group, window_s, max(elapsed_ns / NS - start * SLOT_S, 0.0), sums)

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
            elapsed_ns = now_ns - self._began_ns
            found = []
            end: int | None = None
            for back in range(1, count + 1):
                first = max(int(elapsed_ns - min(back * period_s, self._keep_s) * NS) // SLOT_NS, 0)
                start = self._tiers.boundary(first, now_slot)
                if group != EVERYTHING:
                    start = max(start, self._tiers.folded_until)
                if end is not None and start >= end:
                    continue  # before the beginning, or shorter than a slot of so long ago
                sums = self._sums_of(group, start, now_slot, end)
                until_s = elapsed_ns / NS if end is None else end * SLOT_S
                found.append(Window(group, period_s, until_s - start * SLOT_S, sums))
                end = start
        return found[::-1]

    def _sums_of(self, group: Group, start: int, now_slot: int, end: int | None) -> WindowSums:
        """Everything of a group from one slot to another, or to now. The caller holds the lock of the tiers."""
        sums = WindowSums()
        if group == EVERYTHING:
            for table in self._tiers.between(start, now_slot, end):
                sums.merge(table.whole)
            if end is None:
                self._add_live_of_all(sums)
            return sums
        with self._lock:
            keys = self._keys.of(*group)
        _add_closed(sums, self._tiers.between(start, now_slot, end), keys, with_latency=True)
        if end is None:
            self._add_live(sums, keys)
        return sums

    def groups(self) -> list[Group]:
        """Every pair of agent and model that did something in the last 24 hours."""
        with self._lock:
            return [Group(agent, model) for agent, model in self._keys.last_slot]

    def stats(self) -> dict[str, int]:
        """How full it is: keys, bytes, records counted under `overflow`, records too old to be counted here."""
        with self._tiers_lock, self._lock:
            return {
                "keys": len(self._keys.last_slot),
                "bytes": self._tiers.size_bytes,
                "overflowed": self._overflowed,
                "too_late": self._too_late,
                "folded_s": self._tiers.folded_until * SLOT_S,
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


def _add_closed(sums: WindowSums, tables: Iterable[Table], keys: list[Key], *, with_latency: bool) -> None:
    for table in tables:
        cells = table.cells
        for key in keys:
            cell = cells.get(key)
            if cell is not None:
                sums.add(cell, with_latency=with_latency)
