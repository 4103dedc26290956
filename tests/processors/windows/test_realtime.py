"""Each execution to whoever subscribes: none in another's way, nothing without bound, what is lost is counted."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.testing import SteppingClock
from kaizen_processors.execution import ExecutionMetrics
from kaizen_processors.fence import Fence
from kaizen_processors.ledger import TallySnapshot
from kaizen_processors.realtime import RealTimeMetrics, RealTimeOptions
from kaizen_processors.recent import REMEMBERED_IDS, RecentExecutions
from kaizen_processors.resources import ResourceUsage
from kaizen_processors.snapshots import Snapshots
from kaizen_processors.windows import Windows
from tests.processors.forking import needs_fork, run_forking
from tests.processors.windows.records import CENT, execution

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S = 30.0
"""How long a test waits for what must happen; it does not wait this long unless it fails."""

STREAMING = RealTimeOptions(streaming=True)


class Stage:
    """Makes real-time metrics, and ends them."""

    def __init__(self) -> None:
        self.fence = Fence()
        self.seen: list[str] = []
        self.gate = threading.Event()
        self._made: list[RealTimeMetrics] = []

    def metrics(self, options: RealTimeOptions = STREAMING, **given: Any) -> RealTimeMetrics:
        made = RealTimeMetrics(options, fence=self.fence, **given)
        self._made.append(made)
        return made

    def see(self, metrics: ExecutionMetrics) -> None:
        self.seen.append(metrics.agent_name)

    def end(self) -> None:
        self.gate.set()
        for one in self._made:
            one.shutdown()


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.end()


def until(condition: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.001)


# -- subscribers --------------------------------------------------------------------------------------------------


def test_a_subscriber_is_told_of_each_execution_as_it_ends(stage: Stage) -> None:
    metrics = stage.metrics()
    metrics.subscribe(stage.see)
    metrics.on_execution(execution("ann"))
    until(lambda: stage.seen == ["ann"])
    metrics.on_execution(execution("bob"))
    until(lambda: stage.seen == ["ann", "bob"])


def test_without_streaming_subscribers_are_told_after_the_interval(stage: Stage) -> None:
    metrics = stage.metrics(RealTimeOptions(collection_interval=3_600.0))
    metrics.subscribe(stage.see)
    metrics.on_execution(execution("ann"))
    (subscription,) = metrics._subscriptions
    assert not subscription._wake.is_set()
    assert metrics.flush(WAIT_S)
    assert stage.seen == ["ann"]
    hasty = stage.metrics(RealTimeOptions(collection_interval=0.001))
    hasty.subscribe(stage.see)
    hasty.on_execution(execution("bob"))
    until(lambda: stage.seen == ["ann", "bob"])


def test_a_coroutine_function_is_awaited_on_one_loop(stage: Stage) -> None:
    loops: list[Any] = []

    async def see(metrics: ExecutionMetrics) -> None:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())
        stage.see(metrics)

    metrics = stage.metrics()
    metrics.subscribe(see)
    for name in ("ann", "bob"):
        metrics.on_execution(execution(name))
    assert metrics.flush(WAIT_S)
    assert stage.seen == ["ann", "bob"]
    assert len(set(map(id, loops))) == 1


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_what_a_subscriber_raises_is_counted_and_it_is_told_of_the_next(
    stage: Stage, error: type[BaseException]
) -> None:
    def see(metrics: ExecutionMetrics) -> None:
        stage.see(metrics)
        raise error

    metrics = stage.metrics()
    metrics.subscribe(see)
    metrics.subscribe(lambda one: stage.seen.append(f"other {one.agent_name}"))
    for name in ("ann", "bob"):
        metrics.on_execution(execution(name))
    assert metrics.flush(WAIT_S)
    assert sorted(stage.seen) == ["ann", "bob", "other ann", "other bob"]
    assert stage.fence.counts() == {f"subscriber:{error.__name__}": 2}


def test_a_slow_subscriber_delays_nobody_and_what_it_misses_is_counted(stage: Stage) -> None:
    entered = threading.Event()

    def slow(_: ExecutionMetrics) -> None:
        entered.set()
        stage.gate.wait(WAIT_S)

    metrics = stage.metrics(RealTimeOptions(streaming=True, buffer_size=3))
    metrics.subscribe(slow)
    metrics.on_execution(execution("first"))
    assert entered.wait(WAIT_S)
    metrics.subscribe(stage.see)
    for number in range(10):
        metrics.on_execution(execution(f"agent-{number}"))
        until(lambda number=number: len(stage.seen) == number + 1)
    assert metrics.dropped == 7
    assert not metrics.flush(0.01)
    slow_one = metrics._subscriptions[0]
    assert [record.agent_name for record in slow_one._waiting] == ["agent-7", "agent-8", "agent-9"]
    stage.gate.set()
    assert metrics.flush(WAIT_S)
    assert slow_one.delivered == 4


def test_who_unsubscribes_is_told_no_more(stage: Stage) -> None:
    metrics = stage.metrics()
    unsubscribe = metrics.subscribe(stage.see)
    metrics.on_execution(execution("ann"))
    unsubscribe()
    unsubscribe()
    assert stage.seen == ["ann"]
    metrics.on_execution(execution("bob"))
    assert metrics.flush(WAIT_S)
    assert stage.seen == ["ann"]
    until(lambda: not [one for one in threading.enumerate() if one.name == "kaizen-otel-subscriber"])


def test_a_subscriber_may_unsubscribe_itself(stage: Stage) -> None:
    metrics = stage.metrics()
    ends: list[Any] = []

    def once(one: ExecutionMetrics) -> None:
        stage.see(one)
        ends[0]()

    ends.append(metrics.subscribe(once))
    metrics.on_execution(execution("ann"))
    until(lambda: not metrics._subscriptions)
    metrics.on_execution(execution("bob"))
    assert stage.seen == ["ann"]


def test_after_a_shutdown_another_execution_starts_the_thread_again(stage: Stage) -> None:
    metrics = stage.metrics()
    metrics.subscribe(stage.see)
    metrics.on_execution(execution("ann"))
    metrics.shutdown()
    assert stage.seen == ["ann"]
    until(lambda: not [one for one in threading.enumerate() if one.name == "kaizen-otel-subscriber"])
    metrics.on_execution(execution("bob"))
    until(lambda: stage.seen == ["ann", "bob"])


def test_what_is_offered_while_the_thread_ends_is_delivered(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = stage.metrics()
    metrics.subscribe(stage.see)
    metrics.on_execution(execution("ann"))
    assert metrics.flush(WAIT_S)

    def offer_another(_: object) -> None:
        monkeypatch.undo()
        metrics.on_execution(execution("late"))

    monkeypatch.setattr("kaizen_processors.subscriptions._LazyRunner.close", offer_another)
    metrics.shutdown()
    until(lambda: stage.seen == ["ann", "late"])


def test_what_cannot_be_called_is_no_subscriber(stage: Stage) -> None:
    with pytest.raises(TypeError, match="expected a function, got str"):
        stage.metrics().subscribe("print")  # type: ignore[arg-type]


def test_switched_off_nothing_is_kept_or_told(stage: Stage) -> None:
    metrics = stage.metrics(RealTimeOptions(enabled=False, streaming=True))
    metrics.subscribe(stage.see)
    metrics.on_execution(execution())
    assert metrics.flush(WAIT_S)
    assert (metrics.metrics_buffer, stage.seen) == ([], [])


FORK = """
import os
from kaizen_processors.realtime import RealTimeMetrics, RealTimeOptions
from tests.processors.windows.records import execution

seen = []
metrics = RealTimeMetrics(RealTimeOptions(streaming=True))
metrics.subscribe(lambda one: seen.append(one.agent_name))
metrics.on_execution(execution("parent"))
assert metrics.flush(30)
pid = os.fork()
if pid == 0:
    assert metrics.metrics_buffer == []
    metrics.on_execution(execution("child"))
    assert metrics.flush(30)
    assert seen == ["parent", "child"], seen
    os._exit(0)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
"""


@needs_fork
def test_a_forked_child_tells_subscribers_of_its_own() -> None:
    run_forking(FORK)


# -- options ------------------------------------------------------------------------------------------------------


def test_options_are_read_from_the_dictionary_of_the_interface() -> None:
    config = {"metrics_collection": {"enabled": True, "collection_interval": 1, "buffer_size": 1000, "streaming": True}}
    assert RealTimeOptions.from_config(config) == STREAMING
    assert RealTimeOptions.from_config({"streaming": True}) == STREAMING


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"buffer": 3}, "unknown key 'buffer' of metrics_collection; known: enabled, collection_interval"),
        ({"buffer_size": 0}, "buffer_size cannot be 0"),
        ({"buffer_size": True}, "buffer_size cannot be True"),
        ({"collection_interval": 0}, "collection_interval cannot be 0"),
        ({"collection_interval": "1s"}, "collection_interval cannot be '1s'"),
        ({"streaming": 1}, "streaming cannot be 1; allowed: true, false"),
    ],
)
def test_options_that_are_not_allowed_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RealTimeOptions.from_config(config)


# -- what is kept -------------------------------------------------------------------------------------------------


def test_the_buffer_keeps_the_last_executions(stage: Stage) -> None:
    metrics = stage.metrics(RealTimeOptions(buffer_size=3))
    for number in range(5):
        metrics.on_execution(execution(f"agent-{number}"))
    assert [one.agent_name for one in metrics.metrics_buffer] == ["agent-2", "agent-3", "agent-4"]
    assert [one.agent_name for one in metrics.get_recent_executions(2)] == ["agent-3", "agent-4"]
    assert [one.agent_name for one in metrics.get_recent_executions(agent_name="agent-2")] == ["agent-2"]


def test_all_figures_of_an_execution_are_collected(stage: Stage) -> None:
    clock = SteppingClock(step_ns=0)
    windows = Windows(clock)
    metrics = stage.metrics(clock=clock, snapshots=lambda: Snapshots(windows, clock))
    record = execution(
        own=TallySnapshot(1, 30, 20, CENT),
        duration_ms=250,
        quality_score=0.9,
        confidence=0.8,
        business={"user_satisfaction": 4.5},
        resources=ResourceUsage(12.5, 100.0, 1.0, 2_048, alone=True),
    )
    windows.on_execution(record)
    collected = metrics.collect_execution_metrics(record)
    assert collected == metrics.collect_execution_metrics(ExecutionMetrics.of(record))
    del collected["timestamp"]
    assert collected == {
        "execution_id": "0" * 32,
        "agent_name": "ann",
        "model_used": "m",
        "execution_time_ms": 250.0,
        "tokens_input": 30,
        "tokens_output": 20,
        "tokens_total": 50,
        "memory_usage_mb": 100.0,
        "cpu_usage_percent": 12.5,
        "network_io_bytes": 2_048,
        "estimated_cost_usd": 0.01,
        "cost_per_token": 0.0002,
        "response_quality_score": 0.9,
        "confidence_level": 0.8,
        "error_rate": 0.0,
        "user_satisfaction": 4.5,
        "task_completion_rate": None,
        "business_value_score": None,
    }


def test_business_figures_are_the_means_of_those_that_have_one(stage: Stage) -> None:
    metrics = stage.metrics()
    assert metrics.get_business_metrics()["user_satisfaction"] is None
    own = TallySnapshot(1, 30, 20, CENT)
    for score in (4.0, 5.0, None):
        metrics.on_execution(execution(own=own, business={} if score is None else {"user_satisfaction": score}))
    assert metrics.get_business_metrics() == {
        "executions": 3,
        "user_satisfaction": 4.5,
        "task_completion_rate": None,
        "business_value_score": None,
        "cost_usd": pytest.approx(0.03),
        "cost_per_execution": pytest.approx(0.01),
        "cost_per_token": pytest.approx(0.0002),
    }


def test_summaries_are_snapshots_as_dictionaries(stage: Stage) -> None:
    clock = SteppingClock(step_ns=0)
    windows = Windows(clock)
    snapshots = Snapshots(windows, clock, lambda _: 1)
    metrics = stage.metrics(clock=clock, snapshots=lambda: snapshots)
    assert metrics.get_performance_summary("1h") == {"error": "No metrics in time range"}
    assert metrics.get_agent_metrics("ann") == {"error": "No metrics found for agent"}
    windows.on_execution(execution())
    assert metrics.get_agent_metrics("ann", "1h") == snapshots.take(3_600.0, agent="ann").as_dict()
    assert metrics.get_performance_summary(60)["total_executions"] == 1
    dashboard = metrics.get_real_time_dashboard()
    assert dashboard["overview"]["total_executions"] == 1
    assert dashboard["agents"]["ann"]["status"] == "active"
    assert dashboard["agents"]["ann"]["recent_performance"]["success_rate"] == 1.0
    with pytest.raises(ValueError, match="window cannot be '7d'"):
        metrics.get_agent_metrics("ann", "7d")


def test_without_windows_summaries_say_so(stage: Stage) -> None:
    metrics = stage.metrics()
    metrics.on_execution(execution())
    assert metrics.get_performance_summary() == {"error": "No metrics in time range"}
    assert metrics.get_real_time_dashboard()["agents"] == {}
    assert metrics.get_performance_history() == []
    assert metrics.collect_execution_metrics(execution())["error_rate"] is None


# -- by id --------------------------------------------------------------------------------------------------------


def test_what_is_said_later_enriches_the_execution() -> None:
    clock = SteppingClock(step_ns=0)
    recent = RecentExecutions(clock)
    recent.on_execution(execution(execution_id="a", quality_score=0.5, metadata={"run": 1}))
    clock.advance(5)
    known = recent.enrich("a", {"quality_score": 0.9, "user_id": "u", "confidence": None, "metadata": {"kind": "x"}})
    assert known is not None
    assert (known.quality_score, known.ended_ns) == (0.5, 0)
    again = recent.enrich("a", {"metadata": {"more": 2}})
    assert again is not None
    assert again.quality_score == 0.9
    (one,) = recent.metrics()
    assert (one.quality_score, one.user_id, one.confidence) == (0.9, "u", None)
    assert one.metadata == {"run": 1, "kind": "x", "more": 2}
    assert recent.enrich("b", {"quality_score": 0.1}) is None


def test_ids_are_remembered_longer_than_executions_are_kept_and_both_are_bounded() -> None:
    recent = RecentExecutions(keep=10)
    for number in range(REMEMBERED_IDS + 5):
        recent.on_execution(execution(execution_id=str(number)))
        if number % 100 == 0:
            assert recent.enrich(str(number), {"user_id": "u"}) is not None
    assert recent.enrich("4", {}) is None
    assert recent.enrich("5", {}) is not None
    assert len(recent.metrics()) == len(recent._said) == 10
    assert len(recent._known) == REMEMBERED_IDS
    recent.resize(3)
    assert [one.execution_id for one in recent.metrics()] == [str(REMEMBERED_IDS + n) for n in (2, 3, 4)]
