"""What waits for delivery, and the accounts of it: the one place that producers, packer and courier share.

Every accepted item has a place in one order. Items wait in a small buffer, then in a batch being packed, then in
sealed batches; the courier settles batches from the front. So one number, the place of the oldest unsettled item, says
whether everything before a flush has ended.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from kaizen_processors.clock import LONGEST_WAIT_S
from kaizen_processors.export.accounts import Accounts, DeliveryCounts, DropReason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kaizen_processors.export.batch import SealedBatch
    from kaizen_processors.export.settings import DeliverySettings

Item = TypeVar("Item")


class Backlog(Generic[Item]):
    """Bounded in items and their bytes before packing, in compressed bytes after it. All attributes belong to `lock`.

    Args:
        settings: The bounds, and how many items or bytes wake the packer.
        weigh: About how many bytes an item holds.
    """

    def __init__(self, settings: DeliverySettings, weigh: Callable[[Item], int]) -> None:
        """Start empty."""
        # Reentrant: the garbage collector may end an abandoned span while this thread holds the lock.
        self.lock = threading.RLock()
        self.packer_wake = threading.Condition(self.lock)
        self.courier_wake = threading.Condition(self.lock)
        self._settled = threading.Condition(self.lock)
        self.accounts = Accounts()
        self.buffer: deque[Item] = deque()
        self.sealed: deque[SealedBatch] = deque()
        self.sealed_bytes = 0
        self.full = False
        self.accepted = 0
        self.flush_to = 0
        self.packer_idle = False
        self.closing = False
        self.close_by_s = 0.0
        self.gave_up = False
        self.ended = False
        self._taken = 0
        self._unsealed_from = 0
        self._weigh = weigh
        self._weights: deque[int] = deque()
        self._buffer_bytes = 0
        self._chunk_bytes = 0
        self._max_items = settings.handover_items
        self._max_waiting_bytes = settings.handover_bytes
        self._max_weight = settings.handover_bytes // 2
        self._max_bytes = settings.queue_bytes
        self._wake_at = settings.wake_items
        self._wake_bytes = settings.batch_bytes

    # -- producers ------------------------------------------------------------------------------------------------

    def put(self, item: Item) -> bool:
        """Hand an item over; False when it was dropped at once (and counted)."""
        # Whatever an item holds, the other half of the room is for others: it is cut when it is encoded.
        weight = min(self._weigh(item), self._max_weight)
        with self.lock:
            accounts, buffer = self.accounts, self.buffer
            accounts.put += 1
            if self.closing:
                accounts.drop(1, DropReason.SHUTDOWN)
                return False
            held = self._buffer_bytes + self._chunk_bytes
            if len(buffer) >= self._max_items or (held and held + weight > self._max_waiting_bytes):
                accounts.drop(1, DropReason.QUEUE_FULL)
                return False
            buffer.append(item)
            self._weights.append(weight)
            self._buffer_bytes += weight
            self.accepted += 1
            if self.packer_idle or len(buffer) >= self._wake_at or self._buffer_bytes >= self._wake_bytes:
                self.packer_wake.notify()
        return True

    # -- the packer -----------------------------------------------------------------------------------------------

    def take(self, end: int) -> list[Item]:
        """Items that wait to be packed, in their order, none of the place `end` or later; empty when there are none.

        No more at once than a batch may hold or so: what is taken still counts as waiting until the next call, and the
        more is let go of one by one, the earlier there is room for others.
        """
        with self.lock:
            self._chunk_bytes = 0
            buffer, weights, wanted = self.buffer, self._weights, end - self._taken
            if len(buffer) <= wanted and self._buffer_bytes <= self._wake_bytes:
                chunk = list(buffer)
                self._chunk_bytes, self._buffer_bytes = self._buffer_bytes, 0
                buffer.clear()
                weights.clear()
            else:
                chunk = []
                while buffer and len(chunk) < wanted and self._chunk_bytes < self._wake_bytes:
                    chunk.append(buffer.popleft())
                    self._chunk_bytes += weights.popleft()
                self._buffer_bytes -= self._chunk_bytes
            self._taken += len(chunk)
            return chunk

    @property
    def pack_wanted(self) -> bool:
        """Whether so much waits to be packed that it should not wait longer."""
        return len(self.buffer) >= self._wake_at or self._buffer_bytes >= self._wake_bytes

    @property
    def waiting_bytes(self) -> int:
        """About how many bytes the items hold that are not packed yet."""
        return self._buffer_bytes + self._chunk_bytes

    @property
    def flush_wanted(self) -> bool:
        """Whether somebody waits for an item that is not in a sealed batch yet."""
        return self.closing or self.flush_to > self._unsealed_from

    @property
    def unsealed_from(self) -> int:
        """The place of the first item that is not in a sealed batch."""
        return self._unsealed_from

    def drop(self, items: int, reason: str) -> None:
        """Count packed or unpacked items as given up; their places are passed by `seal`."""
        with self.lock:
            if not self.ended:
                self.accounts.drop(items, reason)

    def offer(self, batch: SealedBatch) -> bool:
        """Queue a sealed batch; False when there is no room for it: the newest give way. One always finds room."""
        with self.lock:
            size = batch.size_bytes
            # Once full, a smaller batch must not slip in past a larger one: room is made by settling only.
            if self.sealed and (self.full or self.sealed_bytes + size > self._max_bytes):
                self.full = True
                return False
            if not self.ended:
                self.sealed.append(batch)
                self.sealed_bytes += size
                self.courier_wake.notify()
            return True

    def pass_by(self, consumed: int) -> None:
        """Say that the next `consumed` items are in sealed batches, or have ended."""
        with self.lock:
            self._unsealed_from += consumed
            self._settled.notify_all()

    def packer_died(self) -> None:
        """Account for what a packer held that did not live to seal it."""
        with self.lock:
            self._chunk_bytes = 0
            lost = self._taken - self._unsealed_from
            self._unsealed_from = self._taken
            self.drop(lost, DropReason.FAILED)
            self._settled.notify_all()

    # -- the courier ----------------------------------------------------------------------------------------------

    def replace(self, batch: SealedBatch, parts: Sequence[SealedBatch]) -> None:
        """Put the parts of the foremost batch in its place."""
        with self.lock:
            if self.ended or batch.settled:
                return
            batch.settled = True
            self.sealed.popleft()
            self.sealed.extendleft(reversed(parts))
            self.sealed_bytes += sum(part.size_bytes for part in parts) - batch.size_bytes

    def settle(
        self, batch: SealedBatch, *, exported: int = 0, spooled: int = 0, dropped: int = 0, reason: str = ""
    ) -> None:
        """Say how the items of a sealed batch ended. Said twice, the first word counts."""
        with self.lock:
            if self.ended or batch.settled:
                return
            batch.settled = True
            if self.sealed and self.sealed[0] is batch:
                self.sealed.popleft()
                self.sealed_bytes -= batch.size_bytes
                self.full = False
            self.accounts.exported += exported
            self.accounts.spooled += spooled
            self.accounts.drop(dropped, reason)
            self._settled.notify_all()

    def give_up(self) -> None:
        """Say that nothing more will be delivered before the end."""
        with self.lock:
            self.gave_up = True
            self._settled.notify_all()

    # -- whoever waits --------------------------------------------------------------------------------------------

    def oldest(self) -> int:
        """The place of the oldest item that has not ended."""
        return self.sealed[0].first_seq if self.sealed else self._unsealed_from

    def request_flush(self) -> int:
        """Have everything packed at once that was accepted so far; gives the place behind it."""
        with self.lock:
            self.flush_to = self.accepted
            self.packer_wake.notify_all()
            return self.accepted

    def head(self, deadline_s: float) -> SealedBatch | None:
        """The foremost sealed batch, as soon as there is one; None when all has ended or the deadline has come."""
        with self.lock:
            while not self.sealed:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or self.ended or self._unsealed_from >= self.accepted:
                    return None
                self._settled.wait(min(left_s, LONGEST_WAIT_S))
            return self.sealed[0]

    def wait_settled(self, target: int, deadline_s: float) -> bool:
        """Wait until every item before `target` has ended; False when the deadline (`time.monotonic`) came first."""
        with self.lock:
            while self.oldest() < target:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or self.gave_up or self.ended:
                    return False
                self._settled.wait(min(left_s, LONGEST_WAIT_S))
            return True

    def end(self) -> None:
        """Count all that is still pending as dropped, and change nothing any more."""
        with self.lock:
            self.accounts.drop(self.accounts.pending, DropReason.SHUTDOWN)
            self.ended = self.closing = True
            self.buffer.clear()
            self._weights.clear()
            self._buffer_bytes = 0
            self.sealed.clear()
            self.sealed_bytes = 0
            self.packer_wake.notify_all()
            self.courier_wake.notify_all()
            self._settled.notify_all()

    def counts(self) -> DeliveryCounts:
        """A consistent reading of the accounts."""
        with self.lock:
            return self.accounts.read(self.sealed_bytes)
