"""What was spent of budgets on this host: every process adds its part, every process can read the sum.

Sums are exact: they are added up in Python's integers, within a transaction, since SQLite's have 64 bits only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_processors.shared_spending import SpentKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from sqlite3 import Connection

    from kaizen_processors.shared_spending import Part


def add(connection: Connection, parts: Mapping[SpentKey, Part]) -> dict[SpentKey, int]:
    """Add what was spent, within the caller's transaction; gives the sums.

    A sum that is less than one that a process knows was lost with its file: that process puts it in again.
    """
    (change,) = connection.execute("SELECT coalesce(max(change), 0) FROM spent").fetchone()
    sums = {}
    for key, part in parts.items():
        change += 1
        found = connection.execute(
            "SELECT units FROM spent WHERE budget = ? AND whose = ? AND began_ns = ?", key
        ).fetchone()
        sums[key] = part.added + max(part.known, 0 if found is None else int(found[0]))
        connection.execute("INSERT OR REPLACE INTO spent VALUES (?, ?, ?, ?, ?)", (*key, str(sums[key]), change))
    return sums


def changed_since(connection: Connection, change: int) -> tuple[dict[SpentKey, int], int]:
    """Give the sums that changed after this number, and the number of the last change."""
    found = connection.execute(
        "SELECT budget, whose, began_ns, units, change FROM spent WHERE change > ? ORDER BY change", (change,)
    ).fetchall()
    sums = {SpentKey(budget, whose, began_ns): int(units) for budget, whose, began_ns, units, _ in found}
    return sums, found[-1][4] if found else change


def drop_before(connection: Connection, began_ns: int) -> None:
    """Forget periods that began before. The newest row stays: the numbers of changes go on from it."""
    connection.execute("DELETE FROM spent WHERE began_ns < ? AND change < (SELECT max(change) FROM spent)", (began_ns,))


def spent_in(connection: Connection, keys: Iterable[tuple[str, int]]) -> dict[SpentKey, int]:
    """Give the sums of these budgets and periods."""
    return {
        SpentKey(budget, whose, began_ns): int(units)
        for budget, began_ns in keys
        for whose, units in connection.execute(
            "SELECT whose, units FROM spent WHERE budget = ? AND began_ns = ?", (budget, began_ns)
        )
    }
