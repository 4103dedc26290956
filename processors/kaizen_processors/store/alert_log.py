"""Which alerts there were: each raising with when it began, and when it was over. Bounded in time, number and bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from sqlite3 import Connection

SHARE_OF_ROOM: Final = 8
"""They may take an eighth of the file."""

MOST: Final = 10_000
_ROW_BYTES: Final = 200


def record(connection: Connection, alerts: Iterable[Mapping[str, Any]]) -> None:
    """Write down how alerts stand, within the caller's transaction. To write the same again changes nothing."""
    connection.executemany(
        "INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?)",
        [(one["id"], one["starts_at_ns"], one["ends_at_ns"], json.dumps(one, separators=(",", ":"))) for one in alerts],
    )


def alerts_between(connection: Connection, since_ns: int, until_ns: int) -> list[dict[str, Any]]:
    """Give the alerts that fired at some time of a stretch, those that began first first.

    One without an end fires still, or nobody was there to see its end. What cannot be read is left out.
    """
    found = connection.execute(
        "SELECT json FROM alerts WHERE began_ns < ? AND (ended_ns IS NULL OR ended_ns >= ?) ORDER BY began_ns, id",
        (until_ns, since_ns),
    )
    alerts = []
    for (text,) in found:
        try:
            one = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(one, dict):
            alerts.append(one)
    return alerts


def keep_small(connection: Connection, oldest_ns: int, max_bytes: int) -> int:
    """Forget what was over before the history begins, and the oldest beyond the bounds; gives how many of these."""
    connection.execute("DELETE FROM alerts WHERE began_ns < ? AND coalesce(ended_ns, 0) < ?", (oldest_ns, oldest_ns))
    beyond = connection.execute(
        "SELECT id FROM (SELECT id, row_number() OVER young AS number,"
        " sum(length(CAST(json AS BLOB)) + ?) OVER young AS bytes FROM alerts"
        " WINDOW young AS (ORDER BY began_ns DESC, id ROWS UNBOUNDED PRECEDING)) WHERE number > ? OR bytes > ?",
        (_ROW_BYTES, MOST, max_bytes),
    ).fetchall()
    connection.executemany("DELETE FROM alerts WHERE id = ?", beyond)
    return len(beyond)
