"""Whose a file is: looked at before anything is done to it, and without leaving anything beside it."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION_ID: Final = 0x4B41_4F54
"""`KAOT`, in the header of every store."""

_MAGIC: Final = b"SQLite format 3\x00"
_HEADER_BYTES: Final = 100
_ID_AT: Final = slice(68, 72)  # https://www.sqlite.org/fileformat2.html#application_id
_BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_CHUNK_BYTES: Final = 1 << 20


class Whose(Enum):
    """Whose a file is."""

    NOBODYS = auto()
    """There is none, or it is empty, or a database without tables: a store may begin there."""
    OURS = auto()
    BROKEN = auto()
    """Ours by its header, and SQLite cannot read it; or nothing but zeros, what a crash of the machine leaves."""
    OTHERS = auto()


class Header(NamedTuple):
    """What a file says of itself.

    Attributes:
        whose: whose it is.
        version: of the tables, where it is ours and can be read; else 0.
    """

    whose: Whose
    version: int = 0


def look_at(path: Path, busy_s: float) -> Header:
    """Look at a file, which changes nothing.

    Raises:
        OSError: it is no file, or cannot be read.
        sqlite3.Error: it cannot be read now.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return Header(Whose.NOBODYS)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{path} is no regular file")  # a pipe would be waited for
    if not found.st_size:
        return Header(Whose.NOBODYS)
    try:
        return _asked(path, busy_s)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _BROKEN:
            raise
        return Header(_guessed(path))


def connect_to_read(path: Path, busy_s: float) -> tuple[sqlite3.Connection, bool]:
    """A connection that changes nothing, and whether it sees the file as it is now and never again.

    Without a log beside it nobody writes to a store: SQLite makes `-wal` and `-shm` itself for every reader, unless
    it is told that nothing changes. Where there is a log they are a writer's, living or killed.
    """
    alone = not os.path.lexists(f"{path}-wal")
    way = "immutable=1" if alone else "mode=ro"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{way}", uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False
    )
    return connection, alone


def application_id_of(connection: sqlite3.Connection) -> int:
    """Which application the file says it belongs to; 0 where it does not say."""
    return int(connection.execute("PRAGMA application_id").fetchone()[0])


def version_of(connection: sqlite3.Connection) -> int:
    """How many steps the tables have behind them."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _asked(path: Path, busy_s: float) -> Header:
    # By SQLite, not by reading: closing the file ourselves would drop the locks that it holds on it in this process.
    with closing(connect_to_read(path, busy_s)[0]) as connection:
        application_id, version = application_id_of(connection), version_of(connection)
        if application_id == APPLICATION_ID:
            return Header(Whose.OURS, version)
        if application_id or version or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return Header(Whose.OTHERS)
        return Header(Whose.NOBODYS)


def _guessed(path: Path) -> Whose:
    """Whose a file is that SQLite cannot read."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
        if head.startswith(_MAGIC) and head[_ID_AT] == APPLICATION_ID.to_bytes(4, "big"):
            return Whose.BROKEN
        chunk = head
        while chunk:
            if chunk.strip(b"\x00"):
                return Whose.OTHERS
            chunk = file.read(_CHUNK_BYTES)
    return Whose.BROKEN
