"""How long is waited: as long as a backend asks, or whoever flushes, and never so that a thread ends of it."""

from __future__ import annotations

import pytest

from kaizen_otel.testing import SteppingClock
from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.queue_processors import otlp_span_queue
from kaizen_processors.export.settings import DeliverySettings
from tests.processors.delivery.backend import Backend, Reply
from tests.processors.delivery.support import fill, names, queue_to, span


def test_retry_after_is_honoured_to_any_length() -> None:
    clock = SteppingClock(step_ns=0)
    with (
        Backend(Reply(429, {"retry-after": "3600"})) as backend,
        queue_to(backend.url, clock=clock, interval_s=0.01) as queue,
    ):
        fill(queue, 10)
        assert not queue.force_flush(0.1)
        assert backend.wait_for_requests(1)
        assert not queue.force_flush(0.1)  # not even a flush makes it hurry
        clock.advance(3_599)
        assert not queue.force_flush(0.1)
        assert len(backend.requests) == 1
        clock.advance(2)
        assert queue.force_flush(10)
        assert backend.taken == names(0, 10)


@pytest.mark.parametrize("asked", ["99999999999", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_time_longer_than_any_wait_is_waited_for_by_a_thread_that_lives(asked: str) -> None:
    with Backend(Reply(503, {"retry-after": asked})) as backend, queue_to(backend.url, interval_s=0.01) as queue:
        fill(queue, 10)
        assert backend.wait_for_requests(1)
        assert not queue.force_flush(0.05)
        assert queue.fence.counts() == {}
        assert not queue.shutdown(0.05)
        assert queue.counts().dropped == {"shutdown": 10}


@pytest.mark.parametrize("asked", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_backend_that_asks_for_no_time_is_not_asked_again_at_once(asked: str) -> None:
    with Backend(default=Reply(429, {"retry-after": asked})) as backend:
        slowly = DeliverySettings(interval_s=0.01, retry_base_s=300.0, retry_cap_s=300.0)
        queue = otlp_span_queue(OtlpEndpoint(f"{backend.url}/v1/traces"), slowly)
        queue.put(span(0))
        assert backend.wait_for_requests(1)
        assert not backend.wait_for_requests(2, 0.05)
        queue.shutdown(0.0)


@pytest.mark.parametrize("forever", [float("inf"), 1e12])
def test_who_waits_for_ever_waits_until_it_is_delivered(forever: float) -> None:
    with Backend() as backend, queue_to(backend.url, interval_s=forever) as queue:
        fill(queue, 2)
        assert queue.force_flush(forever)
        fill(queue, 3, first=2)
        assert queue.shutdown(forever)
        assert backend.taken == names(0, 3)
