"""What workers keep in their store for the sum of their host, and how it is read there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from kaizen_processors.host_metrics.merging import retire
from kaizen_processors.host_metrics.packing import PackedError, pack, unpack
from kaizen_processors.host_metrics.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from kaizen_processors.fence import Fence
    from kaizen_processors.store.processes import Worker

METRICS: Final = "metrics"
"""The kind of value that a worker keeps: its last reading, packed."""


class Others(NamedTuple):
    """What the other workers said last, and what those that are gone had counted."""

    living: list[Reading]
    retired: Reading | None


def others_of(
    values: Iterable[tuple[Worker, bytes]], retired: bytes | None, own: Collection[int], now_ns: int, fence: Fence
) -> Others:
    """Read what a store has. What cannot be read is counted, and left out.

    Args:
        values: what each worker said last.
        retired: what those that are gone had counted.
        own: this process's own numbers, which are left out.
        now_ns: wall clock.
        fence: counts what cannot be read.
    """
    living: list[Reading] = []
    gone: Reading | None = None
    with fence("host_metrics.unpack"):
        gone = None if retired is None else unpack(retired)
    for worker, packed in values:
        with fence("host_metrics.unpack"):
            if worker.id in own:
                continue
            if worker.is_alive(now_ns):
                living.append(unpack(packed))
            else:  # not folded yet
                gone = retire(gone, unpack(packed))
    return Others(living, gone)


def fold_with(fence: Fence) -> Callable[[bytes | None, bytes], bytes]:
    """Give what folds the last reading of a worker that is gone into those before it."""

    def fold(folded: bytes | None, gone: bytes) -> bytes:
        kept: Reading | None = None
        try:
            kept = None if folded is None else unpack(folded)
        except PackedError as error:  # damaged: it cannot be mended, and would never be again
            fence.caught("host_metrics.unpack", error)
        try:
            return pack(retire(kept, unpack(gone)))
        except PackedError as error:
            fence.caught("host_metrics.unpack", error)
            return pack(Reading(0) if kept is None else kept)

    return fold
