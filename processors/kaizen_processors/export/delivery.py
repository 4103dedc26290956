"""A delivery queue: telemetry is delivered or accounted for, and the caller never waits.

Producers hand items over; one thread encodes and compresses them at once, another sends the sealed batches in their
order. Every item ends in exactly one of exported, spooled, dropped for a reason; `counts()` tells.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from opentelemetry.context import attach, set_value

from kaizen_processors.clock import LONGEST_WAIT_S, SYSTEM_CLOCK
from kaizen_processors.export.backlog import Backlog
from kaizen_processors.export.courier import Courier
from kaizen_processors.export.endings import end_with_process, time_left_s
from kaizen_processors.export.packer import Packer
from kaizen_processors.export.retry import Backoff
from kaizen_processors.export.settings import DeliverySettings
from kaizen_processors.export.splitting import OtlpCutter
from kaizen_processors.export.weight import log_weight, span_weight
from kaizen_processors.fence import Fence
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_processors.clock import Clock
    from kaizen_processors.export.accounts import DeliveryCounts
    from kaizen_processors.export.batch import BatchEncoder, Cutter, SealedBatch, Signal
    from kaizen_processors.export.sender import Sender
    from kaizen_processors.export.spool import Spool

Item = TypeVar("Item")

_SPOOL_RESERVE_S: Final = 0.4
_SPOOL_RESERVE_PART: Final = 0.25
_PAUSE_S: Final = 0.02
_REST_S: Final = 0.01
_LONGEST_REST_S: Final = 1.0
_YOUNG_S: Final = 5.0

# Not a `threading.local`: made before gevent patches a process, it would be one and the same for all greenlets.
_delivering: set[int] = set()


def on_delivery_thread() -> bool:
    """Whether the calling thread delivers telemetry: what it does must not become telemetry again."""
    return threading.get_ident() in _delivering


class DeliveryQueue(Generic[Item]):
    """Delivers items of one signal to one place.

    Args:
        new_encoder: Makes the encoder of a new batch.
        sender: Sends sealed batches.
        signal: `traces` or `logs`.
        settings: Sizes and times.
        spool: Where batches go that cannot be delivered at once; None keeps them in memory.
        fence: Counts our own failures.
        clock: Times retries. Deadlines of `force_flush` and `shutdown` are always real.
        backoff: Makes the delays between attempts; by default as the settings say.
        cutter: Makes sealed batches; by default OTLP requests.
        gather: Has those who hold items back hand them over; called before a flush and before the end.
    """

    def __init__(  # noqa: PLR0913 - the last ones are for tests and for sharing
        self,
        new_encoder: Callable[[], BatchEncoder[Item]],
        sender: Sender,
        signal: Signal,
        settings: DeliverySettings | None = None,
        spool: Spool | None = None,
        *,
        fence: Fence | None = None,
        clock: Clock = SYSTEM_CLOCK,
        backoff: Callable[[], Backoff] | None = None,
        cutter: Cutter | None = None,
        gather: Callable[[], None] | None = None,
    ) -> None:
        """Prepare; threads start at the first put."""
        self._new_encoder = new_encoder
        self._sender = sender
        self._weigh: Callable[[Any], int] = span_weight if signal == "traces" else log_weight
        self._settings = DeliverySettings() if settings is None else settings
        self._spool = spool
        self._fence = Fence() if fence is None else fence
        self._clock = clock
        self._new_backoff = backoff
        self._on_first_drop: Callable[[str], None] | None = None
        self._cutter = OtlpCutter(signal, self._settings) if cutter is None else cutter
        self._gather = gather
        self._beginning = threading.RLock()
        self._inherited = False
        self._begin()
        begin_anew_in_children(self)
        end_with_process(self)

    def after_fork_in_child(self) -> None:
        """Begin empty: what the parent holds is the parent's to deliver. What had ended stays ended."""
        _delivering.clear()  # the parent's threads are not here, but their numbers may be given again
        self._beginning = threading.RLock()  # reentrant: the garbage collector may end an abandoned span in there
        self._begin()
        self._inherited = True

    def _begin(self) -> None:
        settings = self._settings
        ended = self._backlog.closing if hasattr(self, "_backlog") else False
        made = self._new_backoff
        backoff = Backoff(settings.retry_base_s, cap_s=settings.retry_cap_s) if made is None else made()
        self._backlog: Backlog[Item] = Backlog(settings, self._weigh)
        self._backlog.accounts.on_first_drop = self._on_first_drop
        self._packer = Packer(self._backlog, self._new_encoder, self._cutter, settings, self._fence, self._spool)
        self._courier = Courier(
            self._backlog, self._sender, self._cutter, backoff, self._fence, self._spool, clock=self._clock
        )
        self._packing: threading.Thread | None = None
        self._sending: threading.Thread | None = None
        self._running = False
        self._deaths = Backoff(_REST_S, cap_s=_LONGEST_REST_S, uniform=lambda _, longest_s: longest_s)
        self._drops_told = 0
        if ended:
            self._backlog.end()

    # -- in -------------------------------------------------------------------------------------------------------

    def put(self, item: Item) -> bool:
        """Hand an item over, to be delivered. Never waits; False when it was dropped at once (and counted)."""
        if not self._running:
            self._run()
        return self._backlog.put(item)

    def start(self) -> None:
        """Start the threads now, so that what a former process left in the spool is delivered before the first put."""
        self._run()

    # -- what became of it ----------------------------------------------------------------------------------------

    def counts(self) -> DeliveryCounts:
        """What became of the items so far, in this process."""
        return self._backlog.counts()

    def tell_first_drops(self, tell: Callable[[str], None]) -> None:
        """Call `tell` when items begin to be dropped, once for each reason, with the reason.

        It is called by whoever drops, under the queue's lock: it must neither wait nor raise.
        """
        self._on_first_drop = self._backlog.accounts.on_first_drop = tell

    @property
    def limit_bytes(self) -> int:
        """Most compressed bytes that wait to be sent."""
        return self._settings.queue_bytes

    @property
    def component_type(self) -> str:
        """What sends the batches: `otlp_http`, `otlp_grpc`, or the type's name of an exporter that was wrapped."""
        return str(getattr(self._sender, "component_type", type_name(self._sender)))

    @property
    def spool(self) -> Spool | None:
        """Where batches go that cannot be delivered at once."""
        return self._spool

    @property
    def ended(self) -> bool:
        """Whether it was shut down."""
        return self._backlog.closing

    @property
    def fence(self) -> Fence:
        """The count of our own failures."""
        return self._fence

    def force_flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until everything put before the call has ended.

        Returns:
            True only when all of it is exported or spooled. False when the time was up, or when something was dropped
            since the flush before.
        """
        deadline_s = time.monotonic() + timeout_s
        self._begin_if_inherited()
        self._call_in()
        backlog = self._backlog
        with backlog.lock:
            told = self._drops_told
            target = backlog.request_flush()
        self._run()
        self._courier.hurry()
        done = backlog.wait_settled(target, deadline_s)
        with backlog.lock:
            dropped = self._drops_told = backlog.accounts.dropped_total
        return done and dropped == told

    # -- the end --------------------------------------------------------------------------------------------------

    def hasten(self) -> None:
        """Start to deliver what there is, without waiting for it."""
        self._backlog.request_flush()
        self._courier.hurry()

    def shutdown(self, timeout_s: float | None = None) -> bool:
        """Deliver what there is, spool the rest if there is a spool, drop and count what remains then.

        Args:
            timeout_s: Longest time to wait; by default as the settings say. At the interpreter's exit all queues
                together take no longer than that.

        Returns:
            True when everything that was pending has been exported or spooled.
        """
        self._begin_if_inherited()
        self._call_in()
        settings, backlog = self._settings, self._backlog
        limit_s = time_left_s(settings.shutdown_s if timeout_s is None else timeout_s, settings.shutdown_s)
        deadline_s = time.monotonic() + limit_s
        with backlog.lock:
            if backlog.closing:
                return backlog.accounts.dropped_total == self._drops_told
            backlog.closing, backlog.close_by_s = True, deadline_s
            self._drops_told = backlog.accounts.dropped_total
            target = backlog.request_flush()
        reserve_s = 0.0 if self._spool is None else min(_SPOOL_RESERVE_S, limit_s * _SPOOL_RESERVE_PART)
        if backlog.oldest() < target:
            self._deliver(target, deadline_s - reserve_s)
        if self._spool is not None:
            self._spool_rest(self._spool, deadline_s)
        backlog.end()
        for thread in (self._packing, self._sending):
            if thread is not None:
                thread.join(min(max(0.0, deadline_s - time.monotonic()), LONGEST_WAIT_S))
        if self._sending is None or not self._sending.is_alive():
            self._sender.close()
        if self._spool is not None:
            self._spool.close()
        return backlog.accounts.dropped_total == self._drops_told

    def _call_in(self) -> None:
        if self._gather is not None and not self._backlog.closing:
            with self._fence("delivery.gather"):
                self._gather()

    def _deliver(self, target: int, deadline_s: float) -> None:
        self._courier.hurry()
        if self._run():
            self._backlog.wait_settled(target, deadline_s)
            return
        # The interpreter is so far gone that no thread can start (Python 3.12 and later): deliver on this one.
        if not _alive(self._packing):
            self._packer.pack()
        while self._backlog.oldest() < target and not self._backlog.gave_up:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return
            if _alive(self._sending) or not self._courier.step(left_s, wait=False):
                self._backlog.wait_settled(target, min(deadline_s, time.monotonic() + _PAUSE_S))

    def _spool_rest(self, spool: Spool, deadline_s: float) -> None:
        backlog = self._backlog
        batch: SealedBatch | None
        while (batch := backlog.head(deadline_s)) is not None and time.monotonic() < deadline_s:
            if not spool.append(batch.payload, batch.encoding, batch.items):
                return
            backlog.settle(batch, spooled=batch.items)

    # -- threads --------------------------------------------------------------------------------------------------

    def _run(self) -> bool:
        """Have both threads run; also when one has died. False when one cannot start."""
        self._begin_if_inherited()
        with self._backlog.lock:
            if self._running or self._backlog.ended:
                return self._running
            try:
                if not _alive(self._packing):
                    self._packing = self._started("kaizen-otel-pack", self._packer.run)
                if not _alive(self._sending):
                    self._sending = self._started("kaizen-otel-send", self._courier.run)
            except RuntimeError as error:  # "can't start new thread"
                self._fence.caught("delivery.thread", error)
                return False
            self._running = True
            return True

    def _begin_if_inherited(self) -> None:
        """Begin once more where the child first uses the queue; whoever comes meanwhile waits for it."""
        if self._inherited:
            with self._beginning:
                if self._inherited:
                    # With locks of now: workers of gunicorn have gevent patch `threading` after they were forked.
                    self._begin()
                    self._inherited = False

    def _started(self, name: str, run: Callable[[], None]) -> threading.Thread:
        # Started under the backlog's lock, which is the first thing it takes: it is known before it can end.
        thread = threading.Thread(target=self._guarded, args=(run, self._backlog), name=name, daemon=True)
        thread.start()
        return thread

    def _guarded(self, run: Callable[[], None], backlog: Backlog[Any]) -> None:
        _delivering.add(threading.get_ident())
        _suppress_instrumentation()
        began_s = time.monotonic()
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - counted; the next put or flush starts another thread
            self._fence.caught("delivery.thread", error)
            if time.monotonic() - began_s > _YOUNG_S:
                self._deaths.succeeded()
            self._rest(backlog, self._deaths.next_s())
        finally:
            with backlog.lock:
                # Said by the thread itself: `is_alive` still holds for a moment after its last word.
                if self._packing is threading.current_thread():
                    self._packing, self._running = None, False
                elif self._sending is threading.current_thread():
                    self._sending, self._running = None, False
                if backlog is self._backlog and not backlog.ended and backlog.oldest() < backlog.accepted:
                    self._run()  # somebody may be waiting for what is left
            if backlog.ended and run == self._courier.run:
                self._sender.close()
            _delivering.discard(threading.get_ident())

    @staticmethod
    def _rest(backlog: Backlog[Any], delay_s: float) -> None:
        """Let a moment pass before a successor begins: threads that die one after the other must not take a core."""
        with backlog.lock:
            if not backlog.ended:
                backlog.courier_wake.wait(delay_s)


def _alive(thread: threading.Thread | None) -> bool:
    return thread is not None and thread.is_alive()


def _suppress_instrumentation() -> None:
    # Instrumented HTTP clients must not make spans of our own requests: each would be delivered by one more request.
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY  # noqa: PLC0415 - private up to 1.45

    attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
