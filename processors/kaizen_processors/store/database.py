"""The file of a store: opened, brought up to date, set aside when it is broken. SQLite in WAL mode.

A file that is not ours, or newer, is left as it is.

One connection, for one thread at a time and never over a fork: SQLite's locks belong to the process.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kaizen_processors.store.aside import alone, put_aside
from kaizen_processors.store.header import APPLICATION_ID, Whose, look_at, version_of
from kaizen_processors.store.schema import STEPS, TABLES, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_processors.store.header import Header

BUSY_S: Final = 2.0
"""How long a transaction waits for another process's transaction; then it is tried again with the next beat."""

_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_WAL_BYTES: Final = 4 << 20
_RETRY_S: Final = 0.02
_ATTEMPT_S: Final = 0.1
"""How long SQLite itself waits: then it is known that another process holds the file, and it is tried again."""


class StoreError(RuntimeError):
    """A store cannot be used. `reason` is a word for the counters."""

    def __init__(self, reason: str, what: str) -> None:
        """Hold both."""
        super().__init__(what)
        self.reason = reason


class CorruptStoreError(StoreError):
    """The file is a broken store."""


def check_whose(path: Path, busy_s: float = BUSY_S) -> Header:
    """Look whose a file is, and refuse one that no store can be in. It is only read.

    Raises:
        StoreError: it is something else's, or newer: it must be left as it is.
        OSError, sqlite3.Error: it cannot be read.
    """
    header = look_at(path, busy_s)
    if header.whose is Whose.OTHERS:
        raise _not_ours()
    _check_version(header.version)
    return header


def _not_ours() -> StoreError:
    return StoreError("not_ours", "it is something else's, and left as it is: give another path")


def why(error: BaseException) -> StoreError:
    """What an error of SQLite, or of the file system, means for the store."""
    if isinstance(error, StoreError):
        return error
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _CORRUPT or (isinstance(error, sqlite3.DatabaseError) and "no such table" in str(error)):
        return CorruptStoreError("corrupt", str(error))
    reasons = {
        sqlite3.SQLITE_BUSY: "locked",
        sqlite3.SQLITE_LOCKED: "locked",
        sqlite3.SQLITE_FULL: "full",
        sqlite3.SQLITE_READONLY: "read_only",
        sqlite3.SQLITE_PERM: "permission",
        sqlite3.SQLITE_CANTOPEN: "cannot_open",
        sqlite3.SQLITE_IOERR: "io_error",
    }
    if isinstance(error, PermissionError):
        return StoreError("permission", str(error))
    if isinstance(error, OSError):
        return StoreError("cannot_open", str(error))
    return StoreError(reasons.get(code, name), str(error))


class Database:
    """One process's connection to the file of a store.

    Args:
        path: the file; its folder is made.
        busy_s: how long a transaction waits for other processes.

    Attributes:
        held_up: whether one waits for them just now: may be asked by any thread.
    """

    def __init__(self, path: Path, busy_s: float = BUSY_S) -> None:
        """Open nothing yet."""
        self.path = path
        self._busy_s = busy_s
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._torn = False
        self.held_up = False
        self._until_s: float | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection.

        Raises:
            StoreError: there is none.
        """
        if self._connection is None:
            raise StoreError("closed", "the store is not open")
        return self._connection

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, to the file that is there now: not to one that was moved or deleted."""
        return self._connection is not None and self._opened == _identity(self.path)

    def open(self) -> None:
        """Open the file, made where there is none, and bring it up to date.

        Raises:
            StoreError: it cannot be used, and why.
        """
        if self._torn:
            raise StoreError("forked", "this process was forked while its parent was using the file")
        self.close()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _make_private(self.path)
            check_whose(self.path, self._busy_s)
            connection = self._connection = sqlite3.connect(
                self.path, timeout=min(self._busy_s, _ATTEMPT_S), isolation_level=None, check_same_thread=False
            )
            self._prepare(connection)
            self._opened = _identity(self.path)
        except (sqlite3.Error, OSError, StoreError) as error:
            self.close()
            raise why(error) from error

    def close(self) -> None:
        """Let go of the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def abandon(self) -> None:
        """Forget a connection that a fork copied, without closing it: closing would touch the parent's file.

        SQLite believes then, in this process, that it holds the parent's locks: through another connection it would see
        the file locked for ever, or broken. So it is opened no more.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            self._torn = True
            import ctypes  # noqa: PLC0415 - rarely: mostly it is closed before the fork

            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A transaction that reads: the state of one moment."""
        connection = self.connection
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes: all of it, or nothing."""
        connection = self.connection
        self._begin(connection)
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Begin to write, when other processes let us."""
        since_s = time.monotonic()
        try:
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError as error:
                    if why(error).reason != "locked" or self._is_too_long(since_s):
                        raise
                    self.held_up = True
                else:
                    return
        finally:
            self.held_up = False

    def hurry(self, within_s: float) -> None:
        """Wait for other processes until so many seconds from now, for all that comes: it is the end.

        What was said before is only ever shortened.
        """
        until_s = time.monotonic() + within_s
        self._until_s = until_s if self._until_s is None else min(self._until_s, until_s)

    def _is_too_long(self, since_s: float) -> bool:
        until_s = since_s + self._busy_s if self._until_s is None else self._until_s
        return time.monotonic() >= until_s

    def size_bytes(self) -> int:
        """What the file and its log take on the disk."""
        total = 0
        for suffix in ("", "-wal"):
            with contextlib.suppress(OSError):
                total += Path(f"{self.path}{suffix}").stat().st_size
        return total

    def used_bytes(self) -> int:
        """What is in use of the file: deleted rows leave room that is filled again."""
        (pages,) = self.connection.execute("PRAGMA page_count").fetchone()
        (free,) = self.connection.execute("PRAGMA freelist_count").fetchone()
        (size,) = self.connection.execute("PRAGMA page_size").fetchone()
        return int((pages - free) * size)

    def set_aside(self) -> str | None:
        """Put a broken file out of the way, as `<name>.corrupt`. None where another process did so already.

        Raises:
            StoreError: it is not ours.
            OSError: it cannot be renamed.
        """
        self.close()
        with alone(self.path):
            return None if self._is_sound() else put_aside(self.path)

    def _is_sound(self) -> bool:
        try:
            if check_whose(self.path, self._busy_s).whose is Whose.NOBODYS:
                return True
            with contextlib.closing(sqlite3.connect(self.path, timeout=self._busy_s)) as connection:
                (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                version = version_of(connection)
                return answer == "ok" and _has_tables(connection, version)
        except sqlite3.Error as error:
            return not isinstance(why(error), CorruptStoreError)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = version_of(connection)
        _check_version(version)
        if version == 0:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if version < VERSION:
            self._migrate()  # before there is a log: the file itself says from the beginning whose it is
        self._use_wal(connection)
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        since_s = time.monotonic()
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                # SQLite does not wait here when two processes switch the mode at once.
                if why(error).reason != "locked" or self._is_too_long(since_s):
                    raise
                time.sleep(_RETRY_S)
            else:
                return

    def _migrate(self) -> None:
        with self.write() as connection:
            version = version_of(connection)  # another process may have been faster
            if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise _not_ours()
            for step in STEPS[version:]:
                for statement in step:
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {max(version, VERSION)}")


def _make_private(path: Path) -> None:
    """Make the file for its owner alone, where there is none: it names users and sessions. Its log will be like it."""
    # Never on one that exists: closing it here would drop the locks that SQLite holds on it in this process.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _check_version(version: int) -> None:
    if version > VERSION:
        raise StoreError(
            "newer_version",
            f"it has version {version} of the tables, and this kaizen-otel knows {VERSION}: update it, or give "
            "another path",
        )


def _has_tables(connection: sqlite3.Connection, version: int) -> bool:
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return found.issuperset(name for step in TABLES[:version] for name in step)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
