"""Logs that are telemetry: sending them logs, and that must not become telemetry to be sent."""

from __future__ import annotations

from tests.faults.support import numbered, run
from tests.processors.delivery.backend import CLOSE, Backend, Reply

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
