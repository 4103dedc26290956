"""What a store's rows say of any stretch of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kaizen_processors.store.rows import STEPS, ending_after, select
from kaizen_processors.values import encodable
from kaizen_processors.window_sums import WindowSums
from kaizen_processors.windows import EVERYTHING, SLOT_NS, Group, Window

if TYPE_CHECKING:
    from sqlite3 import Connection

_NS: Final = 10**9

MOST_PERIODS: Final = 100_000
"""More than a year of five minutes."""


class Period(NamedTuple):
    """What a group did in one stretch of time. Times are Unix nanoseconds.

    Attributes:
        start_ns: its beginning.
        end_ns: its end, not part of it.
        sums: what ended in it.
        resolution_s: the longest slot among what was added up: its part may lie up to so long after `end_ns`.
    """

    start_ns: int
    end_ns: int
    sums: WindowSums
    resolution_s: int


def began_ns(connection: Connection) -> int | None:
    """The beginning of the oldest slot; None when there is none."""
    # One look into the index for each step.
    found = [
        number
        for step in STEPS
        for (number,) in connection.execute("SELECT min(number) FROM slots WHERE step = ?", (step,))
        if number is not None
    ]
    return min(found) * SLOT_NS if found else None


def groups_since(connection: Connection, since_ns: int) -> list[Group]:
    """Every pair of agent and model that did something since then."""
    where, given = ending_after(since_ns // SLOT_NS)
    found = connection.execute(
        f"SELECT agent, model FROM names WHERE id IN (SELECT s.name FROM slots s WHERE {where}) ORDER BY 1, 2",  # noqa: S608 - our own
        given,
    )
    return [Group(agent, model) for agent, model in found]


def window_of(connection: Connection, group: Group, window_s: float, now_ns: int) -> Window:
    """Add up what a group did in the last seconds, from the slot on that the first moment falls into."""
    first = (now_ns - int(window_s * _NS)) // SLOT_NS
    where, given = _condition(group, *ending_after(first))
    sums, start = WindowSums(), first
    for _, row in select(connection, where, given):
        sums.merge(row.sums)
        start = min(start, row.number)
    oldest_ns = began_ns(connection)
    since_ns = now_ns if oldest_ns is None else max(start * SLOT_NS, oldest_ns)
    return Window(group, window_s, max(now_ns - since_ns, 0) / _NS, sums)


def history_of(connection: Connection, since_ns: int, until_ns: int, step_s: int, group: Group) -> list[Period]:
    """Cut a stretch of time into periods of `step_s` seconds, whose ends are multiples of it; empty ones among them.

    A slot counts in the period that it begins in.
    """
    if step_s < 1 or until_ns < since_ns:
        raise ValueError(f"periods are at least a second long and end after they begin, not {step_s} s")
    step_ns = step_s * _NS
    first, last = since_ns // step_ns, -(-until_ns // step_ns)
    if last - first > MOST_PERIODS:
        raise ValueError(f"{last - first} periods of {step_s} s are too many; at most {MOST_PERIODS}")
    where, given = _condition(
        group,
        f"s.step IN {STEPS} AND s.number >= ? AND s.number < ?",
        (-(-first * step_ns // SLOT_NS), -(-last * step_ns // SLOT_NS)),
    )
    sums = [WindowSums() for _ in range(first, last)]
    longest = [0] * len(sums)
    for _, row in select(connection, where, given):
        at = row.number * SLOT_NS // step_ns - first
        sums[at].merge(row.sums)
        longest[at] = max(longest[at], row.step * SLOT_NS // _NS)
    return [Period((first + at) * step_ns, (first + at + 1) * step_ns, one, longest[at]) for at, one in enumerate(sums)]


def _condition(group: Group, where: str, given: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    if group == EVERYTHING:
        return where, given
    for column, name in (("n.agent", group.agent), ("n.model", group.model)):
        if name is not None:
            where, given = f"{where} AND {column} = ?", (*given, encodable(name))
    return where, given
