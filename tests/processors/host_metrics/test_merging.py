"""The metrics of several workers as one: exact, in any order, and never less than before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaizen_otel.testing.deterministic import SteppingClock
from kaizen_processors.host_metrics import Reading, merge, pack, retire, to_metrics_data, unpack
from kaizen_processors.host_metrics.merging import OVERFLOW
from kaizen_processors.host_metrics.numbers import exact
from kaizen_processors.host_metrics.reading import Distribution, Kind, Stream, labels_of
from kaizen_processors.money import to_float
from tests.processors.host_metrics.workers import RESOURCE, SCOPE, Worker, points_of, values

DURATION = "kaizen.execution.duration"
COST = "kaizen.cost.usd"
ACTIVE = "kaizen.active_agents"
FIVE_MINUTES_S = 300.0


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock(step_ns=0)


def points(reading: Reading) -> dict[str, Any]:
    """Everything that a reader of metrics would be given, but for the times at which the counting began."""
    (resource,) = to_metrics_data(reading, RESOURCE, SCOPE).resource_metrics
    return {
        one.name: {
            labels_of(point.attributes): (
                (list(point.bucket_counts), point.explicit_bounds, point.sum, point.count, point.min, point.max)
                if one.name == DURATION
                else point.value
            )
            for point in points_of(reading, one.name)
        }
        for one in resource.scope_metrics[0].metrics
    }


names = st.sampled_from(["ann", "ben", "cat"])
# Whole parts of 1/1024: a single process adds the floats up in the order they come, and only such sums are exact there.
durations = st.integers(0, 400 * 1024).map(lambda parts: parts / 1024)
work = st.one_of(
    st.tuples(
        st.just("run"),
        st.fixed_dictionaries(
            {
                "agent": names,
                "model": st.sampled_from(["m", "none"]),
                "status": st.sampled_from(["success", "error", "cancelled"]),
                "duration_s": durations,
            }
        ),
    ),
    st.tuples(
        st.just("ask"),
        st.fixed_dictionaries(
            {
                "agent": names,
                "tokens": st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
                "price": st.integers(0, 10**26),
            }
        ),
    ),
)


@given(
    st.lists(st.tuples(st.integers(0, 3), work, st.booleans()), max_size=60),
    st.permutations(range(4)),
)
def test_however_work_is_split_over_workers_the_host_says_what_one_process_would(
    done: list[tuple[int, tuple[str, dict[str, Any]], bool]], order: list[int]
) -> None:
    clock = SteppingClock(step_ns=0)
    alone = Worker(clock)
    workers = [Worker(clock) for _ in range(4)]
    retired: Reading | None = None
    for number, (what, details), dies in done:
        for one in (alone, workers[number]):
            getattr(one, what)(**details)
        if dies:  # and another takes its place
            retired = retire(retired, unpack(pack(workers[number].read())))
            workers[number] = Worker(clock)

    kept = None if retired is None else unpack(pack(retired))
    host = merge([workers[number].read() for number in order], kept, clock.time_ns())

    assert points(host) == points(merge([alone.read()], None, clock.time_ns()))
    assert points(host) == points(alone.read())


@given(st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=2, max_size=12), st.data())
def test_no_sum_goes_down_when_workers_are_folded_away(durations_s: list[float], data: st.DataObject) -> None:
    # Adding floats in another order may lose the last digit, and to Prometheus that is a counter that began anew.
    clock = SteppingClock(step_ns=0)
    living = []
    for duration_s in durations_s:
        living.append(Worker(clock))
        living[-1].run(duration_s=duration_s)
    readings = [one.read() for one in living]
    retired: Reading | None = None
    before = points_of(merge(readings, None, 0), DURATION)[0].sum
    for gone in data.draw(st.permutations(list(readings))):
        readings.remove(gone)
        retired = retire(retired, gone)
        after = points_of(merge(readings, unpack(pack(retired)), 0), DURATION)[0].sum
        assert after == before


def test_dollars_are_the_ledgers_own_sum_rounded_once(clock: SteppingClock) -> None:
    one, other = Worker(clock), Worker(clock)
    third_of_a_dollar = 333_333_333_333_333_333_333_333
    one.ask(price=third_of_a_dollar)
    other.ask(price=third_of_a_dollar + 1)

    (cost,) = values(merge([one.read(), other.read()], None, 0), COST).values()

    assert cost == to_float(2 * third_of_a_dollar + 1)


def test_an_agent_that_two_workers_run_is_one_active_agent(clock: SteppingClock) -> None:
    one, other = Worker(clock), Worker(clock)
    one.run("ann")
    other.run("ann")
    other.run("ben")

    host = merge([one.read(), other.read()], None, clock.time_ns())

    assert values(host, ACTIVE) == {("test",): 2}


def test_an_agent_is_active_for_five_minutes_after_its_last_run_on_any_worker(clock: SteppingClock) -> None:
    one, other = Worker(clock), Worker(clock)
    one.run("ann")
    clock.advance(200.0)
    other.run("ann")
    readings = [one.read(), other.read()]

    clock.advance(FIVE_MINUTES_S)
    assert values(merge(readings, None, clock.time_ns()), ACTIVE) == {("test",): 1}
    clock.advance(0.001)
    assert values(merge(readings, None, clock.time_ns()), ACTIVE) == {("test",): 0}


def test_what_a_killed_worker_ran_is_active_for_five_minutes_after_it_was_last_heard_of(clock: SteppingClock) -> None:
    worker = Worker(clock)
    worker.ledger.start_execution("ann")
    retired = retire(None, worker.read())

    clock.advance(FIVE_MINUTES_S)
    assert values(merge([], retired, clock.time_ns()), ACTIVE) == {("test",): 1}
    clock.advance(0.001)
    assert values(merge([], retired, clock.time_ns()), ACTIVE) == {("test",): 0}


def test_an_agent_that_still_runs_elsewhere_stays_active(clock: SteppingClock) -> None:
    gone, other = Worker(clock), Worker(clock)
    gone.run("ann")
    other.ledger.start_execution("ann")
    retired = retire(None, gone.read())
    clock.advance(10 * FIVE_MINUTES_S)

    assert values(merge([other.read()], retired, clock.time_ns()), ACTIVE) == {("test",): 1}


def gauge(name: str, value: float, kind: Kind = Kind.GAUGE) -> Reading:
    stream = Stream(name, kind)
    stream.points[labels_of({"signal": "traces"})] = exact(value)
    return Reading(1, [stream])


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("kaizen.telemetry.queue.usage", Kind.GAUGE, 9),
        ("kaizen.telemetry.queue.limit", Kind.GAUGE, 9),
        ("kaizen.telemetry.disabled_observers", Kind.GAUGE, 9),
        ("otel.sdk.processor.span.queue.size", Kind.UP_DOWN, 9),
        ("kaizen.telemetry.spool.usage", Kind.GAUGE, 5),
        ("kaizen.telemetry.spool.limit", Kind.GAUGE, 5),
    ],
)
def test_what_each_worker_has_adds_up_and_what_all_share_counts_once(name: str, kind: Kind, expected: int) -> None:
    host = merge([gauge(name, 4, kind), gauge(name, 5, kind)], None, 1)

    assert values(host, name) == {("traces",): expected}


@pytest.mark.parametrize("kind", [Kind.GAUGE, Kind.UP_DOWN])
def test_what_waited_in_a_worker_that_is_gone_waits_no_more(kind: Kind) -> None:
    retired = retire(None, gauge("otel.sdk.processor.span.queue.size", 4, kind))

    assert merge([], retired, 1).streams == {}


def histogram(bounds: tuple[float, ...], counts: list[int]) -> Reading:
    stream = Stream(DURATION, Kind.HISTOGRAM, start_ns=7)
    stream.points[()] = Distribution(bounds, counts, 1, 0.0, 1.0)
    return Reading(1, [stream])


def test_other_edges_of_another_version_lose_no_count() -> None:
    new = histogram((1.0, 2.0, 5.0), [1, 1, 1, 1])
    old = histogram((0.5, 2.0, 3.0), [10, 20, 30, 40])

    (point,) = points_of(merge([new, old], None, 1), DURATION)

    # What lay below an old edge lies below the next new one.
    assert point.bucket_counts == [11, 21, 31, 41]
    assert point.explicit_bounds == (1.0, 2.0, 5.0)
    assert (point.count, point.sum) == (104, 2)


def test_merging_leaves_what_it_was_given_alone() -> None:
    one, other = histogram((1.0,), [1, 2]), histogram((1.0,), [3, 4])
    retired = retire(None, one)

    merge([one, other], retired, 1)
    retire(retired, other)

    assert one == histogram((1.0,), [1, 2])
    assert other == histogram((1.0,), [3, 4])
    assert retired == histogram((1.0,), [1, 2])


def test_the_host_counts_from_when_its_first_worker_did() -> None:
    first, second = histogram((1.0,), [1, 0]), histogram((1.0,), [1, 0])
    second.streams[DURATION, Kind.HISTOGRAM].start_ns = 9
    retired = retire(None, first)

    (point,) = points_of(merge([second], retired, 11), DURATION)

    assert (point.start_time_unix_nano, point.time_unix_nano) == (7, 11)


def test_what_is_kept_of_the_gone_is_bounded() -> None:
    def counted(agent: str, times: int) -> Reading:
        stream = Stream("kaizen.agent.executions", Kind.COUNTER)
        stream.points[labels_of({"agent_name": agent})] = times
        return Reading(1, [stream])

    retired: Reading | None = None
    for number in range(10):
        retired = retire(retired, counted(f"agent-{number % 5}", 1), max_points=3)
        retired = retire(retired, counted("agent-0", 1), max_points=3)
    assert retired is not None

    kept = retired.streams["kaizen.agent.executions", Kind.COUNTER].points
    assert kept == {
        labels_of({"agent_name": "agent-0"}): 12,
        labels_of({"agent_name": "agent-1"}): 2,
        labels_of({"agent_name": "agent-2"}): 2,
        OVERFLOW: 4,
    }
