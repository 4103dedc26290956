"""What the holder of the lease does to keep a store small: older rows become coarser, the oldest go.

=========================  ================
rows of                    until they are
=========================  ================
10 s, of each worker       10 minutes old
1 min, of all together     2 hours old
5 min                      2 days old
1 h                        as old as may be
=========================  ================

That is longer than the windows of a process need them: what is older than a day is history. A row of ten seconds stays,
too, until every worker that lives has read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from kaizen_processors.store.rows import COLUMNS, STEPS, insert, sums_of, values_of
from kaizen_processors.store.unreadable import Found, set_aside
from kaizen_processors.window_sums import WindowSums
from kaizen_processors.window_tiers import SLOT_S

if TYPE_CHECKING:
    from sqlite3 import Connection

    from kaizen_processors.store.database import Database


class RollUp(NamedTuple):
    """Rows of one step become rows of a coarser one at this age."""

    step: int
    into: int
    age_s: int


ROLL_UPS: Final = (RollUp(1, 6, 600), RollUp(6, 30, 7_200), RollUp(30, 360, 2 * 86_400))

HURRIED: Final = (RollUp(1, 6, 360), RollUp(6, 30, 3_900), RollUp(30, 360, 90_000))
"""When the store is too big: as soon as the windows of a day can do without the finer rows."""

_ROWS: Final = 1_000
"""Rows of one transaction, which others wait for: about 40 ms."""

_AT_ONCE: Final = 2
"""Transactions for each roll-up, then there is a beat in between."""

_FEW: Final = 200
_ROOM: Final = 0.9
_VACUUM_PAGES: Final = 500
_ALL: Final = 0
_NS: Final = 10**9


def roll_up(
    database: Database, now_slot: int, read_row: int, roll_ups: tuple[RollUp, ...] = ROLL_UPS
) -> tuple[bool, int]:
    """Make some old rows coarser; whether there may be more, and how many made no sense and were set aside.

    Args:
        database: where they are.
        now_slot: the slot of now.
        read_row: rows of ten seconds beyond this one stay: somebody has not read them yet.
        roll_ups: which, at what age.
    """
    more, lost = False, 0
    for one in roll_ups:
        before = (now_slot - one.age_s // SLOT_S) // one.into * one.into
        rolled = _ROWS
        for _ in range(_AT_ONCE):
            if rolled == _ROWS:
                with database.write() as connection:
                    rolled, unreadable = _roll(connection, one, before, read_row if one.step == 1 else None)
                    for found in unreadable:
                        set_aside(connection, found, now_slot * SLOT_S * _NS)
                lost += len(unreadable)
        more |= rolled == _ROWS
    return more, lost


def _roll(connection: Connection, one: RollUp, before: int, read_row: int | None) -> tuple[int, list[Found]]:
    found = connection.execute(
        f"SELECT id, number, name, worker, {COLUMNS} FROM slots WHERE step = ? AND number < ? AND id <= ?"  # noqa: S608 - our own names
        " ORDER BY number LIMIT ?",
        (one.step, before, (1 << 62) if read_row is None else read_row, _ROWS),
    ).fetchall()
    merging = _Merging()
    for _, number, name, worker, *values in found:
        merging.add((number // one.into * one.into, name), worker, tuple(values))
    for number in {number for number, _ in merging.sums}:
        # All of a slot at once: the index does not know names, and would be gone through for each.
        for row, name, *values in connection.execute(
            f"SELECT id, name, {COLUMNS} FROM slots WHERE step = ? AND number = ?",  # noqa: S608 - our own names
            (one.into, number),
        ).fetchall():
            if (number, name) in merging.sums:
                merging.add((number, name), _ALL, tuple(values))
                connection.execute("DELETE FROM slots WHERE id = ?", (row,))
    merged = [(one.into, number, name, values_of(sums)) for (number, name), sums in merging.sums.items()]
    insert(connection, _ALL, merged)
    connection.executemany("DELETE FROM slots WHERE id = ?", [(row,) for row, *_ in found])
    if read_row is not None and found:
        _mark_rolled(connection, max(row for row, *_ in found))
    return len(found), merging.unreadable


class _Merging:
    """Rows that are added up by slot and name, and those that make no sense: nobody could read them either."""

    def __init__(self) -> None:
        self.sums: dict[tuple[int, int], WindowSums] = {}
        self.unreadable: list[Found] = []

    def add(self, key: tuple[int, int], worker: int, values: tuple[object, ...]) -> None:
        try:
            sums = sums_of(values)
        except (ValueError, TypeError) as error:
            self.unreadable.append(Found("slots", worker, repr((*key, *values)).encode(errors="replace"), error))
            return
        self.sums.setdefault(key, WindowSums()).merge(sums)


def drop_before(database: Database, oldest_slot: int) -> None:
    """Forget what ended before this slot."""
    with database.write() as connection:
        for step in STEPS:
            _delete(connection, "SELECT id FROM slots WHERE step = ? AND number <= ?", (step, oldest_slot - step))


class Trimmed(NamedTuple):
    """What was done for the bound.

    Attributes:
        lost: rows that went for it.
        unreadable: rows that made no sense, and were set aside.
        more: whether there is more to do.
    """

    lost: int
    unreadable: int
    more: bool


def trim(database: Database, now_slot: int, read_row: int, max_bytes: int) -> Trimmed:
    """Bring the file within its bound.

    What is finer than needed is rolled up at once; if that is not enough, the oldest rows go.
    """
    if database.used_bytes() <= max_bytes:
        return Trimmed(0, 0, more=False)
    more, unreadable = roll_up(database, now_slot, read_row, HURRIED)
    if more:
        return Trimmed(0, unreadable, more=True)
    lost = 0
    while database.used_bytes() > max_bytes * _ROOM:
        with database.write() as connection:
            gone = _delete_oldest(connection)
        lost += gone
        if not gone:
            break
    return Trimmed(lost, unreadable, more=False)


def _delete_oldest(connection: Connection) -> int:
    oldest = [
        (number, step)
        for step in STEPS
        for (number,) in connection.execute("SELECT min(number) FROM slots WHERE step = ?", (step,))
        if number is not None
    ]
    if not oldest:
        return 0
    which = "SELECT id FROM slots WHERE step = ? ORDER BY number LIMIT ?"
    return _delete(connection, which, (min(oldest)[1], _FEW))


def prune(database: Database, oldest_ns: int) -> None:
    """Forget names without rows, workers that left long ago, and give free pages back to the disk."""
    with database.write() as connection:
        if connection.execute("DELETE FROM names WHERE id NOT IN (SELECT name FROM slots)").rowcount:
            connection.execute("UPDATE marks SET value = value + 1 WHERE name = 'names'")
        connection.execute(
            "DELETE FROM workers WHERE seen_ns < ? AND id NOT IN (SELECT worker FROM blobs)"
            " AND id NOT IN (SELECT worker FROM leases)",
            (oldest_ns,),
        )
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        for _ in range(min(free, _VACUUM_PAGES)):
            connection.execute("PRAGMA incremental_vacuum(1)")  # sqlite3 takes one step of it, whatever the number


def _delete(connection: Connection, which: str, given: tuple[int, ...]) -> int:
    (rolled,) = connection.execute(f"SELECT max(id) FROM slots WHERE step = 1 AND id IN ({which})", given).fetchone()  # noqa: S608 - our own
    gone = connection.execute(f"DELETE FROM slots WHERE id IN ({which})", given).rowcount  # noqa: S608 - our own
    if rolled is not None:
        _mark_rolled(connection, rolled)
    return gone


def _mark_rolled(connection: Connection, row: int) -> None:
    connection.execute("UPDATE marks SET value = max(value, ?) WHERE name = 'rolled'", (row,))
