"""The store that the processes of this host share: whether it can be used, and who uses it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from kaizen_otel.doctor.findings import Finding, error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen_otel.settings import Settings

_MIB: Final = 1 << 20
_RIGHTS: Final = "Give this user the right to write there, or name another file (KAIZEN_OTEL_STORE)."
_DROPPED: Final = 'Their logs say why, once for each reason; so does stats()["delivery"] in them.'
_REMEDIES: Final = {
    "not_ours": "Name another file (KAIZEN_OTEL_STORE): this one is left as it is, and each process goes on alone.",
    "newer_version": "Update kaizen-otel here, or name another file (KAIZEN_OTEL_STORE).",
    "older_version": "Nothing is to be done but to start the application: it brings the store up to date.",
    "corrupt": "Nothing is to be done: the application sets it aside as ….corrupt, and begins a new one.",
    "locked": "Ask again: another process is writing.",
}


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
        yield from _read(path)


def _read(path: Path) -> Iterator[Finding]:
    import sqlite3  # noqa: PLC0415 - loaded when used

    from kaizen_otel.top.gathering import cards_of, delivery_of  # noqa: PLC0415 - loaded when used
    from kaizen_processors.store import StoreReader  # noqa: PLC0415 - loaded when used
    from kaizen_processors.store.database import StoreError, why  # noqa: PLC0415 - loaded when used

    try:
        with StoreReader(path) as reader:
            now_ns = reader.now_ns()
            alive = [worker for worker in reader.workers() if worker.is_alive(now_ns)]
            holder = reader.holder()
            delivered = delivery_of(card for worker, card in cards_of(reader)[0] if worker.is_alive(now_ns))
    except (sqlite3.Error, StoreError, OSError) as failed:
        reason = why(failed).reason
        if reason == "empty":
            yield ok("store", f"the store {path} is empty yet; the application begins it")
            return
        level = warning if reason in {"older_version", "locked"} else error
        remedy = _REMEDIES.get(reason, _RIGHTS)
        yield level("store", f"the store {path} cannot be read ({failed})", remedy, reason=reason)
        return
    size = path.stat().st_size
    judge = "nobody judges" if holder is None else f"process {holder.pid} judges"
    message = f"the store {path} has {len(alive)} workers, {judge}; {size / _MIB:.1f} MiB"
    yield ok("store", message, workers=len(alive), size_bytes=size)
    dropped = {one.signal: one.dropped for one in delivered if one.dropped}
    if dropped:
        said = ", ".join(f"{items:,} {signal}" for signal, items in dropped.items())
        yield warning("delivery", f"the processes that run have dropped telemetry: {said}", _DROPPED, **dropped)
