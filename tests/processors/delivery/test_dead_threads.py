"""A delivery thread that dies is replaced, and what it held is accounted for."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kaizen_processors.export.sender import Outcome, Verdict
from tests.processors.delivery.backend import Backend
from tests.processors.delivery.support import fill, queue_to


class DyingSender:
    """Raises what ends a thread, so many times; then delivers."""

    def __init__(self, error: BaseException, times: int) -> None:
        self.error = error
        self.times = times
        self.sent = 0

    def send(self, payload: bytes, encoding: str, timeout_s: float | None = None) -> Outcome:
        del payload, encoding, timeout_s
        self.sent += 1
        if self.sent <= self.times:
            raise self.error
        return Outcome(Verdict.DELIVERED)

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("kind", [SystemExit, MemoryError, KeyboardInterrupt])
def test_a_sending_thread_that_died_is_replaced(kind: type[BaseException]) -> None:
    sender = DyingSender(kind(), 2)
    with queue_to(sender) as queue:
        fill(queue, 5)
        deadline_s = time.monotonic() + 10
        while not queue.force_flush(0.05):
            assert time.monotonic() < deadline_s
        assert queue.counts().exported == 5


def test_a_batch_that_always_ends_the_sender_is_given_up() -> None:
    sender = DyingSender(SystemExit(1), 5)
    with queue_to(sender) as queue:
        fill(queue, 5)
        deadline_s = time.monotonic() + 10
        while queue.counts().pending:
            assert time.monotonic() < deadline_s
            queue.force_flush(0.05)
        assert queue.counts().dropped == {"failed": 5}
        fill(queue, 6, first=5)
        assert queue.force_flush(10)


def test_threads_that_die_one_after_the_other_take_no_core() -> None:
    with queue_to(DyingSender(SystemExit(1), 4)) as queue:
        rests: list[float] = []
        queue._rest = lambda backlog, delay_s: rests.append(delay_s)  # type: ignore[method-assign]  # noqa: ARG005
        fill(queue, 5)
        deadline_s = time.monotonic() + 10
        while not queue.force_flush(0.05):
            assert time.monotonic() < deadline_s
        assert rests == [0.01, 0.02, 0.04, 0.08]


def test_an_encoding_thread_that_died_is_replaced_and_its_items_are_counted() -> None:
    with Backend() as backend, queue_to(backend.url) as queue:
        real = queue._packer._new_encoder

        def fatal() -> Any:
            queue._packer._new_encoder = real
            raise SystemExit(1)

        queue._packer._new_encoder = fatal
        fill(queue, 1)
        deadline_s = time.monotonic() + 10
        while queue.counts().pending:
            assert time.monotonic() < deadline_s
            queue.force_flush(0.05)
        assert queue.counts().dropped == {"failed": 1}
        fill(queue, 2, first=1)
        assert queue.force_flush(10)
        assert backend.taken == ["s1"]
