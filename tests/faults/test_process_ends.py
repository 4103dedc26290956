"""Ends of processes, planned and not: what is promised of the spans that they had made."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.faults.support import numbered, replayed, run, running
from tests.processors.delivery.backend import Backend, unused_url

if TYPE_CHECKING:
    from pathlib import Path

SPANS = 500
PATIENT = '{"shutdown_s": 30}'
"""For a busy machine, where the time that the exit takes is not what is tested."""


def test_an_interrupt_of_asyncio_delivers() -> None:
    made = ("--spans", SPANS, "--settings", PATIENT, "--end", "asyncio")
    with Backend() as backend, running("app", backend.url, *made) as app:
        app.wait_for("serving")
        app.process.send_signal(signal.SIGINT)
        app.end()
        assert backend.taken == numbered(SPANS)


@pytest.mark.parametrize("spooled", [False, True])
def test_os_exit_loses_nothing_that_was_flushed(spooled: bool, tmp_path: Path) -> None:
    made = ("--spans", SPANS, "--flush", 30, "--end", "os_exit")
    if spooled:
        run("app", unused_url(), *made, "--spool", tmp_path)
        assert replayed(tmp_path, numbered(SPANS)) == numbered(SPANS)
        return
    with Backend() as backend:
        run("app", backend.url, *made)
        assert backend.taken == numbered(SPANS)


def test_what_the_spool_has_taken_outlives_a_kill(tmp_path: Path) -> None:
    made = ("--spans", 1_000_000, "--rate", 2_000, "--tell-every", 100, "--spool", tmp_path)
    with running("app", unused_url(), *made) as app:
        while (spooled := app.wait_for("so_far")["spooled"]) < 5_000:
            pass
        app.process.kill()
        app.end(-signal.SIGKILL)
    spooled = max(told.get("spooled", 0) for told in app.told)
    arrived = replayed(tmp_path, numbered(spooled))
    assert arrived == numbered(len(arrived))


def test_forking_while_exporting_breaks_no_request() -> None:
    children = 200
    with Backend() as backend:
        told = run("forks", backend.url, "exporting", children)["forked"]
        assert told["codes"] == [0]
        assert backend.broken == []
        assert len(backend.requests) > children
        expected = [*numbered(told["parent"], "parent"), *numbered(children, "child")]
        assert sorted(backend.taken) == sorted(expected)


@pytest.mark.parametrize("module", ["urllib3.response", "encodings.idna"])
def test_forking_while_the_first_request_is_prepared_costs_the_child_nothing(module: str) -> None:
    with Backend() as backend:
        told = run("forks", backend.url, "loading", 1, module)["forked"]
        assert (told["held"], told["codes"]) == (True, [0])
        assert sorted(backend.taken) == ["child0", "parent0"]


def test_children_that_leave_without_a_word_cost_only_what_they_had_not_flushed() -> None:
    with Backend() as backend:
        told = run("forks", backend.url, "os_exit", 10)["forked"]
        assert backend.broken == []
        taken = set(backend.taken)
        assert len(taken) == len(backend.taken)
        assert taken >= {*numbered(told["parent"], "parent"), *(f"child{number}" for number in range(0, 10, 2))}


def test_threads_that_outlive_the_main_thread_neither_crash_nor_hang_nor_lose() -> None:
    with Backend() as backend, running("threads", backend.url, SPANS) as threads:
        threads.end()
        assert threads.errors == ""
        assert [name for name in backend.taken if re.fullmatch(r"s\d+", name)] == numbered(SPANS)
