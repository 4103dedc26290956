"""What was spent of budgets on this host: every process adds its part, every process can read the sum.

Sums are exact: they are added up in Python's integers, within a transaction, since SQLite's have 64 bits only.

They have a part of the file's room, and no more. Finished periods go first. An agent, user or session that there is no
room for then counts with others of its kind, in one sum for each budget and period: nothing is lost of the whole, and
who reads it knows how much is not told apart.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from kaizen_processors.shared_spending import SpentKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from sqlite3 import Connection

    from kaizen_processors.shared_spending import Part

SHARE_OF_ROOM: Final = 4
"""Sums may take a quarter of the file."""

KEPT_PERIODS: Final = 3
"""Of each budget: when the wall clock is set back, spending goes into the period that it then shows."""

_FORGOTTEN_NS: Final = 125 * 86_400 * 10**9
"""Longer than three months: of a budget that nobody has any more."""

_ENOUGH: Final = 0.75
"""So full may it be before finished periods go that are not old."""

_ROW_BYTES: Final = 120
_BYTES: Final = f"{_ROW_BYTES} + 2 * length(CAST(budget AS BLOB)) + 2 * length(CAST(whose AS BLOB)) + length(units)"
"""What a row takes, with its places in two indexes."""

COUNT_BYTES: Final = f"SELECT coalesce(sum({_BYTES}), 0) FROM spent"  # noqa: S608 - our own names


def add(connection: Connection, parts: Mapping[SpentKey, Part], max_bytes: int) -> dict[SpentKey, int]:
    """Add what was spent, within the caller's transaction.

    A sum that is less than one that a process knows was lost with its file: that process puts it in again.

    Returns:
        The sums; what has none found no room, and was added to the sum of those.
    """
    sums: dict[SpentKey, int] = {}
    together: Counter[SpentKey] = Counter()
    made_room = False
    size_bytes = before_bytes = _size_bytes(connection)
    change = _last_change(connection)
    for key, part in parts.items():
        found = _found(connection, key)
        row_bytes = _ROW_BYTES + 2 * len(f"{key.budget}{key.whose}".encode(errors="replace"))
        if found is None and key.whose and size_bytes + row_bytes > max_bytes and not made_room:
            made_room = True
            size_bytes = _make_room(connection, parts, max_bytes)
        if found is None and key.whose and size_bytes + row_bytes > max_bytes:
            together[key.of_those_without_room()] += part.added
            continue
        size_bytes += 0 if found is not None else row_bytes
        change += 1
        sums[key] = part.added + max(part.known, found or 0)
        _put(connection, key, sums[key], change)
    for key, units in together.items():
        change += 1
        sums[key] = units + (_found(connection, key) or 0)
        _put(connection, key, sums[key], change)
    if size_bytes != before_bytes:
        connection.execute("UPDATE marks SET value = ? WHERE name = 'spent_bytes'", (size_bytes,))
    return sums


def sums_of(connection: Connection, keys: Iterable[SpentKey]) -> dict[SpentKey, int]:
    """Give the sums of these, of those that have one."""
    return {key: units for key in keys if (units := _found(connection, key)) is not None}


def changed_since(connection: Connection, change: int) -> tuple[dict[SpentKey, int], int]:
    """Give the sums that changed after this number, and the number of the last change."""
    found = connection.execute(
        "SELECT budget, whose, began_ns, units, change FROM spent WHERE change > ? ORDER BY change", (change,)
    ).fetchall()
    sums = {
        SpentKey(budget, whose, began_ns): units
        for budget, whose, began_ns, written, _ in found
        if (units := _whole(written)) is not None
    }
    return sums, found[-1][4] if found else change


def spent_in(connection: Connection, periods: Iterable[tuple[str, int]]) -> dict[SpentKey, int]:
    """Give the sums of these budgets, each in the period that began then."""
    return {
        SpentKey(budget, whose, began_ns): units
        for budget, began_ns in periods
        for whose, written in connection.execute(
            "SELECT whose, units FROM spent WHERE budget = ? AND began_ns = ?", (budget, began_ns)
        )
        if (units := _whole(written)) is not None
    }


def keep_small(connection: Connection, now_ns: int, max_bytes: int) -> None:
    """Forget finished periods, within the caller's transaction: the old ones, and where room is scarce all of them.

    The newest row stays: the numbers of changes go on from it.
    """
    for budget, periods in _periods(connection).items():
        past = [began_ns for began_ns in periods if began_ns <= now_ns]
        for began_ns in past[KEPT_PERIODS:]:
            _forget(connection, budget, began_ns)
        if past and past[0] < now_ns - _FORGOTTEN_NS:
            _forget(connection, budget, past[0])
    size_bytes = _make_room(connection, (), max_bytes)
    connection.execute("UPDATE marks SET value = ? WHERE name = 'spent_bytes'", (size_bytes,))


def _make_room(connection: Connection, coming: Iterable[SpentKey], max_bytes: int) -> int:
    """Forget finished periods, the oldest first, until there is some room; gives how much is taken."""
    began = _periods(connection)
    newest = {budget: periods[0] for budget, periods in began.items()}
    for key in coming:
        newest[key.budget] = max(key.began_ns, newest.get(key.budget, 0))
    finished = sorted(
        (began_ns, budget) for budget, periods in began.items() for began_ns in periods if began_ns < newest[budget]
    )
    size_bytes = int(connection.execute(COUNT_BYTES).fetchone()[0])
    for began_ns, budget in finished:
        if size_bytes <= max_bytes * _ENOUGH:
            break
        _forget(connection, budget, began_ns)
        size_bytes = int(connection.execute(COUNT_BYTES).fetchone()[0])
    return size_bytes


def _periods(connection: Connection) -> dict[str, list[int]]:
    """When the periods of each budget began, the newest first."""
    found: dict[str, list[int]] = {}
    for budget, began_ns in connection.execute("SELECT DISTINCT budget, began_ns FROM spent ORDER BY began_ns DESC"):
        found.setdefault(budget, []).append(began_ns)
    return found


def _forget(connection: Connection, budget: str, began_ns: int) -> None:
    connection.execute(
        "DELETE FROM spent WHERE budget = ? AND began_ns = ? AND change < (SELECT max(change) FROM spent)",
        (budget, began_ns),
    )


def _put(connection: Connection, key: SpentKey, units: int, change: int) -> None:
    connection.execute("INSERT OR REPLACE INTO spent VALUES (?, ?, ?, ?, ?)", (*key, str(units), change))


def _found(connection: Connection, key: SpentKey) -> int | None:
    row = connection.execute("SELECT units FROM spent WHERE budget = ? AND whose = ? AND began_ns = ?", key).fetchone()
    return None if row is None else _whole(row[0])


def _whole(written: str) -> int | None:
    """A sum as it is written; None for what makes no sense: it counts as lost, and is put in again."""
    try:
        return int(written)
    except ValueError:
        return None


def _last_change(connection: Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(change), 0) FROM spent").fetchone()[0])


def _size_bytes(connection: Connection) -> int:
    return int(connection.execute("SELECT value FROM marks WHERE name = 'spent_bytes'").fetchone()[0])
