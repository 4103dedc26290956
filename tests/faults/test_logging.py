"""Logs that are telemetry, and must not become telemetry to be sent; and handlers that do not bear what we log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from kaizen_processors.export.spool import Spool
from tests.faults.support import numbered, run
from tests.processors.delivery.backend import CLOSE, Backend, Reply
from tests.processors.delivery.support import fill, names, queue_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINES = 500


def test_what_our_sender_logs_is_not_sent() -> None:
    with Backend(Reply(503), Reply(CLOSE), Reply(429), Reply(400)) as backend:
        told = run("logs", backend.url, LINES)["flushed"]
        # One batch was refused for good, and that is said; it may hold any part of the lines.
        assert set(backend.taken) <= {*numbered(LINES), "last"}
        assert backend.taken[-1] == "last"
    assert told["said"] is False
    assert told["again"] is True
    assert told["put"] == LINES + 1
    assert told["exported"] + told["dropped"]["refused"] == LINES + 1


class Intolerant(logging.Handler):
    """Raises past `logging.raiseExceptions`, as handlers do that override `handle`."""

    heard = 0

    def handle(self, record: logging.LogRecord) -> bool:
        self.heard += 1
        raise RuntimeError(record.name)


@pytest.fixture
def intolerant() -> Iterator[Intolerant]:
    logger, handler = logging.getLogger("kaizen_otel"), Intolerant()
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_a_handler_that_raises_at_our_lines_costs_no_telemetry(intolerant: Intolerant, tmp_path: Path) -> None:
    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 1
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "no folder", "traces")
    script = [Reply(503), Reply(200, {}, partial.SerializeToString())]
    with Backend(*script) as backend, queue_to(backend.url, spool=spool, queue_bytes=100, batch_items=10) as queue:
        fill(queue, 30)
        assert not queue.force_flush(10)
        counts = queue.counts()
        assert backend.taken == names(0, counts.exported + 1)  # nothing twice
        assert counts.dropped["rejected"] == 1
        assert set(counts.dropped) <= {"rejected", "queue_full"}  # no thread of ours died with items in its hands
        assert queue.fence.counts() == {}
    assert intolerant.heard >= 3
