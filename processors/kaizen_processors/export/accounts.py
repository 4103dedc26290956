"""What became of every item: exactly one of exported, spooled, dropped for a reason, or still pending."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class DropReason(StrEnum):
    """Why an item was given up."""

    QUEUE_FULL = "queue_full"
    """The queue held all that it may; the newest give way."""
    REFUSED = "refused"
    """The backend refused the batch for good (a status that must not be retried)."""
    REJECTED = "rejected"
    """The backend took the batch but not this item (`partial_success`)."""
    TOO_LARGE = "too_large"
    """The item alone was larger than the backend, or we, take."""
    EXPIRED = "expired"
    """It was on disk for longer than the spool keeps it."""
    ENCODING = "encoding"
    """The item could not be written as OTLP."""
    SHUTDOWN = "shutdown"
    """It came after the end, or the end's time was up."""
    FAILED = "failed"
    """Our own sender failed on it again and again, or the thread that held it died."""


@dataclass(frozen=True)
class DeliveryCounts:
    """A consistent reading of one queue's accounts. `put == exported + spooled + sum(dropped) + pending`, always.

    Replayed items were counted as spooled when they went to disk, by this process or an earlier one; what became of
    them then has figures of its own.
    """

    put: int = 0
    exported: int = 0
    spooled: int = 0
    pending: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    replayed: int = 0
    replay_dropped: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    pending_bytes: int = 0

    @property
    def dropped_total(self) -> int:
        """Items dropped for whatever reason."""
        return sum(self.dropped.values())

    def __add__(self, other: DeliveryCounts) -> DeliveryCounts:
        """The figures of two queues together."""
        return DeliveryCounts(
            **{one.name: _sum(getattr(self, one.name), getattr(other, one.name)) for one in fields(self)}
        )


def _sum(left: Any, right: Any) -> Any:
    if isinstance(left, dict):
        return {key: left.get(key, 0) + right.get(key, 0) for key in left | right}
    return left + right


class Accounts:
    """The running figures. Not locked: whoever owns it changes it under a lock of its own."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.put = 0
        self.exported = 0
        self.spooled = 0
        self.retries = 0
        self.replayed = 0
        self.dropped: dict[str, int] = {}
        self.replay_dropped: dict[str, int] = {}
        self.dropped_total = 0
        self.on_first_drop: Callable[[str], None] | None = None

    def drop(self, items: int, reason: str) -> None:
        """Count items of this process as given up."""
        if items > 0:
            reason = str(reason)  # a plain text, also for those who print the figures
            self._tell_first(reason, self.dropped)
            self.dropped[reason] = self.dropped.get(reason, 0) + items
            self.dropped_total += items

    def drop_replayed(self, items: int, reason: str) -> None:
        """Count items read back from the spool as given up."""
        if items > 0:
            reason = str(reason)
            self._tell_first(reason, self.replay_dropped)
            self.replay_dropped[reason] = self.replay_dropped.get(reason, 0) + items

    def _tell_first(self, reason: str, so_far: dict[str, int]) -> None:
        if reason not in so_far and self.on_first_drop is not None:
            self.on_first_drop(reason)

    @property
    def pending(self) -> int:
        """Items put that have not ended yet."""
        return self.put - self.exported - self.spooled - self.dropped_total

    def read(self, pending_bytes: int = 0) -> DeliveryCounts:
        """A copy that stays as it is."""
        return DeliveryCounts(
            put=self.put,
            exported=self.exported,
            spooled=self.spooled,
            pending=self.pending,
            dropped=dict(self.dropped),
            replayed=self.replayed,
            replay_dropped=dict(self.replay_dropped),
            retries=self.retries,
            pending_bytes=pending_bytes,
        )
