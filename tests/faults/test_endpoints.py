"""A backend that is down, breaks off, refuses for ever or hangs: the application goes on, and ends in time."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.support import EXIT_S, numbered, replayed, run
from tests.processors.delivery.backend import HANG, RESET, Backend, Reply, unused_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAULTS = {"down": None, "reset": Reply(RESET), "503": Reply(503), "hang": Reply(HANG)}
FLUSH_S = 1.0


@contextmanager
def faulty(fault: str) -> Iterator[str]:
    """The URL of a backend with this fault."""
    reply = FAULTS[fault]
    if reply is None:
        yield unused_url()
        return
    with Backend(default=reply) as backend:
        yield backend.url


@pytest.mark.parametrize("fault", FAULTS)
def test_a_flush_tells_the_truth_in_time_and_the_exit_is_short(fault: str) -> None:
    with faulty(fault) as url:
        told = run("app", url, "--spans", 500, "--flush", FLUSH_S)
    assert told["made"]["put"] == 500
    assert told["flushed"]["said"] is False
    assert told["flushed"]["pending"] == 500
    assert told["flushed"]["took_s"] < FLUSH_S + EXIT_S
    assert told["ended"]["exit_s"] < EXIT_S


@pytest.mark.parametrize("fault", FAULTS)
def test_with_a_spool_nothing_is_lost_at_the_exit(fault: str, tmp_path: Path) -> None:
    with faulty(fault) as url:
        told = run("app", url, "--spans", 500, "--spool", tmp_path)
    assert told["ended"]["exit_s"] < EXIT_S
    assert sorted(replayed(tmp_path, numbered(500))) == sorted(numbered(500))


@pytest.mark.parametrize("spooled", [False, True])
def test_a_full_queue_does_not_hold_the_exit_up(spooled: bool, tmp_path: Path) -> None:
    much = ("--spans", 6_000, "--random-bytes", 2_000, "--settings", json.dumps({"queue_bytes": 2**21}))
    spool = ("--spool", tmp_path) if spooled else ()
    with Backend(default=Reply(503)) as backend:
        told = run("app", backend.url, *much, "--flush", 1.0, *spool)
    assert told["ended"]["exit_s"] < EXIT_S
    if spooled:
        assert told["flushed"]["dropped"] == {}
        assert set(replayed(tmp_path, numbered(6_000))) == set(numbered(6_000))
    else:
        assert told["flushed"]["pending_bytes"] <= 2**21
        assert told["flushed"]["dropped"]["queue_full"] > 0


def test_a_flush_is_true_when_everything_has_arrived() -> None:
    with Backend() as backend:
        told = run("app", backend.url, "--spans", 2_000, "--flush", 30)
        assert told["flushed"]["said"] is True
        assert told["flushed"]["exported"] == 2_000
        assert backend.taken == numbered(2_000)
