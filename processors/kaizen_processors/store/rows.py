"""Slots as rows of the store, and back: nothing is lost on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.sketch import LogSketch
from kaizen_processors.slot_rows import SlotRow
from kaizen_processors.values import encodable
from kaizen_processors.window_sums import WindowSums

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from sqlite3 import Connection

SUMS: Final = (
    "success",
    "error",
    "cancelled",
    "model_calls",
    "unpriced_calls",
    "quality_count",
    "input_tokens",
    "output_tokens",
    "cost_units",
    "quality_units",
)
"""The columns of sums, which are the fields of `WindowSums`; the sketch follows them."""

COLUMNS: Final = ", ".join((*SUMS, "latency"))
_INSERT: Final = (
    f"INSERT INTO slots (step, number, worker, name, {COLUMNS}) VALUES ({', '.join('?' * (5 + len(SUMS)))})"  # noqa: S608 - our own names
)
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1

Values = tuple[Any, ...]
"""What a row holds of `WindowSums`."""


def values_of(sums: WindowSums) -> Values:
    """Give what a row holds of these sums."""
    latency = sums.latency.to_bytes() if sums.latency.count else b""
    return (*[_whole(getattr(sums, name)) for name in SUMS], latency)


def sums_of(values: Values) -> WindowSums:
    """Give the sums that a row holds.

    Raises:
        ValueError: they make no sense.
    """
    sums = WindowSums()
    for name, value in zip(SUMS, values, strict=False):
        setattr(sums, name, int(value))
    if values[-1]:
        sums.latency = LogSketch.from_bytes(values[-1])
    return sums


def _whole(number: int) -> int | str:
    """A number as a column without a type keeps it: SQLite's integers have 64 bits."""
    return number if _LEAST <= number <= _MOST else str(number)


class Names:
    """The numbers of agents and models in one file. Learns them within the caller's transaction."""

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[tuple[str, str], int] = {}

    def number(self, connection: Connection, agent: str, model: str) -> int:
        """Give the number of a pair, a new one where there is none."""
        key = (encodable(agent), encodable(model))
        found = self._known.get(key)
        if found is None:
            connection.execute("INSERT OR IGNORE INTO names (agent, model) VALUES (?, ?)", key)
            row = connection.execute("SELECT id FROM names WHERE agent = ? AND model = ?", key).fetchone()
            found = self._known[key] = int(row[0])
        return found

    def forget(self) -> None:
        """Look them up again: another process may have deleted some, or a transaction was rolled back."""
        self._known = {}


def insert(connection: Connection, worker: int, rows: Iterable[tuple[int, int, int, Values]]) -> None:
    """Append rows of (step, number, name, values)."""
    connection.executemany(_INSERT, [(step, number, worker, name, *values) for step, number, name, values in rows])


STEPS: Final = (1, 6, 30, 360)
"""Slots that a row may span."""


def ending_after(number: int) -> tuple[str, tuple[int, ...]]:
    """The condition on rows that end after the beginning of a slot, such that the index finds them."""
    return (
        f"({' OR '.join('(s.step = ? AND s.number > ?)' for _ in STEPS)})",
        tuple(one for step in STEPS for one in (step, number - step)),
    )


def select(connection: Connection, where: str, given: tuple[Any, ...]) -> Iterator[tuple[int, SlotRow]]:
    """Give the rows of a condition on `slots s` and `names n`, each with its id. A senseless one is left out."""
    found = connection.execute(
        f"SELECT s.id, s.step, s.number, n.agent, n.model, {COLUMNS}"  # noqa: S608 - `where` is written by us
        f" FROM slots s JOIN names n ON n.id = s.name WHERE {where}",
        given,
    )
    for row, step, number, agent, model, *values in found:
        try:
            sums = sums_of(tuple(values))
        except (ValueError, TypeError):
            continue
        yield row, SlotRow(step, number, (agent, model), sums)
