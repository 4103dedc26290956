"""What a worker keeps in the store for others to read, opaque to it: one value of each kind.

A worker that is gone leaves its value behind. Who knows what the values mean may give a function that adds two of them
up: then those of the gone are folded into one, once each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from kaizen_processors.store.processes import workers_of
from kaizen_processors.store.unreadable import Found, set_aside

if TYPE_CHECKING:
    from sqlite3 import Connection

    from kaizen_processors.store.processes import Worker

Fold = Callable[[bytes | None, bytes], bytes]
"""Adds a gone worker's value to those before it (None: there is none yet). What it gives is such a value, too."""

_RETIRED = 0


def put(connection: Connection, worker: int, kind: str, data: bytes, now_ns: int) -> None:
    """Replace a worker's value, within the caller's transaction."""
    connection.execute("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?)", (worker, kind, data, now_ns))


def blobs_of(connection: Connection, kind: str) -> list[tuple[Worker, bytes]]:
    """The value of each worker that has one and was not folded, of living and of gone ones."""
    workers = {worker.id: worker for worker in workers_of(connection)}
    found = connection.execute("SELECT worker, data FROM blobs WHERE kind = ? AND worker > 0 ORDER BY worker", (kind,))
    return [(workers[worker], bytes(data)) for worker, data in found if worker in workers]


def retired_of(connection: Connection, kind: str) -> bytes | None:
    """The folded value of all workers that are gone; None when there is none."""
    found = connection.execute("SELECT data FROM blobs WHERE kind = ? AND worker = ?", (kind, _RETIRED)).fetchone()
    return None if found is None else bytes(found[0])


def fold(connection: Connection, kind: str, add: Fold, now_ns: int) -> int:
    """Fold the values of workers that are gone, within the caller's transaction.

    A value that cannot be added, or to which nothing can, is set aside, and costs itself alone; gives how many.
    """
    gone = [(worker, data) for worker, data in blobs_of(connection, kind) if worker.is_gone(now_ns)]
    if not gone:
        return 0
    folded, lost = retired_of(connection, kind), []
    for worker, data in gone:
        folded, found = _added(add, folded, data)
        if found is not None:
            lost.append(Found(f"blobs/{kind}", worker.id if found.data is data else _RETIRED, found.data, found.why))
        connection.execute("DELETE FROM blobs WHERE kind = ? AND worker = ?", (kind, worker.id))
    if folded is not None:
        put(connection, _RETIRED, kind, folded, now_ns)
    for one in lost:
        set_aside(connection, one, now_ns)
    return len(lost)


class _Lost(NamedTuple):
    data: bytes
    why: Exception


def _added(add: Fold, folded: bytes | None, data: bytes) -> tuple[bytes | None, _Lost | None]:
    """Add a value; what is lost is the value itself, or everything before it where that cannot be read by itself."""
    try:
        return add(folded, data), None
    except Exception as error:  # noqa: BLE001 - whatever it is, the next minute would bring it again
        if folded is None or (why := _unreadable(add, folded)) is None:
            return folded, _Lost(data, error)
        try:
            return add(None, data), _Lost(folded, why)
        except Exception as again:  # noqa: BLE001 - the same
            return folded, _Lost(data, again)


def _unreadable(add: Fold, folded: bytes) -> Exception | None:
    """Why nothing can be added to what was folded, whatever it is."""
    try:
        add(None, folded)
    except Exception as error:  # noqa: BLE001 - the same
        return error
    return None
