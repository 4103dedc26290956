"""The state of alerts, in the store instead of a file: what the evaluator saves, its successor reads."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from sqlite3 import Connection

    from kaizen_processors.store.store import Store

_logger = logging.getLogger("kaizen_otel")


def section_of(connection: Connection, name: str) -> dict[str, Any]:
    """What was saved last under this name; empty when nothing was, or nothing that can be read."""
    found = connection.execute("SELECT json FROM sections WHERE name = ?", (name,)).fetchone()
    if found is None:
        return {}
    try:
        section = json.loads(found[0])
    except (ValueError, RecursionError):
        _logger.error("the store's section %s cannot be read; starting without it", name)  # noqa: TRY400 - no traceback
        return {}
    return section if isinstance(section, dict) else {}


def save_section(connection: Connection, name: str, section: Mapping[str, Any], now_ns: int) -> None:
    """Replace it, within the caller's transaction."""
    text = json.dumps(section, separators=(",", ":"))
    connection.execute("INSERT OR REPLACE INTO sections VALUES (?, ?, ?)", (name, text, now_ns))


class StoredState:
    """An `AlertState` of the process that holds the lease. It saves nothing any more when another one has taken it."""

    may_wait = True

    def __init__(self, store: Store) -> None:
        """Keep it there."""
        self._store: Store | None = store

    def section(self, name: str) -> dict[str, Any]:
        """What was saved last under this name, by whoever held the lease; empty when nothing was."""
        return {} if self._store is None else self._store.section(name)

    def save(self, name: str, section: Mapping[str, Any], news: Iterable[Mapping[str, Any]] = ()) -> None:
        """Replace one section, and write down which alerts began or are over.

        Raises:
            StoreError: another process holds the lease, or the store cannot be written to.
        """
        if self._store is not None:
            self._store.save_section(name, section, news)

    def close(self) -> None:
        """Save no more."""
        self._store = None

    def after_fork_in_child(self) -> None:
        """Leave it to the parent."""
        self._store = None
