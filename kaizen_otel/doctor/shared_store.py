"""The store that the processes of this host share: whether it can be used, and who uses it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from kaizen_otel.doctor.findings import Finding, error, ok

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen_otel.settings import Settings

_MIB: Final = 1 << 20
_RIGHTS: Final = "Give this user the right to write there, or name another file (KAIZEN_OTEL_STORE)."
_OTHER: Final = "Update kaizen-otel where it is older, or name another file (KAIZEN_OTEL_STORE)."


def check_store(settings: Settings) -> Iterator[Finding]:
    """Findings about the file of the store. It is only read."""
    path = settings.store
    if path is None:
        return
    folder = path.absolute().parent
    nearest = next(one for one in (folder, *folder.parents) if one.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        yield error("store", f"the folder of the store {path} cannot be written to", _RIGHTS)
    elif not path.exists():
        yield ok("store", f"the store {path} is not there yet; it will be made")
    elif not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
        yield error("store", f"the store {path} is no file that can be written to", _RIGHTS)
    else:
        yield _read(path)


def _read(path: Path) -> Finding:
    import sqlite3  # noqa: PLC0415 - loaded when used

    from kaizen_processors.store import StoreError, StoreReader  # noqa: PLC0415 - loaded when used

    try:
        with StoreReader(path) as reader:
            now_ns = reader.now_ns()
            alive = [worker for worker in reader.workers() if worker.is_alive(now_ns)]
            holder = reader.holder()
    except (sqlite3.Error, StoreError) as failed:
        return error("store", f"the store {path} cannot be read ({failed})", _OTHER)
    size = path.stat().st_size
    judge = "nobody judges" if holder is None else f"process {holder.pid} judges"
    message = f"the store {path} has {len(alive)} workers, {judge}; {size / _MIB:.1f} MiB"
    return ok("store", message, workers=len(alive), size_bytes=size)
