"""Broken files of stores, put out of the way."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kaizen_processors import lock_file
from kaizen_processors.store.header import Whose, look_at

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT: Final = 5
"""How many broken files of one store are kept; then the oldest goes."""

_WITH_IT: Final = ("-wal", "-shm")


def put_aside(path: Path) -> str:
    """Rename a broken store to `<name>.corrupt`, or `<name>.corrupt.2` and so on; its name is given back.

    Raises:
        OSError: it cannot be renamed.
    """
    earlier = _earlier(path)
    number = earlier[-1][0] + 1 if earlier else 1
    aside = Path(f"{path}.corrupt" if number == 1 else f"{path}.corrupt.{number}")
    path.rename(aside)
    for suffix in _WITH_IT:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    for _, old in earlier[: max(len(earlier) + 1 - KEPT, 0)]:
        _forget(old)
    return aside.name


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time, by a lock on `<name>.lock`, which is there for as long."""
    lock = Path(f"{path}.lock")
    held = lock_file.take(lock)
    try:
        yield
    finally:
        lock_file.give_back(lock, held)


def _earlier(path: Path) -> list[tuple[int, Path]]:
    """What has such a name, the oldest first."""
    name = re.compile(re.escape(path.name) + r"\.corrupt(?:\.([1-9]\d{0,8}))?")
    found = ((name.fullmatch(one.name), one) for one in path.parent.iterdir())
    return sorted((int(match[1] or 1), one) for match, one in found if match)


def _forget(old: Path) -> None:
    """Delete what was put aside, unless it is something of the user's that has such a name."""
    with contextlib.suppress(OSError):
        if look_at(old, 0.0).whose in {Whose.OURS, Whose.BROKEN}:
            for suffix in ("", *_WITH_IT):
                Path(f"{old}{suffix}").unlink(missing_ok=True)
