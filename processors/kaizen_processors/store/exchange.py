"""What one process tells a store, and learns from it.

The time base: slots are ten seconds of the wall clock as it was when this process began to watch, carried on by the
monotonic clock. When the wall clock is set, or the machine slept, the process numbers the slots that it tells from then
on by the new time, those that waited among them, and reads those of others so; its own windows notice nothing. What
others told before they noticed, and it reads afterwards (a slot or two), counts at the time that the old clock showed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.shared_spending import Part
from kaizen_processors.store import alert_log, spent, upkeep
from kaizen_processors.store import blobs as blob_rows
from kaizen_processors.store.outbox import Outbox
from kaizen_processors.store.processes import SILENT_NS, own_birth, place, workers_of
from kaizen_processors.store.purses import Purses
from kaizen_processors.store.rows import STEPS, Names, ending_after, insert, select
from kaizen_processors.window_tiers import SLOT_S
from kaizen_processors.windows import LONGEST_S, NS, SLOT_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from sqlite3 import Connection

    from kaizen_processors.shared_spending import Purse, SpentKey
    from kaizen_processors.slot_rows import SlotRow
    from kaizen_processors.store.blobs import Fold
    from kaizen_processors.store.database import Database
    from kaizen_processors.store.lease import Lease
    from kaizen_processors.store.options import StoreOptions
    from kaizen_processors.store.outbox import Waiting
    from kaizen_processors.store.purses import Sums, Telling
    from kaizen_processors.windows import Windows

HEARTBEAT_NS: Final = 10 * NS
_UPKEEP_NS: Final = 60 * NS


class Exchange:
    """One process and the open file of its store. Not safe for threads but for `blobs` and who shares a purse.

    Attributes:
        worker: this process's number in the file; 0 before it joined.
        retention_s: how long history is kept.
        outbox: slots that are to be told; the windows put them there.
        unreadable: rows that this process has set aside.
        blobs: what is to be kept for others to read.
    """

    def __init__(self, database: Database, windows: Windows, leases: tuple[Lease, ...], options: StoreOptions) -> None:
        """Join nothing yet."""
        self._database = database
        self._windows = windows
        self._leases = leases
        self._options = options
        self._clock = options.clock
        self.retention_s = options.retention_s
        self.outbox = Outbox()
        self._purses = Purses()
        self._with_slots: dict[str, Callable[[], bytes | None]] = {}
        self.begin_anew()

    def begin_anew(self) -> None:
        """Be another worker, who has told and learned nothing."""
        self.worker = 0
        self.blobs: dict[str, bytes] = {}
        self._own: list[int] = []
        self._file: int | None = None
        self.outbox.begin_anew()
        self._purses.begin_anew()
        self._lost_to_bound = 0
        self._rebuilt = 0
        self.unreadable = 0
        self._alerts_lost_to_bound = 0
        self._shift = 0
        self._names = Names()
        self._names_mark = -1
        self._read_row: int | None = None
        self._seen_version: int | None = None
        self._beat_ns: int | None = None
        self._upkeep_ns: int | None = None
        self._counted_ns: int | None = None
        self._size = {"rows": 0, "bytes": 0}
        self._seen: dict[str, Any] = {"workers": 0, "holder": None}
        self._seen_judging = False

    def share(self, purse: Purse | None) -> None:
        """Add up what is spent by this purse from now on; that of before is emptied once more."""
        self._purses.share(purse)

    def stop_sharing(self, purse: Purse | None) -> None:
        """Add up what is spent by this purse no more; it is emptied once more."""
        if purse is not None:
            self._purses.stop_sharing(purse)

    def tell_with_slots(self, kind: str, make: Callable[[], bytes | None]) -> None:
        """Ask for what is to be kept for others whenever a slot is told, so that both are known at once."""
        self._with_slots[kind] = make

    @property
    def sums_without_room(self) -> int:
        """How often there was none for the sum of an agent, a user or a session."""
        return self._purses.refused

    @property
    def own(self) -> tuple[int, ...]:
        """All numbers that this process ever had in this file."""
        return tuple(self._own)

    # -- joining --------------------------------------------------------------------------------------------------

    def join(self) -> None:
        """Take part in the file that was opened: as before when it is the one of before."""
        with self._database.write() as connection:
            file = _mark(connection, "file")
            now_ns = self._clock.time_ns()
            known = self.worker and file == self._file
            if not known or not _say_alive(connection, self.worker, now_ns):
                self.worker = _enter(connection, now_ns)
        if file != self._file:
            self._own = []
            if self._file is not None:  # another file: what was in the last one is in our windows
                self._read_row = 0
                for lease in self._leases:
                    lease.forget()
                self._purses.in_another_file()
        self._file = file
        if self.worker not in self._own:
            self._own.append(self.worker)
        self._names.forget()
        self._seen_version = None

    # -- telling --------------------------------------------------------------------------------------------------

    def tell(self, *, final: bool = False) -> None:
        """Write down what was counted, spent and kept since the last time, and that this worker lives.

        Whatever interrupts it, and whether or not the transaction was committed: to call it again counts nothing twice.
        """
        if self._purses.is_pending:  # as it was told then; afterwards what was spent since
            self._tell(final=False)
        self._tell(final=final)

    def _tell(self, *, final: bool) -> None:
        self._notice_steps()
        now_ns = self._clock.monotonic_ns()
        if self.outbox or final:
            made = {kind: make() for kind, make in self._with_slots.items()}
            self.blobs.update((kind, data) for kind, data in made.items() if data is not None)
        rows, kept, telling = self.outbox.rows(), dict(self.blobs), self._purses.telling()
        due = self._beat_ns is None or now_ns - self._beat_ns >= HEARTBEAT_NS
        if not (rows or kept or telling or due or final):
            return
        try:
            with self._database.write() as connection:
                sums = self._write(connection, rows, telling)
                for kind, data in kept.items():
                    blob_rows.put(connection, self.worker, kind, data, self._clock.time_ns())
                self._say_alive(connection, final=final)
        except BaseException:
            self._names.forget()  # those of a transaction that was rolled back
            raise
        if rows:
            self.outbox.forget_until(rows[-1].serial)
        for kind, data in kept.items():
            if self.blobs.get(kind) is data:
                del self.blobs[kind]
        if telling is not None:
            self._purses.arrived(telling, sums)
        self._beat_ns = now_ns
        if self._counted_ns is None or now_ns - self._counted_ns >= HEARTBEAT_NS:
            self._counted_ns = now_ns
            self._count()

    def _write(self, connection: Connection, rows: list[Waiting], telling: Telling | None) -> Sums:
        """Add what the file does not have yet, and note how much it has then."""
        told = connection.execute("SELECT told_serial, told_spending FROM workers WHERE id = ?", (self.worker,))
        serial, spending = told.fetchone() or (0, 0)
        self._check_names(connection)
        numbered = [
            (1, row.number + self._shift, self._names.number(connection, *row.key), row.values)
            for row in rows
            if row.serial > serial
        ]
        insert(connection, self.worker, numbered)
        sums: Sums = ()
        if telling is not None:
            sums = self._purses.write(connection, telling, spending, self._room_for_spending)
            spending = max(spending, telling.number)
        connection.execute(
            "UPDATE workers SET told_serial = ?, told_spending = ? WHERE id = ?",
            (rows[-1].serial if rows else serial, spending, self.worker),
        )
        return sums

    def bring_in(self, connection: Connection, alone: Mapping[SpentKey, int]) -> None:
        """Add what nobody has told, within the caller's transaction; everybody learns it with the next beat."""
        parts = {key: Part(units, 0, 0) for key, units in alone.items()}
        spent.add(connection, parts, self._room_for_spending)
        self._seen_version = None  # this process, too

    @property
    def _room_for_spending(self) -> int:
        return self._options.max_bytes // spent.SHARE_OF_ROOM

    def _notice_steps(self) -> None:
        """Number slots by another time when the wall clock has been set, by whole slots: they still line up."""
        shown_ns = self._clock.monotonic_ns() - self._windows.epoch_ns + self._shift * SLOT_NS
        step_ns = self._clock.time_ns() - shown_ns
        if abs(step_ns) >= SLOT_NS:
            self._shift += round(step_ns / SLOT_NS)

    def _check_names(self, connection: Connection) -> None:
        mark = _mark(connection, "names")
        if mark != self._names_mark:
            self._names.forget()
            self._names_mark = mark

    def _say_alive(self, connection: Connection, *, final: bool) -> None:
        now_ns = self._clock.time_ns()
        connection.execute(
            "UPDATE workers SET seen_ns = ?, read_row = ?, ended_ns = ? WHERE id = ?",
            (now_ns, self._read_row or 0, now_ns if final else None, self.worker),
        )

    def _count(self) -> None:
        self._size = {
            "rows": int(self._database.connection.execute("SELECT count(*) FROM slots").fetchone()[0]),
            "bytes": self._database.size_bytes(),
        }

    # -- learning -------------------------------------------------------------------------------------------------

    def learn(self) -> None:
        """Read what others told since the last time."""
        with self._database.read() as connection:
            last = _last_row(connection)  # from here on it is one moment's state
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            # Else only this process wrote.
            if version != self._seen_version or self._read_row is None or self._purses.has_news:
                self._learn(connection)
            self._look(connection)
            self._read_row, self._seen_version = last, version

    def _look(self, connection: Connection) -> None:
        """See who else lives, and who judges: with every beat, since it changes in a moment."""
        now_ns = self._clock.time_ns()
        holder = connection.execute(
            "SELECT id, pid FROM workers WHERE id = (SELECT worker FROM leases WHERE name = 'judge')"
        ).fetchone()
        self._seen_judging = holder is not None and holder[0] == self.worker
        self._seen = {
            "workers": sum(worker.is_alive(now_ns) for worker in workers_of(connection)),
            "holder": None if holder is None else int(holder[1]),
        }

    def _learn(self, connection: Connection) -> None:
        if self._read_row is None or _mark(connection, "rolled") > self._read_row:
            # The first time, or after a sleep in which rows were rolled up that we never saw.
            self._rebuilt += self._read_row is not None
            now_slot = self._clock.time_ns() // SLOT_NS
            where, given = ending_after((now_slot - int(LONGEST_S) // SLOT_S) // STEPS[-1] * STEPS[-1])
            # What the clock showed before it was set back lies in the future: who begins now cannot place it.
            where, given = f"{where} AND s.number <= ?", (*given, now_slot + 1)
            self._windows.rebuild(self._local(select(connection, where, given)))
        else:
            own = ", ".join(map(str, self._own))
            where = f"s.id > ? AND s.step = 1 AND s.worker NOT IN ({own})"
            self._windows.absorb(self._local(select(connection, where, (self._read_row,))))
        self._purses.learn(connection)

    def _local(self, found: Iterator[tuple[int, SlotRow]]) -> Iterator[SlotRow]:
        for _, row in found:
            yield row._replace(number=row.number - self._shift)

    # -- upkeep, of the holder ------------------------------------------------------------------------------------

    def keep_up(self, folds: Mapping[str, Fold]) -> None:
        """Roll up, forget, fold and give room back, once a minute; a bit at a time, so that others can write."""
        now_ns = self._clock.monotonic_ns()
        if self._upkeep_ns is not None and now_ns - self._upkeep_ns < _UPKEEP_NS:
            return
        database, time_ns = self._database, self._clock.time_ns()
        now_slot, oldest_ns = time_ns // SLOT_NS, time_ns - int(self.retention_s * NS)
        read_row = self._read_by_all(time_ns)
        upkeep.drop_before(database, oldest_ns // SLOT_NS)
        more, unreadable = upkeep.roll_up(database, now_slot, read_row)
        self.unreadable += unreadable
        if not more:
            lost, unreadable, more = upkeep.trim(database, now_slot, read_row, self._options.max_bytes)
            self._lost_to_bound += lost
            self.unreadable += unreadable
        upkeep.prune(database, oldest_ns)
        with database.write() as connection:
            unreadable = sum(blob_rows.fold(connection, kind, add, time_ns) for kind, add in folds.items())
            spent.keep_small(connection, time_ns, self._room_for_spending)
            gone = alert_log.keep_small(connection, oldest_ns, self._options.max_bytes // alert_log.SHARE_OF_ROOM)
        self._alerts_lost_to_bound += gone
        self.unreadable += unreadable
        if not more:
            self._upkeep_ns = now_ns

    def _read_by_all(self, now_ns: int) -> int:
        """The last row that every worker has read that speaks; who was silent for a minute reads everything anew."""
        (row,) = self._database.connection.execute(
            "SELECT coalesce(min(read_row), 0) FROM workers WHERE ended_ns IS NULL AND seen_ns > ?",
            (now_ns - SILENT_NS,),
        ).fetchone()
        return int(row)

    def stats(self, *, leads: bool) -> dict[str, Any]:
        """What was seen with the last beat, counted with the last sign of life, and what waits or was lost.

        Args:
            leads: whether this process judges at this moment.
        """
        others = None if self._seen_judging else self._seen["holder"]
        return {
            "worker": self.worker,
            **self._seen,
            "holder": os.getpid() if leads else others,
            **self._size,
            "rows_waiting": len(self.outbox),
            "rows_dropped": self.outbox.dropped,
            "rows_lost_to_bound": self._lost_to_bound,
            "rebuilt": self._rebuilt,
            "alerts_lost_to_bound": self._alerts_lost_to_bound,
            "unreadable": self.unreadable,
            "sums_without_room": self.sums_without_room,
        }


def _mark(connection: Connection, name: str) -> int:
    return int(connection.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()[0])


def _last_row(connection: Connection) -> int:
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'slots'").fetchone()
    return 0 if found is None else int(found[0])


def _say_alive(connection: Connection, worker: int, now_ns: int) -> bool:
    return connection.execute("UPDATE workers SET seen_ns = ? WHERE id = ?", (now_ns, worker)).rowcount == 1


def _enter(connection: Connection, now_ns: int) -> int:
    found = connection.execute(
        "INSERT INTO workers (pid, place, birth, started_ns, seen_ns) VALUES (?, ?, ?, ?, ?)",
        (os.getpid(), place(), own_birth(), now_ns, now_ns),
    )
    return int(found.lastrowid or 0)
