"""Which store a command is about: a process, a file, or the one application that runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import typer

if TYPE_CHECKING:
    from kaizen_processors.store import StoreReader

_SWITCH_ON: Final = "kaizen_otel.instrument(store=True), or KAIZEN_OTEL_STORE=true in its environment"

FAILED: Final = 2
"""Exit status when there is no store to be read."""


def store_named(which: str | None) -> Path:
    """Find the store of a pid, a file, or the one application of this user that runs.

    Ends the command with a message where there is none.
    """
    return _only_running() if which is None else _store_of(which)


def open_store(path: Path) -> StoreReader:
    """Open a store; ends the command with a message where that cannot be done."""
    from kaizen_processors.store import StoreError, StoreReader  # noqa: PLC0415 - when used

    try:
        return StoreReader(path)
    except FileNotFoundError:
        fail(f"{path}: there is no such file; an application keeps its store where it was told: {_SWITCH_ON}")
    except (StoreError, OSError) as error:
        fail(f"{path}: {error}")


def fail(message: str) -> NoReturn:
    """End the command with a message."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(FAILED)


def _store_of(which: str) -> Path:
    if not which.isdecimal():
        return Path(which)
    from kaizen_processors.store import store_of_pid  # noqa: PLC0415 - when used
    from kaizen_processors.store.processes import birth_of  # noqa: PLC0415 - when used

    pid = int(which)
    found = store_of_pid(pid)
    if found is None and birth_of(pid) is None:
        fail(f"there is no process {pid}")
    if found is None:
        fail(f"process {pid} has no store, or is another user's; switch it on there: {_SWITCH_ON}")
    return found


def _only_running() -> Path:
    from kaizen_processors.store import stores_of_running  # noqa: PLC0415 - when used

    stores = stores_of_running()
    if not stores:
        fail(f"no application of yours that keeps a store is running; name a file, or switch it on: {_SWITCH_ON}")
    paths = sorted(stores)
    if len(paths) == 1:
        return paths[0]
    lines = [
        f"{number:>3}  {path}  (pid {', '.join(str(pid) for pid in stores[path])})"
        for number, path in enumerate(paths, start=1)
    ]
    typer.echo("\n".join(lines), err=True)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail(f"{len(paths)} applications are running; name a pid or a file")
    number = int(typer.prompt("which", type=int, err=True))
    if not 1 <= number <= len(paths):
        fail(f"there is no {number} in the list")
    return paths[number - 1]
