"""Sends sealed batches in their order on a thread of its own, and decides what each answer means for them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.clock import LONGEST_WAIT_S, SYSTEM_CLOCK
from kaizen_processors.export.accounts import DropReason
from kaizen_processors.export.batch import SealedBatch
from kaizen_processors.export.sender import Outcome, Verdict
from kaizen_processors.saying import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen_processors.clock import Clock
    from kaizen_processors.export.backlog import Backlog
    from kaizen_processors.export.batch import Cutter
    from kaizen_processors.export.retry import Backoff
    from kaizen_processors.export.sender import Sender
    from kaizen_processors.export.spool import Spool
    from kaizen_processors.fence import Fence

MAX_FAILURES: Final = 5
"""So often may our own sender fail on a batch (not the network: the code) before the batch is given up."""

_CLOSING_CAP_S: Final = 0.25
_CLOSING_UNREACHABLE: Final = 2
_REPLAY_LOOK_S: Final = 30.0
_NS: Final = 1_000_000_000


class Courier:
    """Sends what the backlog holds, then what the spool holds.

    With a spool, a batch that could not be delivered at once goes to disk and is replayed from there; without one it
    stays in memory, in its place, until the backend takes or refuses it.
    """

    def __init__(  # noqa: PLR0913 - what a delivery needs, injected
        self,
        backlog: Backlog[Any],
        sender: Sender,
        cutter: Cutter,
        backoff: Backoff,
        fence: Fence,
        spool: Spool | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Deliver this backlog with this sender."""
        self._backlog = backlog
        self._sender = sender
        self._cutter = cutter
        self._backoff = backoff
        self._fence = fence
        self._spool = spool
        self._clock = clock
        self._due_ns = 0
        self._asked_to_wait = False
        self._unreachable = 0
        self._replay: list[SealedBatch] = []
        self._look_ns = 0
        self._spool_again_ns = 0
        if spool is not None:
            spool.on_expired = self._expired
        self._told: set[str] = set()

    def run(self) -> None:
        """Deliver until the backlog has ended."""
        try:
            while not self._backlog.ended:
                self.step()
        finally:
            if self._spool is not None:
                self._spool.release()
            self._replay.clear()

    def step(self, timeout_s: float | None = None, *, wait: bool = True) -> bool:
        """Send one batch, or wait for one; False when there was none to send.

        Args:
            timeout_s: Longest silence of the network, when it is less than the endpoint's own limit.
            wait: Whether to wait when nothing is due.
        """
        batch, left_s = self._next()
        if batch is None:
            if wait:
                self._sleep(left_s)
            return False
        if batch.record is None and self._waiting():
            self._to_spool(batch)
            return True
        batch.attempts += 1
        if batch.attempts > 1:
            self._backlog.accounts.retries += 1
        self._apply(batch, self._send(batch, timeout_s))
        return True

    def hurry(self) -> None:
        """Try at once, unless the backend has named the time itself; when that is after the end, give up."""
        backlog = self._backlog
        with backlog.lock:
            if not self._asked_to_wait:
                self._due_ns = 0
            elif backlog.closing:
                left_s = (self._due_ns - self._clock.monotonic_ns()) / _NS
                if time.monotonic() + left_s > backlog.close_by_s:
                    backlog.give_up()
            backlog.courier_wake.notify()

    # -- what comes next ------------------------------------------------------------------------------------------

    def _waiting(self) -> bool:
        return self._due_ns > self._clock.monotonic_ns()

    def _next(self) -> tuple[SealedBatch | None, float | None]:
        """The batch to handle now; else how long there is nothing to do (None: until something comes)."""
        backlog = self._backlog
        waiting = self._waiting()
        left_s = (self._due_ns - self._clock.monotonic_ns()) / _NS if waiting else None
        with backlog.lock:
            head = backlog.sealed[0] if backlog.sealed else None
        if head is not None and (not waiting or self._spool_open()):
            return head, None
        if self._spool is None or backlog.closing or waiting:
            return None, left_s
        if not self._replay and self._clock.monotonic_ns() >= self._look_ns:
            self._look()
        return (self._replay[0], None) if self._replay else (None, _REPLAY_LOOK_S)

    def _look(self) -> None:
        self._look_ns = self._clock.monotonic_ns() + int(_REPLAY_LOOK_S * _NS)
        if self._spool is not None and (record := self._spool.next()) is not None:
            self._replay.append(SealedBatch(record.payload, record.encoding, record.items, 0, record))

    def _sleep(self, left_s: float | None) -> None:
        backlog = self._backlog
        with backlog.lock:
            if backlog.ended or (backlog.sealed and not self._waiting()):
                return
            backlog.courier_wake.wait(None if left_s is None else min(left_s, LONGEST_WAIT_S))

    # -- what an attempt means ------------------------------------------------------------------------------------

    def _send(self, batch: SealedBatch, timeout_s: float | None) -> Outcome:
        try:
            return self._sender.send(batch.payload, batch.encoding, timeout_s)
        except Exception as error:  # noqa: BLE001 - a sender's defect: tried again a few times, then counted
            self._fence.caught("delivery.send", error)
            batch.failures += 1
            return Outcome(Verdict.RETRY if batch.failures < MAX_FAILURES else Verdict.REFUSED, "defect")
        except BaseException:
            # Ends this thread; its successor must not fail on the same batch for ever.
            batch.failures += 1
            if batch.failures >= MAX_FAILURES:
                self._end(batch, dropped=batch.items, reason=DropReason.FAILED)
            raise

    def _apply(self, batch: SealedBatch, outcome: Outcome) -> None:
        self._unreachable = self._unreachable + 1 if outcome.unreachable else 0
        if outcome.verdict is Verdict.RETRY:
            self._retry(batch, outcome)
            return
        self._due_ns, self._asked_to_wait = 0, False
        self._backoff.succeeded()
        if outcome.verdict is Verdict.DELIVERED:
            rejected = min(outcome.rejected, batch.items)
            if rejected:
                self._tell("rejected", "the backend took a batch but rejected %d items of it", rejected)
            self._end(batch, exported=batch.items - rejected, dropped=rejected, reason=DropReason.REJECTED)
            if batch.record is None:
                self._look_ns = 0  # it works: see whether something waits on disk
        elif outcome.verdict is Verdict.TOO_LARGE:
            self._shrink(batch)
        else:
            reason = DropReason.FAILED if batch.failures >= MAX_FAILURES else DropReason.REFUSED
            self._tell(outcome.detail, "telemetry was refused (%s) and is dropped", outcome.detail)
            self._end(batch, dropped=batch.items, reason=reason)

    def _retry(self, batch: SealedBatch, outcome: Outcome) -> None:
        backlog = self._backlog
        self._tell("retry", "telemetry cannot be delivered now (%s); it is kept and tried again", outcome.detail)
        asked_s = outcome.retry_after_s
        delay_s = self._backoff.next_s() if asked_s is None else asked_s
        with backlog.lock:
            if backlog.closing:
                delay_s = min(delay_s, _CLOSING_CAP_S) if asked_s is None else delay_s
            self._asked_to_wait = asked_s is not None
            self._due_ns = self._clock.monotonic_ns() + int(delay_s * _NS)
        if batch.record is None and self._spool_open() and self._to_spool(batch):
            return
        if backlog.closing:
            too_late = asked_s is not None and time.monotonic() + asked_s > backlog.close_by_s
            if too_late or self._unreachable >= _CLOSING_UNREACHABLE:
                backlog.give_up()

    def _spool_open(self) -> bool:
        return self._spool is not None and self._clock.monotonic_ns() >= self._spool_again_ns

    def _to_spool(self, batch: SealedBatch) -> bool:
        if self._spool is None or not self._spool.append(batch.payload, batch.encoding, batch.items):
            # Full or unwritable: the batch stays where it is, and the disk is left alone for a moment.
            self._spool_again_ns = self._clock.monotonic_ns() + _NS
            return False
        self._backlog.settle(batch, spooled=batch.items)
        self._look_ns = 0
        return True

    def _shrink(self, batch: SealedBatch) -> None:
        parts: Sequence[SealedBatch] = ()
        try:
            parts = self._cutter.halves(batch)
            if not parts and not batch.trimmed and (shorter := self._cutter.trimmed(batch)) is not None:
                parts = (shorter,)
        except Exception as error:  # noqa: BLE001 - what cannot be cut is dropped, and counted
            self._fence.caught("delivery.split", error)
        if not parts:
            self._tell("too large", "an item of telemetry is too large for the backend and is dropped")
            self._end(batch, dropped=batch.items, reason=DropReason.TOO_LARGE)
        elif batch.record is None:
            self._backlog.replace(batch, parts)
        else:
            self._replay[:1] = parts

    def _end(self, batch: SealedBatch, *, exported: int = 0, dropped: int = 0, reason: str = "") -> None:
        if batch.record is None:
            self._backlog.settle(batch, exported=exported, dropped=dropped, reason=reason)
            return
        with self._backlog.lock:
            self._backlog.accounts.replayed += exported
            self._backlog.accounts.drop_replayed(dropped, reason)
        if batch in self._replay:
            self._replay.remove(batch)
        if not self._replay:
            self._look_ns = 0

    def _expired(self, items: int) -> None:
        with self._backlog.lock:
            self._backlog.accounts.drop_replayed(items, DropReason.EXPIRED)

    def _tell(self, cause: str, message: str, *values: object) -> None:
        if cause not in self._told:
            self._told.add(cause)
            say(f"{message}; this is said once, the counts go on", *values)
