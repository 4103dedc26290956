"""What a delivery queue promises, with a real sender and a backend that fails on purpose."""

from __future__ import annotations

import random
import threading
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from kaizen_processors.export.delivery import DeliveryQueue
from kaizen_processors.export.otlp import SpanBatchEncoder
from kaizen_processors.export.sender import Outcome, Verdict
from tests.processors.delivery.backend import CLOSE, HANG, RESET, Backend, Reply, unused_url
from tests.processors.delivery.support import FAST, balanced, fill, names, queue_to, sender_to, span


class HeldSender:
    """Holds each request until it is let go; then answers with the next outcome."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.entered = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)
        self.sent = 0

    def send(self, payload: bytes, encoding: str, timeout_s: float | None = None) -> Outcome:
        del payload, encoding, timeout_s
        self.entered.release()
        self.let_go.acquire(timeout=20)  # at the latest when its test is long over
        self.sent += 1
        return self.outcomes.pop(0) if self.outcomes else Outcome(Verdict.DELIVERED)

    def close(self) -> None:
        self.let_go.release()


def test_everything_put_arrives_once_and_in_order() -> None:
    with Backend() as backend, queue_to(backend.url) as queue:
        fill(queue, 2_000)
        assert queue.force_flush(20)
        assert backend.taken == names(0, 2_000)
        counts = queue.counts()
        assert (counts.put, counts.exported, counts.pending, counts.dropped) == (2_000, 2_000, 0, {})


def test_items_leave_without_a_flush() -> None:
    with Backend() as backend, queue_to(backend.url, interval_s=0.01) as queue:
        fill(queue, 3)
        assert backend.wait_for_items(3)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_loses_and_repeats_nothing(status: int) -> None:
    with Backend(*[Reply(status)] * 3) as backend, queue_to(backend.url) as queue:
        fill(queue, 100)
        assert queue.force_flush(20)
        assert backend.taken == names(0, 100)
        assert queue.counts().retries == 3


@pytest.mark.parametrize("fault", [RESET, CLOSE])
def test_a_broken_connection_loses_nothing(fault: str) -> None:
    with Backend(Reply(fault), Reply(fault)) as backend, queue_to(backend.url) as queue:
        fill(queue, 100)
        assert queue.force_flush(20)
        assert backend.taken == names(0, 100)


def test_a_request_that_hangs_is_given_up_and_sent_again() -> None:
    with Backend(Reply(HANG)) as backend, queue_to(sender_to(backend.url, timeout_s=0.2)) as queue:
        fill(queue, 10)
        assert queue.force_flush(20)
        assert backend.taken == names(0, 10)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404])
def test_a_refusal_is_final_and_counted(status: int) -> None:
    with Backend(Reply(status, {"location": "/elsewhere"})) as backend, queue_to(backend.url) as queue:
        fill(queue, 10)
        assert not queue.force_flush(20)
        assert queue.counts().dropped == {"refused": 10}
        fill(queue, 20, first=10)
        assert queue.force_flush(20)
        assert backend.taken == names(10, 20)


def test_items_that_a_backend_rejects_are_counted_apart() -> None:
    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 4
    with Backend(Reply(200, body=partial.SerializeToString())) as backend, queue_to(backend.url) as queue:
        fill(queue, 10)
        assert not queue.force_flush(20)
        counts = queue.counts()
        assert (counts.exported, counts.dropped) == (6, {"rejected": 4})


def test_a_batch_that_is_too_large_is_halved_until_it_fits() -> None:
    with Backend(max_bytes=1_500) as backend, queue_to(backend.url) as queue:
        fill(queue, 100)
        assert queue.force_flush(20)
        assert backend.taken == names(0, 100)
        assert queue.counts().exported == 100


def test_a_bad_request_that_says_too_large_is_halved_too() -> None:
    with Backend(Reply(400, body=b"http: request body too large")) as backend, queue_to(backend.url) as queue:
        fill(queue, 10)
        assert queue.force_flush(20)
        assert backend.taken == names(0, 10)
        assert len(backend.requests) == 3


def test_one_huge_item_is_shortened_and_the_others_are_whole() -> None:
    with Backend(max_bytes=40_000) as backend, queue_to(backend.url) as queue:
        queue.put(span(0))
        queue.put(span(1, text="x" * 100_000))
        queue.put(span(2))
        assert queue.force_flush(20)
        assert backend.taken == names(0, 3)
        assert queue.counts().exported == 3


def test_an_item_that_nothing_helps_is_dropped_alone() -> None:
    with Backend(max_bytes=2_000) as backend, queue_to(backend.url) as queue:
        queue.put(span(0))
        context = span(1).context
        queue.put(ReadableSpan("s1", context=context, resource=Resource({"huge": "h" * 5_000}), start_time=1))
        queue.put(span(2))
        assert not queue.force_flush(20)
        assert backend.taken == ["s0", "s2"]
        assert queue.counts().dropped == {"too_large": 1}


def test_an_item_larger_than_a_request_costs_nobody_else_anything() -> None:
    with Backend() as backend, queue_to(backend.url, request_bytes=20_000) as queue:
        fill(queue, 5)
        queue.put(span(5, text="x" * 1_000_000))
        fill(queue, 10, first=6)
        assert queue.force_flush(20)
        assert backend.taken == names(0, 10)
        assert max(backend.sizes) <= 20_000


def test_no_request_is_larger_than_the_limit_before_compression() -> None:
    with Backend() as backend, queue_to(backend.url, request_bytes=20_000, batch_bytes=15_000) as queue:
        for number in range(60):
            queue.put(span(number, text="x" * 4_000))
        assert queue.force_flush(20)
        assert backend.taken == names(0, 60)
        assert max(backend.sizes) <= 20_000


def test_a_full_queue_drops_the_newest_and_keeps_what_it_has() -> None:
    with Backend() as backend:
        held, real = HeldSender(), sender_to(backend.url)

        class Gate:
            def send(self, payload: bytes, encoding: str, timeout_s: float | None = None) -> Outcome:
                held.send(payload, encoding)
                return real.send(payload, encoding, timeout_s)

            def close(self) -> None:
                held.close()
                real.close()

        with queue_to(Gate(), queue_bytes=4_000, batch_items=10, wake_items=10) as queue:
            fill(queue, 2_000)
            deadline_s = time.monotonic() + 10
            while queue._backlog.unsealed_from < 2_000:
                assert time.monotonic() < deadline_s
                queue.force_flush(0.02)
            assert queue.counts().pending_bytes <= 4_000
            for _ in range(400):
                held.let_go.release()
            queue.force_flush(20)
            counts = queue.counts()
            assert counts.pending == 0
            assert backend.taken == names(0, len(backend.taken))
            assert counts.exported == len(backend.taken) > 0
            assert counts.dropped == {"queue_full": 2_000 - counts.exported}


def test_the_handover_is_bounded_while_nobody_encodes() -> None:
    with queue_to(HeldSender(), handover_items=50) as queue:
        with queue._backlog.lock:  # the encoding thread cannot get at the buffer
            fill(queue, 80)
        assert queue.counts().dropped == {"queue_full": 30}
        assert balanced(queue)


def test_the_handover_is_bounded_in_bytes_too() -> None:
    with queue_to(HeldSender(), handover_bytes=1_000_000) as queue:
        with queue._backlog.lock:
            for number in range(80):
                queue.put(span(number, text="x" * 98_000))
            assert 900_000 < queue._backlog.waiting_bytes <= 1_000_000
        assert queue.counts().dropped == {"queue_full": 70}
        assert balanced(queue)


def test_an_item_larger_than_the_handover_finds_room_when_nothing_waits() -> None:
    with Backend() as backend, queue_to(backend.url, handover_bytes=10_000) as queue:
        queue.put(span(0, text="x" * 50_000))
        assert queue.force_flush(20)
        assert backend.taken == ["s0"]


def test_what_is_being_packed_counts_as_waiting() -> None:
    taken: list[int] = []

    class SlowEncoder(SpanBatchEncoder):
        def add(self, item: ReadableSpan) -> int:
            taken.append(backlog.waiting_bytes)
            return super().add(item)

    held = HeldSender()
    queue = DeliveryQueue(SlowEncoder, held, "traces", FAST)
    backlog = queue._backlog
    with backlog.lock:
        for number in range(10):
            queue.put(span(number, text="x" * 1_000_000))
        queue.hasten()
    assert held.entered.acquire(timeout=20)
    held.let_go.release()
    queue.shutdown(0.05)
    assert taken[0] > 10_000_000
    assert min(taken) > 0


def test_put_returns_while_the_backend_hangs() -> None:
    held = HeldSender()
    with queue_to(held, interval_s=0.01) as queue:
        fill(queue, 1)
        assert held.entered.acquire(timeout=10)
        fill(queue, 3_000, first=1)  # would stand still here
        assert held.sent == 0
        assert queue.counts().put == 3_000
        assert queue.counts().pending == 3_000


def test_an_item_that_cannot_be_encoded_costs_only_itself() -> None:
    with Backend() as backend, queue_to(backend.url) as queue:
        queue.put(span(0))
        queue.put(object())  # type: ignore[arg-type]  # that is the test
        queue.put(span(1))
        assert not queue.force_flush(20)
        assert backend.taken == names(0, 2)
        assert queue.counts().dropped_total == 1
        assert balanced(queue)


def test_flush_keeps_its_deadline_and_says_no_when_the_backend_hangs() -> None:
    held = HeldSender()
    with queue_to(held) as queue:
        fill(queue, 10)
        assert not queue.force_flush(0.1)
        assert held.sent == 0
        held.let_go.release()
        assert queue.force_flush(10)


def test_flush_does_not_wait_for_what_is_put_after_it() -> None:
    held = HeldSender()
    with queue_to(held) as queue:
        fill(queue, 1)
        assert not queue.force_flush(0)
        assert held.entered.acquire(timeout=10)
        answers: list[bool] = []
        flush = threading.Thread(target=lambda: answers.append(queue.force_flush(10)))
        asked = threading.Event()
        wait_settled = queue._backlog.wait_settled

        def asked_first(target: int, deadline_s: float) -> bool:
            asked.set()
            return wait_settled(target, deadline_s)

        queue._backlog.wait_settled = asked_first  # type: ignore[method-assign]  # to know when the flush has begun
        flush.start()
        assert asked.wait(10)
        queue.put(span(1))
        held.let_go.release()
        flush.join(10)
        assert answers == [True]
        assert queue.counts().pending == 1


def test_flush_of_nothing_is_true() -> None:
    with queue_to(unused_url()) as queue:
        assert queue.force_flush(0)


def test_shutdown_of_a_hanging_backend_counts_what_is_left() -> None:
    held = HeldSender()
    with queue_to(held) as queue:
        fill(queue, 10)
        assert not queue.force_flush(0)
        assert held.entered.acquire(timeout=10)
        assert not queue.shutdown(0.1)
        counts = queue.counts()
        assert (counts.exported, counts.pending, counts.dropped) == (0, 0, {"shutdown": 10})
        held.let_go.release()  # a late answer changes nothing any more
        assert queue._sending is not None
        queue._sending.join(10)
        assert queue.counts() == counts


def test_shutdown_gives_a_dead_endpoint_up_before_its_time() -> None:
    with queue_to(unused_url()) as queue:
        fill(queue, 10)
        began_s = time.monotonic()
        assert not queue.shutdown(60)
        assert time.monotonic() - began_s < 30
        assert queue.counts().dropped == {"shutdown": 10}


def test_shutdown_does_not_wait_for_a_time_beyond_its_own() -> None:
    with Backend(default=Reply(503, {"retry-after": "3600"})) as backend, queue_to(backend.url) as queue:
        fill(queue, 10)
        began_s = time.monotonic()
        assert not queue.shutdown(60)
        assert time.monotonic() - began_s < 30


def test_what_comes_after_the_end_is_counted() -> None:
    with Backend() as backend, queue_to(backend.url) as queue:
        fill(queue, 5)
        assert queue.shutdown(10)
        assert not queue.put(span(5))
        assert backend.taken == names(0, 5)
        assert queue.counts().dropped == {"shutdown": 1}
        assert balanced(queue)


@pytest.mark.parametrize("seed", range(6))
def test_the_accounts_balance_whatever_the_backend_does(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a script, not a secret
    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 1
    answers = [
        Reply(), Reply(503), Reply(400), Reply(413), Reply(RESET), Reply(CLOSE), Reply(302),
        Reply(200, body=partial.SerializeToString()),
    ]  # fmt: skip
    script = [chance.choice(answers) for _ in range(60)]
    with Backend(*script) as backend, queue_to(backend.url, handover_items=300) as queue:
        for _ in range(8):
            fill(queue, chance.randrange(1, 400))
            queue.force_flush(20)
            counts = queue.counts()
            assert counts.pending == 0
            assert counts.put == counts.exported + counts.dropped_total
            assert len(backend.taken) == counts.exported + counts.dropped.get("rejected", 0)


def test_an_outage_of_three_seconds_at_two_thousand_spans_a_second_loses_nothing() -> None:
    with Backend(default=Reply(503)) as backend, queue_to(backend.url, interval_s=0.2) as queue:
        began_s = time.monotonic()
        for number in range(8_000):
            queue.put(span(number, model="gpt-4o", index=number))
            if number % 200 == 199:
                ahead_s = (number + 1) / 2_000 - (time.monotonic() - began_s)
                if ahead_s > 0:
                    threading.Event().wait(ahead_s)
            if number == 6_000:
                backend.default = Reply()
        assert queue.force_flush(30)
        assert backend.taken == names(0, 8_000)
        assert queue.counts().dropped == {}
