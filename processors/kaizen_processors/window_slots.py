"""The slots that windows are read from: what is counted into the open one, and added up once they have closed.

Finished work is counted in the open slot of ten seconds, and nowhere else. As time goes on, a tick closes slots and
adds them up into coarser ones (`window_tiers.py`).

With a store (`kaizen_processors.store`) closed slots are handed over to it, and what other processes did is taken in,
into the same tiers. Slots then lie at multiples of ten seconds of the wall clock as it was when the watching began, so
that those of all processes line up.

Bounded in keys (further ones count under `overflow`) and in bytes: beyond, the oldest slots keep only the sums of all
keys.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Final

from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.pipeline import Observer
from kaizen_processors.slot_rows import place, place_all
from kaizen_processors.window_keys import WindowKeys
from kaizen_processors.window_sums import WindowSums
from kaizen_processors.window_tiers import SLOT_S, Tiers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kaizen_processors.clock import Clock
    from kaizen_processors.execution import CallRecord, ExecutionRecord
    from kaizen_processors.slot_rows import Outlet, SlotRow
    from kaizen_processors.window_tiers import Cells, Key

NS: Final = 10**9
LONGEST_S: Final = 86_400.0
"""The longest window."""

MAX_BYTES: Final = 64 << 20

SLOT_NS: Final = SLOT_S * NS

_UNTENDED: Final = 60
"""Closed slots that may wait for a tick; when nobody ticks, who opens the next one rolls them up."""


class WindowSlots(Observer):
    """What one instrumentation counts, by slot. What is read of it is read by `Windows`.

    Args:
        clock: its monotonic reading is what windows are measured by.
        max_keys: pairs of agent and model counted apart; further ones count under `overflow`.
        max_bytes: how much the closed slots may hold, roughly.
        on_turn: called by whoever opens a new slot: a moment to see that somebody ticks.
        aligned: whether slots lie at multiples of ten seconds of the wall clock, and are numbered from the Unix epoch.
    """

    def __init__(
        self,
        clock: Clock = SYSTEM_CLOCK,
        *,
        max_keys: int = 2_000,
        max_bytes: int = MAX_BYTES,
        on_turn: Callable[[], object] | None = None,
        aligned: bool = False,
    ) -> None:
        """Start empty."""
        self._clock = clock
        self._aligned = aligned
        self._outlet: Outlet | None = None
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
        # The wall clock is read once: later steps of it move nothing.
        self._epoch_ns = self._began_ns - (self._clock.time_ns() if self._aligned else 0)
        self._open: Cells = {}
        self._open_slot = self._slot_at(self._began_ns)
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

    @property
    def epoch_ns(self) -> int:
        """The monotonic reading at the start of slot 0."""
        return self._epoch_ns

    def hand_over_to(self, outlet: Outlet | None) -> None:
        """Hand every slot that closes over to a store, and what comes late; None to nobody any more."""
        with self._tiers_lock:
            self._outlet = outlet

    def _slot_at(self, now_ns: int) -> int:
        return (now_ns - self._epoch_ns) // SLOT_NS

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
            slot = max(self._slot_at(now_ns), self._open_slot)
            fresh: Cells = {}
            if self._open:
                self._pending.append((self._open_slot, self._open))
            # Nothing is allocated between these: collecting garbage may count something, and must find them whole.
            self._open = fresh
            self._open_slot = slot
            self._open_until_ns = self._epoch_ns + (slot + 1) * SLOT_NS
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
            at_ns = now_ns - ago_ns
            if at_ns < self._began_ns or ago_ns > self._keep_s * NS:
                self._too_late += 1
                return
            slot = self._slot_at(at_ns)
            with self._lock:
                if slot >= now_slot:
                    (self._open.get(key) or self._new_cell(key)).merge(late)
                    return
                known = self._keys.admit(key, slot)
                self._overflowed += known is not key
            if self._outlet is not None:
                self._outlet.take(slot, {known: late})
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
            while pending:
                number, cells = pending.pop(0)
                try:
                    if self._outlet is not None:
                        self._outlet.take(number, cells)
                finally:
                    self._tiers.close(number, cells)
            self._tiers.advance(now_slot)
            with self._lock:
                self._keys.forget_old(now_slot)
        finally:
            if pending:  # interrupted: the next reader goes on; the slot in its middle is not handed over twice
                with self._lock:
                    self._pending[:0] = pending
            self._rolling = False
        return now_slot

    def hand_over_open(self) -> None:
        """Close the open slot before its time, for the end of the process: what is in it is handed over."""
        with self._tiers_lock:
            self._turn(self._now())
            with self._lock:
                if self._open:
                    self._pending.append((self._open_slot, self._open))
                    self._open = {}
            self._roll()

    # -- what others did ------------------------------------------------------------------------------------------

    def absorb(self, rows: Iterable[SlotRow]) -> None:
        """Take in slots that other processes closed."""
        for row in rows:
            with self._tiers_lock:
                self._turn(self._now())
                now_slot = self._roll()
                with self._lock:
                    known = self._keys.admit(row.key, row.number)
                place(self._tiers, row, known, now_slot)
                self._reach_back_to(row.number)

    def rebuild(self, rows: Iterable[SlotRow]) -> None:
        """Begin anew with these slots of all processes, this one's that the store has among them.

        What the outlet still holds is added to them, and what is in the open slot stays. Readers wait for none of it.
        """
        with self._tiers_lock:
            self._turn(self._now())
            now_slot = self._roll()
        with self._lock:
            own = list(self._open)
        tiers, keys = Tiers(self._max_bytes), WindowKeys(self._max_keys)
        tiers.keep(math.ceil(self._keep_s / SLOT_S))
        tiers.advance(now_slot)
        for key in own:
            keys.admit(key, now_slot)
        oldest = place_all(tiers, keys, rows, now_slot)
        with self._tiers_lock:
            self._turn(self._now())
            now_slot = self._roll()
            tiers.advance(now_slot)
            place_all(tiers, keys, () if self._outlet is None else self._outlet.waiting(), now_slot)
            with self._lock:
                for key in self._open:
                    keys.admit(key, now_slot)
                self._tiers, self._keys = tiers, keys
            self._reach_back_to(oldest)

    def _reach_back_to(self, slot: int) -> None:
        """Somebody watched in this slot: what is observed begins there, not with this process."""
        self._began_ns = min(self._began_ns, self._epoch_ns + slot * SLOT_NS)
