"""Encodes and compresses items on a thread of its own, as soon as they come: spans in memory are 27 times larger."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, TypeVar

from kaizen_processors.clock import LONGEST_WAIT_S
from kaizen_processors.export.accounts import DropReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_processors.export.backlog import Backlog
    from kaizen_processors.export.batch import BatchEncoder, Cutter, SealedBatch
    from kaizen_processors.export.settings import DeliverySettings
    from kaizen_processors.export.spool import Spool
    from kaizen_processors.fence import Fence

Item = TypeVar("Item")


class Packer(Generic[Item]):
    """Takes items out of the backlog's buffer and puts sealed batches back.

    A batch is sealed when it holds enough items or bytes, when its first item has waited long enough, or when somebody
    flushes.
    """

    def __init__(
        self,
        backlog: Backlog[Item],
        new_encoder: Callable[[], BatchEncoder[Item]],
        cutter: Cutter,
        settings: DeliverySettings,
        fence: Fence,
        spool: Spool | None = None,
    ) -> None:
        """Pack for this backlog; what finds no room goes to the spool, if there is one."""
        self._backlog = backlog
        self._new_encoder = new_encoder
        self._cutter = cutter
        self._settings = settings
        self._fence = fence
        self._spool = spool
        self._begin()

    def _begin(self) -> None:
        self._encoder: BatchEncoder[Item] | None = None
        self._added = 0
        self._consumed = 0
        self._opened_s = 0.0

    def run(self) -> None:
        """Pack until the backlog has ended."""
        self._opened_s = time.monotonic()
        try:
            while not self._backlog.ended:
                self._wait()
                self.pack()
        finally:
            # Whatever ended this thread: what it held is accounted for, and its successor begins with a clean table.
            self._begin()
            self._backlog.packer_died()

    def pack(self) -> None:
        """Pack what is there now, and seal what is due."""
        backlog = self._backlog
        end = backlog.accepted
        while chunk := backlog.take(end):
            if backlog.full and not backlog.closing and self._spool is None:
                # No room for what they would become: not worth encoding.
                backlog.drop(len(chunk), DropReason.QUEUE_FULL)
                self._consumed += len(chunk)
            else:
                for item in chunk:
                    self._add(item)
        late = time.monotonic() - self._opened_s >= self._settings.interval_s
        if self._consumed and (late or backlog.flush_wanted):
            self._seal()

    def _add(self, item: Item) -> None:
        encoder = self._encoder
        if encoder is None:
            encoder = self._encoder = self._new_encoder()
        self._consumed += 1
        try:
            encoder.add(item)
        except Exception as error:  # noqa: BLE001 - one item that cannot be written costs only itself
            self._fence.caught("delivery.encode", error)
            self._backlog.drop(1, DropReason.ENCODING)
            return
        self._added += 1
        if self._added >= self._settings.batch_items or encoder.size_bytes >= self._settings.batch_bytes:
            self._seal()

    def _seal(self) -> None:
        encoder, added, consumed, backlog = self._encoder, self._added, self._consumed, self._backlog
        batches: list[SealedBatch] = []
        if encoder is not None and added:
            try:
                batches = self._sealed(encoder, added)
            except Exception as error:  # noqa: BLE001 - the batch is lost, counted, and the next one gets its chance
                self._fence.caught("delivery.seal", error)
                backlog.drop(added, DropReason.ENCODING)
        for batch in batches:
            if backlog.offer(batch):
                continue
            if self._spool is not None and self._spool.append(batch.payload, batch.encoding, batch.items):
                backlog.settle(batch, spooled=batch.items)
            else:
                backlog.settle(batch, dropped=batch.items, reason=DropReason.QUEUE_FULL)
        backlog.pass_by(consumed)
        self._begin()
        self._opened_s = time.monotonic()

    def _sealed(self, encoder: BatchEncoder[Item], added: int) -> list[SealedBatch]:
        encoded = encoder.finish()
        left_out = added - encoded.items
        for reason, items in encoded.dropped.items():
            told = min(items, left_out)
            self._backlog.drop(told, reason)
            left_out -= told
        self._backlog.drop(left_out, DropReason.ENCODING)
        if not encoded.items:
            return []
        return self._cutter.sealed(encoded, self._backlog.unsealed_from)

    def _wait(self) -> None:
        """Wait until enough items are there, the first of them has waited long enough, or somebody flushes.

        Not for each item: a thread that wakes for every span takes the interpreter from the one that makes them.
        """
        backlog = self._backlog
        with backlog.lock:
            while not backlog.ended:
                waiting = len(backlog.buffer)
                if not (waiting or self._consumed):
                    backlog.packer_idle = True
                    backlog.packer_wake.wait()
                    backlog.packer_idle = False
                    self._opened_s = time.monotonic()
                    continue
                left_s = self._opened_s + self._settings.interval_s - time.monotonic()
                if backlog.pack_wanted or left_s <= 0 or backlog.flush_wanted:
                    return
                backlog.packer_wake.wait(min(left_s, LONGEST_WAIT_S))
