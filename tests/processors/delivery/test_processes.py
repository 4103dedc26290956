"""Ends of real processes: forks, multiprocessing's children, dead and hanging endpoints at exit."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.processors.delivery.backend import Backend, unused_url
from tests.processors.delivery.programs import (
    EXIT,
    FORKED_SENDER,
    FORKS,
    LARGE,
    THREADLESS,
    TRANSPORTS,
    WORK,
    WRAPPED,
    backend_of,
    run,
)
from tests.processors.delivery.support import queue_to, soon, span

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_processors.export.retry import Backoff


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("way", "kind"),
    [
        ("process", "fork"),
        ("process", "spawn"),
        ("process", "forkserver"),
        ("pool", "fork"),
        ("executor", "fork"),
        ("executor", "spawn"),
        ("fork", "none"),
        ("used_before", "fork"),
    ],
)
def test_children_deliver_everything_once(way: str, kind: str, transport: str, tmp_path: Path) -> None:
    with backend_of(transport) as (url, taken):
        run(WORK, tmp_path, url, way, kind)
        own = ["s0", "s100"] if way == "used_before" else ["s0"]
        assert sorted(taken) == sorted([*own, *(f"s{number}" for number in range(1, 9))])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_children_forked_in_the_middle_of_exports_end_well_and_deliver(transport: str, tmp_path: Path) -> None:
    with backend_of(transport) as (url, taken):
        made = int(run(WORK, tmp_path, url, "exporting", "none"))
        expected = {*(f"s{number}" for number in range(61)), *(f"sp{number}" for number in range(made))}
        assert set(taken) == expected
        assert len(taken) == len(expected)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_fork_at_any_moment_of_a_request_leaves_both_sides_well(transport: str, tmp_path: Path) -> None:
    with backend_of(transport) as (url, _):
        ends = run(FORKED_SENDER, tmp_path, url).split()
    assert ends == ["0"] * 150


def test_a_fork_waits_for_a_hanging_call_once_and_shortly(tmp_path: Path) -> None:
    with backend_of("grpc", hangs=True) as (url, _):
        forked_s = [float(text) for text in run(FORKS, tmp_path, url).split()]
    assert sum(forked_s) < 10  # 20 forks; each of them would wait a quarter of a second, or the call's ten


def test_a_queue_that_has_ended_stays_ended_in_children(tmp_path: Path) -> None:
    with Backend() as backend:
        run(WORK, tmp_path, backend.url, "ended_before", "fork")
        assert backend.taken == ["s0"]


@pytest.mark.parametrize("processor", ["BatchSpanProcessor", "SimpleSpanProcessor"])
@pytest.mark.parametrize("kind", ["fork", "spawn"])
def test_children_with_a_wrapped_exporter_deliver_everything_once(kind: str, processor: str, tmp_path: Path) -> None:
    run(WRAPPED, tmp_path, str(tmp_path / "taken"), processor, kind)
    assert sorted((tmp_path / "taken").read_text().split()) == [f"s{number}" for number in range(9)]


def test_a_wrapped_exporter_that_hangs_does_not_hold_the_exit_up(tmp_path: Path) -> None:
    assert float(run(WRAPPED, tmp_path, "hangs", "BatchSpanProcessor", "fork")) < 4.0


def test_two_thousand_spans_of_a_megabyte_stay_within_the_bounds_while_the_backend_hangs(tmp_path: Path) -> None:
    with backend_of("http", hangs=True) as (url, _):
        grown_mib = int(run(LARGE, tmp_path, url))
    assert 0 < grown_mib < 64 + 64  # what waits to be encoded, and what encodes it


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_process_that_just_ends_has_delivered(transport: str, tmp_path: Path) -> None:
    with backend_of(transport) as (url, taken):
        run(EXIT, tmp_path, url)
        assert len(taken) == 201


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_dead_endpoint_does_not_hold_the_exit_up(transport: str, tmp_path: Path) -> None:
    url = unused_url() if transport == "http" else unused_url().replace("http", "grpc")
    assert float(run(EXIT, tmp_path, url)) < 2.5


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_hanging_endpoint_holds_the_exit_up_for_two_seconds_whatever_the_number_of_queues(
    transport: str, tmp_path: Path
) -> None:
    with backend_of(transport, hangs=True) as (url, _):
        assert float(run(EXIT, tmp_path, url)) < 3.0


def test_it_holds_a_child_of_multiprocessing_up_no_longer(tmp_path: Path) -> None:
    with backend_of("http", hangs=True) as (url, _):
        assert float(run(EXIT, tmp_path, url, "child")) < 3.0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_process_that_can_start_no_thread_still_delivers(transport: str, tmp_path: Path) -> None:
    with backend_of(transport) as (url, taken):
        run(THREADLESS, tmp_path, url)
        assert len(taken) == 20


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_process_that_can_start_no_thread_ends_with_a_hanging_endpoint(transport: str, tmp_path: Path) -> None:
    with backend_of(transport, hangs=True) as (url, taken):
        began_s = time.monotonic()
        run(THREADLESS, tmp_path, url)
        assert time.monotonic() - began_s < 20
        assert taken == []


def test_threads_that_use_a_queue_first_at_once_in_a_child_use_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    with Backend() as backend, queue_to(backend.url) as queue:
        queue.after_fork_in_child()
        in_it, go_on = threading.Event(), threading.Event()

        def slowly() -> Backoff:  # a part of the beginning
            in_it.set()
            assert go_on.wait(10)
            return soon()

        monkeypatch.setattr(queue, "_new_backoff", slowly)
        threads = [threading.Thread(target=queue.put, args=(span(number),)) for number in range(2)]
        threads[0].start()
        assert in_it.wait(10)
        threads[1].start()
        threads[1].join(0.05)  # it may not go past the first
        go_on.set()
        for thread in threads:
            thread.join()
        assert queue.force_flush(10)
        assert queue.counts().exported == 2
