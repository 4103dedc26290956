"""The windows of many workers: exactly the sums of one process that had done it all, and its percentiles."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen_processors.sketch import RELATIVE_ERROR
from kaizen_processors.window_sums import WindowSums
from kaizen_processors.windows import Group
from tests.processors.store.host import Host
from tests.processors.windows.records import CENT, call, execution
from tests.processors.windows.test_windows import GROUPS, RECORDS
from tests.processors.windows.watched import _belongs

STEPS = st.one_of(
    st.tuples(st.just("see"), st.integers(0, 2), RECORDS),
    st.tuples(st.just("see"), st.integers(0, 2), RECORDS),
    st.tuples(st.just("tick"), st.integers(0, 2), st.none()),
    st.tuples(st.just("wait"), st.none(), st.floats(0.001, 40) | st.floats(0, 4_000)),
)


def sums_of(records: list[Any], group: Group) -> WindowSums:
    sums = WindowSums()
    for record in records:
        if _belongs(record, group):
            (sums.add_execution if hasattr(record, "status") else sums.add_call)(record)
    return sums


@given(st.lists(STEPS, max_size=40), GROUPS)
@settings(max_examples=60, deadline=None)
def test_however_work_and_ticks_are_spread_every_worker_has_the_exact_sum(
    steps: list[tuple[str, int | None, Any]], group: Group
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        host = Host(Path(folder), 3)
        seen: list[tuple[int, Any]] = []
        for what, who, value in steps:
            if what == "wait":
                host.wait(value)
            elif what == "tick":
                host.workers[who or 0].tick()
            else:
                host.workers[who or 0].see(value)
                seen.append((host.clock.monotonic_ns(), value))
        host.settle()
        since_ns = host.clock.monotonic_ns() - 86_000 * 10**9
        expected = sums_of([record for at_ns, record in seen if at_ns >= since_ns], group)
        for worker in host.workers:
            assert worker.failures == {}
            assert worker.windows.read(group, 86_400.0).sums == expected
        with host.reader() as reader:
            assert reader.window(group, 86_400.0).sums == expected
        for worker in host.workers:
            worker.store.shutdown()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 10**12)), min_size=1, max_size=200))
@settings(max_examples=25, deadline=None)
def test_percentiles_of_the_host_are_within_the_bound_of_the_sketch(durations: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        host = Host(Path(folder), 4)
        for who, duration_ns in durations:
            host.workers[who].see(execution(duration_ms=duration_ns / 1e6))
        host.settle()
        exact = sorted(int(duration_ns / 1e6 * 1e6) for _, duration_ns in durations)
        for q in (0.5, 0.95, 0.99):
            wanted = exact[max(math.ceil(q * len(exact)) - 1, 0)]
            found = host.workers[2].windows.read(Group(), 300.0).sums.latency.quantile(q)
            assert found == pytest.approx(wanted, rel=RELATIVE_ERROR * 1.001)


def test_money_beyond_64_bits_is_exact(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    for worker in host.workers:
        for _ in range(1_000):
            worker.see(call())
    host.settle()
    assert host.workers[0].windows.read().sums.cost_units == 2_000 * CENT
    assert 2_000 * CENT > 2**63


def test_what_comes_late_reaches_the_others(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    host.pass_time(120.0)
    host.workers[0].see(execution("ann", ended_ago_ns=70 * 10**9))
    host.settle()
    assert host.workers[1].windows.read(Group("ann"), 300.0).sums.success == 1
    assert host.workers[1].windows.read(Group("ann"), 20.0).sums.success == 0


def test_a_newcomer_knows_the_last_day_and_counts_nothing_twice(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    for _ in range(30):
        host.workers[0].see(call())
        host.wait(3_600.0)
        host.workers[0].tick()
    newcomer = host.start()
    newcomer.see(call())
    host.workers.append(newcomer)
    host.settle()
    for worker in host.workers:
        window = worker.windows.read(Group(), 86_400.0)
        assert window.sums.model_calls == 1 + 24
        assert window.observed_s == pytest.approx(86_400.0, abs=300.0)


def test_a_worker_that_slept_through_a_roll_up_reads_everything_anew(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    awake, asleep = host.workers
    host.settle()
    for _ in range(200):  # half an hour, in which rows of ten seconds become rows of minutes
        awake.see(call())
        host.wait(10.0)
        awake.tick()
    assert awake.store.leads()
    asleep.tick()
    assert asleep.store.stats()["rebuilt"] == 1
    host.settle()
    assert asleep.windows.read(Group(), 3_600.0).sums.model_calls == 200
    assert awake.windows.read(Group(), 3_600.0).sums.model_calls == 200


def test_a_row_is_rolled_up_only_when_every_living_worker_has_read_it(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    first, second = host.workers
    host.pass_time(1_900)
    first.see(call("late", ended_ago_ns=1_800 * 10**9))
    for _ in range(30):  # the second is slow, but it lives
        host.wait(1.0)
        first.tick()
    second.tick()
    host.pass_time(90)
    for worker in host.workers:
        assert worker.windows.read(Group("late"), 3_600.0).sums.model_calls == 1
        assert worker.store.stats()["rebuilt"] == 0


def test_periods_of_the_host_hold_everything_once(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    for at in range(120):
        host.workers[at % 2].see(call())
        host.pass_time(60.0 if at % 10 else 5.0)
    host.settle()
    for worker in host.workers:
        periods = worker.windows.periods(Group(), 600.0, 24)
        assert sum(period.sums.model_calls for period in periods) == 120
