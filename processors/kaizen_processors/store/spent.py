"""What was spent of budgets on this host: every process adds its part, every process can read the sum.

Sums are exact: they are added up in Python's integers, within a transaction, since SQLite's have 64 bits only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from sqlite3 import Connection


class SpentKey(NamedTuple):
    """Of which budget, by whom (empty: by all), in the period that began then (Unix nanoseconds)."""

    budget: str
    whose: str
    began_ns: int


class Part(NamedTuple):
    """What this process has spent and not told yet, and the sum of all processes that it knows of before that."""

    added: int
    known: int


class Purse(Protocol):
    """Who counts what this process spends: the budgets."""

    def parts(self) -> Mapping[SpentKey, Part]:
        """What was spent and not told yet, in 1e-24 USD."""
        ...

    def settle(self, sums: Mapping[SpentKey, int], told: Mapping[SpentKey, Part]) -> None:
        """Learn the sums of all processes, with what was told among them."""
        ...


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
