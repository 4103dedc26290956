"""What makes no sense in a store, taken out of the way of the rest and kept to be looked at: the last of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sqlite3 import Connection

KEPT: Final = 20
_MOST_BYTES: Final = 64 << 10
_MOST_CHARS: Final = 500


class Found(NamedTuple):
    """One of it.

    Attributes:
        source: the table, and the kind of blob.
        worker: whose it was; 0 for what was of several.
        data: what could not be read.
        why: what somebody raised who tried.
    """

    source: str
    worker: int
    data: bytes
    why: Exception


def set_aside(connection: Connection, found: Found, now_ns: int) -> None:
    """Keep the beginning of it, within the caller's transaction, which deletes it where it was."""
    said = f"{type(found.why).__name__}: {found.why}".encode(errors="replace").decode()[:_MOST_CHARS]
    connection.execute(
        "INSERT INTO unreadable (source, worker, why, data, found_ns) VALUES (?, ?, ?, ?, ?)",
        (found.source, found.worker, said, found.data[:_MOST_BYTES], now_ns),
    )
    connection.execute("DELETE FROM unreadable WHERE id <= (SELECT max(id) FROM unreadable) - ?", (KEPT,))
