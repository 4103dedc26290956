"""Telemetry is delivered or accounted for, whatever comes in, whatever the backend says, in whatever order.

No thread can start here, as at the very end of an interpreter: the machine itself packs and sends, one step at a time,
so that any interleaving can be tried and tried again.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from kaizen_otel.testing import SteppingClock
from kaizen_processors.export.accounts import DropReason
from kaizen_processors.export.batch import decompress
from kaizen_processors.export.delivery import DeliveryQueue
from kaizen_processors.export.otlp import SpanBatchEncoder
from kaizen_processors.export.retry import Backoff
from kaizen_processors.export.sender import Outcome, Verdict
from kaizen_processors.export.settings import DeliverySettings
from kaizen_processors.export.spool import Spool
from kaizen_processors.fence import Fence
from tests.processors.delivery.support import span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

SMALL = DeliverySettings(
    queue_bytes=1_500, handover_items=12, batch_items=4, request_bytes=1_000, interval_s=3_600.0, compression=""
)
NO_SPAN: Any = "no span"
"""What the encoder drops, and says so."""


class Backend:
    """Answers as it is told, and knows what it took."""

    def __init__(self) -> None:
        self.answer: Outcome | Exception = Outcome(Verdict.DELIVERED)
        self.attempts = 0
        self.taken: Counter[str] = Counter()
        self.rejected = 0
        self.closed = False

    def send(self, payload: bytes, encoding: str, timeout_s: float | None = None) -> Outcome:  # noqa: ARG002 - protocol
        self.attempts += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer.verdict is Verdict.DELIVERED:
            names = names_in(payload, encoding)
            self.taken.update(names)
            self.rejected += min(self.answer.rejected, len(names))
        return self.answer

    def close(self) -> None:
        self.closed = True


def names_in(payload: bytes, encoding: str) -> list[str]:
    request = ExportTraceServiceRequest.FromString(decompress(payload, encoding))
    return [one.name for resource in request.resource_spans for scope in resource.scope_spans for one in scope.spans]


ANSWERS = st.one_of(
    st.builds(Outcome, st.just(Verdict.DELIVERED), rejected=st.sampled_from([0, 0, 1, 9])),
    st.builds(Outcome, st.just(Verdict.RETRY), unreachable=st.booleans()),
    st.builds(Outcome, st.just(Verdict.RETRY), retry_after_s=st.sampled_from([0.0, 5.0, 3_600.0])),
    st.just(Outcome(Verdict.TOO_LARGE)),
    st.just(Outcome(Verdict.REFUSED, "status 400")),
    st.just(RuntimeError("a defect of the sender")),
)


class Deliveries(RuleBasedStateMachine):
    """One queue, with or without a spool, and a backend that says anything."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="kaizen-otel-test-")
        self.clock = SteppingClock(step_ns=0)
        self.backend = Backend()
        self.put = 0
        self.named = 0
        self.ended = False
        self.no_threads = patch("threading.Thread.start", side_effect=RuntimeError("can't start new thread"))
        self.no_threads.start()

    @initialize(
        spool_bytes=st.sampled_from([None, 900, 10**6, 10**6]),
        segment_bytes=st.sampled_from([1, 500, 10**6]),
        last_answer=ANSWERS,
        shutdown_s=st.sampled_from([0.0, 0.02]),
    )
    def begin(
        self, spool_bytes: int | None, segment_bytes: int, last_answer: Outcome | Exception, shutdown_s: float
    ) -> None:
        self.last_answer, self.shutdown_s = last_answer, shutdown_s
        self.spool = None
        if spool_bytes is not None:
            self.spool = Spool(self.folder, "traces", max_bytes=spool_bytes, segment_bytes=segment_bytes)
        self.queue: DeliveryQueue[ReadableSpan] = DeliveryQueue(
            SpanBatchEncoder,
            self.backend,
            "traces",
            SMALL,
            self.spool,
            fence=Fence(),
            clock=self.clock,
            backoff=lambda: Backoff(1.0, uniform=lambda low, high: (low + high) / 2),
        )

    # -- what may happen, in any order ----------------------------------------------------------------------------

    @rule(sizes=st.lists(st.sampled_from([0, 50, 400, 3_000]), min_size=1, max_size=9), packed=st.booleans())
    def items_come(self, sizes: list[int], packed: bool) -> None:
        for size in sizes:
            self.queue.put(span(self.named, text="x" * size))
            self.put += 1
            self.named += 1
        if packed:
            self.queue._packer.pack()

    @rule()
    def what_is_no_item_comes(self) -> None:
        self.queue.put(NO_SPAN)
        self.put += 1

    @rule(flushed=st.booleans())
    def the_packer_packs(self, flushed: bool) -> None:
        if flushed:
            self.queue.hasten()
        self.queue._packer.pack()

    @rule(answers=st.lists(ANSWERS, min_size=1, max_size=6), after_s=st.sampled_from([0.0, 0.5, 60.0, 7_200.0]))
    def the_backend_answers(self, answers: list[Outcome | Exception], after_s: float) -> None:
        self.clock.advance(after_s)
        for answer in answers:
            self.backend.answer = answer
            self.queue._courier.step(wait=False)

    @rule(answer=ANSWERS)
    def the_backend_has_one_word_for_all(self, answer: Outcome | Exception) -> None:
        self.backend.answer = answer
        for _ in range(20):
            self.clock.advance(60)
            self.queue._courier.step(wait=False)

    # -- what holds at every moment -------------------------------------------------------------------------------

    @invariant()
    def every_item_is_in_exactly_one_place(self) -> None:
        if not hasattr(self, "queue"):
            return
        counts, backlog, packer = self.queue.counts(), self.queue._backlog, self.queue._packer
        held = len(backlog.buffer) + packer._added + sum(batch.items for batch in backlog.sealed)
        assert counts.put == self.put
        assert counts.pending == (0 if self.ended else held)
        assert counts.put == counts.exported + counts.spooled + counts.dropped_total + counts.pending
        figures = (counts.exported, counts.spooled, counts.pending, counts.replayed, counts.retries)
        assert min(figures, default=0) >= 0
        assert all(items > 0 for items in (*counts.dropped.values(), *counts.replay_dropped.values()))
        assert backlog.sealed_bytes == counts.pending_bytes == sum(len(batch.payload) for batch in backlog.sealed)

    @invariant()
    def what_counts_as_exported_is_what_the_backend_has(self) -> None:
        if not hasattr(self, "queue"):
            return
        counts = self.queue.counts()
        rejected = counts.dropped.get(DropReason.REJECTED, 0) + counts.replay_dropped.get(DropReason.REJECTED, 0)
        assert rejected == self.backend.rejected
        assert counts.exported + counts.replayed + rejected == self.backend.taken.total()
        assert counts.exported + counts.replayed <= self.named
        assert set(self.backend.taken.values()) <= {1}, "an item was delivered twice"

    def teardown(self) -> None:
        try:
            if hasattr(self, "queue"):
                self.the_rest_is_where_it_is_said_to_be()
        finally:
            self.no_threads.stop()
            shutil.rmtree(self.folder)

    def the_rest_is_where_it_is_said_to_be(self) -> None:
        """After the end: what the spool says it holds can be read back, and nothing of it was delivered."""
        self.backend.answer = self.last_answer
        before = self.queue.counts().dropped_total
        whole = self.queue.shutdown(self.shutdown_s)
        self.ended = True
        counts = self.queue.counts()
        assert whole is (counts.dropped_total == before)
        self.every_item_is_in_exactly_one_place()
        self.what_counts_as_exported_is_what_the_backend_has()
        assert self.queue.put(span(self.named)) is False
        self.put += 1
        self.queue._packer.pack()
        self.queue._courier.step(wait=False)
        self.every_item_is_in_exactly_one_place()
        assert self.queue.counts().dropped[DropReason.SHUTDOWN] == counts.dropped.get(DropReason.SHUTDOWN, 0) + 1
        if self.spool is None:
            assert counts.spooled == 0
            return
        left: Counter[str] = Counter()
        reader = Spool(self.folder, "traces")
        while (record := reader.next()) is not None:
            names = names_in(record.payload, record.encoding)
            assert len(names) == record.items
            left.update(names)
        reader.close()
        # A segment is deleted as a whole: batches replayed from one that has more to come are read again.
        gone = counts.replayed + sum(counts.replay_dropped.values())
        assert counts.spooled - gone <= left.total() <= counts.spooled


Deliveries.TestCase.settings = settings(
    max_examples=80, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestDeliveries = Deliveries.TestCase
