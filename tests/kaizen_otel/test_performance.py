"""Snapshots, reports and real-time metrics of real Kaizen agents."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel import ExecutionMetrics, PerformanceSnapshot, RealTimeMetrics, Settings
from kaizen_otel.demo.script import ModelRequest, Reply
from kaizen_otel.patches.switch import active
from kaizen_otel.testing import SteppingClock, capture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.performance import PerformanceDesk
    from kaizen_otel.testing import Captured

WAIT_S = 30.0


@pytest.fixture(autouse=True)
def _off_afterwards() -> Iterator[None]:
    yield
    kaizen_otel.uninstrument()


def run_agent(name: str = "qa", model: str = "gpt-4o") -> None:
    from kaizen.core.framework import Kaizen

    Kaizen().create_agent(name, {"model": model, "provider": "openai"}).execute(question="hi")


def desk() -> PerformanceDesk:
    telemetry = active()
    assert telemetry is not None
    return telemetry.performance


def tickers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "kaizen-otel-ticker"]


def reported(**given: Any) -> ExecutionMetrics:
    """What another system says of a run of its own."""
    return ExecutionMetrics(
        **{
            "execution_id": "theirs-1",
            "agent_name": "theirs",
            "model": "gpt-4o",
            "timestamp": datetime.now().astimezone(),
            "duration_ms": 250.0,
            "tokens_input": 150,
            "tokens_output": 75,
            "tokens_total": 225,
            "cost_usd": 0.004,
            "success": True,
            **given,
        }
    )


def test_public_names_are_all_there_and_the_rarely_used_are_loaded_when_used() -> None:
    code = """
import sys, kaizen_otel
assert "kaizen_processors.windows" not in sys.modules
assert all(getattr(kaizen_otel, name) is not None for name in kaizen_otel.__all__)
assert "kaizen_processors.windows" in sys.modules
kaizen_otel.snapshots
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own code
    assert "AttributeError: module 'kaizen_otel' has no attribute 'snapshots'" in done.stderr


# -- snapshots ----------------------------------------------------------------------------------------------------


def test_a_snapshot_says_how_agents_performed(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    run_agent()
    run_agent("other", "gpt-4o-mini")
    kaizen_telemetry.clock.advance(60)
    everything, one = kaizen_otel.snapshot(), kaizen_otel.snapshot("5m", agent="qa")

    assert len(kaizen_offline.requests) == 2
    assert (everything.total_executions, everything.active_agents, everything.model_calls) == (2, 2, 2)
    assert (one.total_executions, one.active_agents, one.error_rate) == (1, 1, 0.0)
    assert everything.cost_usd == pytest.approx(float(kaizen_telemetry.cost))
    first = kaizen_telemetry.executions[0]
    assert (one.tokens_input, one.tokens_output) == (first.tokens_input, first.tokens_output)
    assert one.p50_latency_ms == one.average_latency_ms == pytest.approx(first.duration_ms)
    assert one.quality_average == first.quality_score
    assert kaizen_otel.snapshot(model="gpt-4o-mini").total_executions == 1
    assert kaizen_otel.snapshot(timedelta(minutes=5), agent="qa", model="gpt-4o-mini").total_executions == 0


def test_a_failed_run_counts_as_an_error(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    def refuse(_: ModelRequest) -> Reply:
        return Reply(status=500)

    kaizen_offline.script(refuse)
    run_agent()
    assert [one.status for one in kaizen_telemetry.executions] == ["error"]
    assert (kaizen_otel.snapshot().error_rate, kaizen_otel.snapshot().success_rate) == (1.0, 0.0)


def test_snapshots_count_what_a_sampler_drops(kaizen_offline: ModelServer) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    with capture(tracer_provider=TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)):
        run_agent()
        assert kaizen_otel.snapshot().total_executions == 1
    assert len(kaizen_offline.requests) == 1


@pytest.mark.parametrize("settings", [{"windows": False}, {"monitoring_level": "basic"}])
def test_without_windows_a_snapshot_is_of_nothing(kaizen_offline: ModelServer, settings: dict[str, Any]) -> None:
    with capture(**settings):
        run_agent()
        taken = kaizen_otel.snapshot("1h", agent="qa")
        assert (taken.observed_s, taken.total_executions, taken.error_rate) == (0.0, 0, None)
        assert (taken.window_s, taken.agent_name, taken.active_agents) == (3_600.0, "qa", None)
        assert kaizen_otel.stats()["windows"]["keys"] == 0
    assert len(kaizen_offline.requests) == 1


def test_the_settings_say_where_the_level_leaves_windows_out() -> None:
    assert "true (off at level basic)" in Settings.load(env={}, monitoring_level="basic").describe()
    assert "off at level" not in Settings().describe()


def test_a_snapshot_while_nobody_watches_is_of_nothing() -> None:
    taken = kaizen_otel.snapshot()
    assert isinstance(taken, PerformanceSnapshot)
    assert taken.observed_s == 0.0


def test_a_window_that_is_none_is_refused_even_while_nobody_watches() -> None:
    with pytest.raises(ValueError, match="window cannot be '7d'"):
        kaizen_otel.snapshot("7d")


def test_kaizens_dictionary_switches_windows_and_their_retention(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.core.framework import Kaizen

    assert desk().watching
    Kaizen(config={"monitoring_level": "basic", "metrics_retention": "10m", "metrics_collection": {"buffer_size": 2}})
    assert not desk().watching
    Kaizen(config={"monitoring_level": "detailed"})
    assert desk().watching
    for _ in range(3):
        run_agent()
    assert len(desk().recent.metrics()) == 2
    assert kaizen_otel.snapshot("24h").total_executions == 3
    kaizen_telemetry.clock.advance(1_300)
    assert kaizen_otel.snapshot("24h").total_executions == 0
    assert len(kaizen_offline.requests) == 3


# -- the thread that ticks ----------------------------------------------------------------------------------------


def test_the_thread_starts_with_the_first_record_and_ends_with_the_watching(kaizen_offline: ModelServer) -> None:
    kaizen_otel.instrument(metrics=False)
    assert tickers() == []
    run_agent()
    (thread,) = tickers()
    kaizen_otel.uninstrument()
    thread.join(WAIT_S)
    assert tickers() == []
    assert len(kaizen_offline.requests) == 1


def test_an_injected_clock_ticks_by_hand(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    run_agent()
    assert tickers() == []
    for _ in range(4):
        kaizen_telemetry.clock.advance(30)
        kaizen_telemetry.tick()
    metrics = RealTimeMetrics()
    assert metrics.get_performance_history() == desk().snapshots.history()
    metrics.close()
    assert [one.total_executions for one in desk().snapshots.history()] == [1, 1, 1, 1]
    assert desk().windows._open == {}
    assert len(kaizen_offline.requests) == 1


# -- reports ------------------------------------------------------------------------------------------------------


def test_a_report_of_a_known_execution_enriches_it_and_adds_to_no_count(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    run_agent()
    (seen,) = kaizen_telemetry.executions
    before = kaizen_otel.stats()
    kaizen_otel.record_execution_metrics(
        reported(
            execution_id=seen.execution_id, quality_score=0.25, confidence=0.95, user_id="u-1", metadata={"run_id": "r"}
        )
    )
    (known,) = desk().recent.metrics()
    assert (known.quality_score, known.confidence, known.user_id, known.metadata["run_id"]) == (0.25, 0.95, "u-1", "r")
    assert (known.tokens_total, known.cost_usd, known.agent_name) == (seen.tokens_total, seen.cost_usd, "qa")
    assert {name: kaizen_otel.stats()[name] for name in ("calls", "executions")} == {
        name: before[name] for name in ("calls", "executions")
    }
    assert (kaizen_otel.snapshot().total_executions, kaizen_otel.snapshot().quality_average) == (1, 0.25)
    kaizen_otel.record_execution_metrics(reported(execution_id=seen.execution_id, quality_score=0.75))
    assert kaizen_otel.snapshot().quality_average == 0.75
    assert len(kaizen_offline.requests) == 1


def test_a_report_about_a_traced_block_enriches_the_execution_inside(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen_otel.transparency import WorkflowMonitor

    with WorkflowMonitor().trace("customer_query_processing") as trace:
        run_agent()
        kaizen_otel.record_execution_metrics(
            reported(execution_id=trace.execution_id, confidence=0.95, quality_score=0.88)
        )
    assert len(kaizen_telemetry.executions) == 1
    assert kaizen_otel.stats()["executions"] == {("qa", "gpt-4o", "success"): 1}
    assert kaizen_otel.snapshot().quality_average == 0.88
    assert desk().recent.metrics()[0].confidence == 0.95
    assert len(kaizen_offline.requests) == 1


def test_a_report_of_an_unknown_execution_counts_as_one_everywhere(kaizen_telemetry: Captured) -> None:
    kaizen_otel.record_execution_metrics(reported(success=False, error_message="broke", quality_score=0.5))
    for _ in range(2):  # once counted, it is known
        kaizen_otel.record_execution_metrics(reported())
    (one,) = kaizen_telemetry.executions
    assert (one.agent_name, one.status, one.success, one.error_message) == ("theirs", "error", False, "broke")
    assert kaizen_otel.stats()["executions"] == {("theirs", "gpt-4o", "error"): 1}
    assert kaizen_otel.stats()["active_agents"] == 1
    taken = kaizen_otel.snapshot(agent="theirs")
    assert (taken.total_executions, taken.tokens_input, taken.tokens_output, taken.model_calls) == (1, 150, 75, 1)
    assert (taken.cost_usd, taken.cost_complete, taken.error_rate) == (0.004, True, 1.0)
    assert str(kaizen_telemetry.cost) == "0.004"
    (point,) = kaizen_telemetry.metrics()["kaizen.execution.duration"]
    assert (point.count, point.value) == (1, 0.25)


def test_a_report_counts_where_it_ended(kaizen_telemetry: Captured) -> None:
    kaizen_telemetry.clock.advance(7_200)
    ended = datetime.fromtimestamp(kaizen_telemetry.clock.time_ns() / 1e9).astimezone() - timedelta(hours=1)
    kaizen_otel.record_execution_metrics(reported(timestamp=ended))
    assert kaizen_otel.snapshot("5m").total_executions == 0
    assert kaizen_otel.snapshot("2h").total_executions == 1


def test_a_report_whose_cost_is_not_complete_says_so(kaizen_telemetry: Captured) -> None:
    kaizen_otel.record_execution_metrics(reported(cost_complete=False))
    assert len(kaizen_telemetry.calls) == 2
    taken = kaizen_otel.snapshot()
    assert not taken.cost_complete
    assert taken.cost_usd == 0.004
    assert kaizen_otel.stats()["missing"] == {("gpt-4o", "usage"): 1}


def test_a_report_without_tokens_is_an_execution_without_calls(kaizen_telemetry: Captured) -> None:
    kaizen_otel.record_execution_metrics(reported(tokens_input=0, tokens_output=0, tokens_total=0, cost_usd=0.0))
    assert kaizen_telemetry.calls == []
    assert kaizen_otel.snapshot().total_executions == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"execution_id": ""}, "execution_id must be a text that is not empty"),
        ({"duration_ms": -1.0}, "duration_ms must be a number from 0"),
        ({"cost_usd": float("nan")}, "cost_usd must be a number from 0"),
        ({"tokens_input": 1.5}, "tokens_input must be a whole number"),
        ({"quality_score": 1.1}, "quality_score must be between 0 and 1"),
        ({"timestamp": 3}, "timestamp must be a datetime"),
        ({"status": "fine"}, "status must be one of cancelled, error, success"),
        ({"metadata": None}, "metadata must be a dictionary"),
    ],
)
def test_what_cannot_be_counted_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kaizen_otel.record_execution_metrics(reported(**given))


def test_what_is_no_report_is_refused() -> None:
    with pytest.raises(TypeError, match="expected ExecutionMetrics, got dict"):
        kaizen_otel.record_execution_metrics({})  # type: ignore[arg-type]


def test_a_report_while_nobody_watches_is_nothing() -> None:
    kaizen_otel.record_execution_metrics(reported())
    assert kaizen_otel.stats() == {"instrumented": False}


# -- resources ----------------------------------------------------------------------------------------------------


def test_at_comprehensive_an_execution_says_what_the_process_used(kaizen_offline: ModelServer) -> None:
    with capture(monitoring_level="comprehensive", deterministic=False) as captured:
        run_agent()
    (one,) = captured.executions
    assert one.memory_usage_mb is not None
    assert one.memory_usage_mb > 10
    assert one.cpu_usage_percent is not None
    assert one.cpu_usage_percent > 0
    assert one["network_io_bytes"] is not None
    assert one.resources_alone is True
    span = captured.span("invoke_agent")
    prefix = "kaizen.execution.resources."
    assert {name.removeprefix(prefix): value for name, value in span.attributes.items() if name.startswith(prefix)} == {
        "cpu_usage_percent": one.cpu_usage_percent,
        "memory_usage_mb": one.memory_usage_mb,
        "network_io_bytes": one.network_io_bytes,
        "alone": True,
    }
    assert len(kaizen_offline.requests) == 1


def test_below_comprehensive_resources_are_not_read(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    run_agent()
    (one,) = kaizen_telemetry.executions
    assert (one.memory_usage_mb, one.cpu_usage_percent, one.resources_alone) == (None, None, None)
    assert len(kaizen_offline.requests) == 1


# -- real-time metrics --------------------------------------------------------------------------------------------


def test_real_time_metrics_see_executions_from_when_they_are_made(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    told: list[ExecutionMetrics] = []
    metrics = RealTimeMetrics({"streaming": True})
    metrics.subscribe(told.append)
    run_agent()
    assert kaizen_telemetry.flush()
    assert told == kaizen_telemetry.executions == metrics.metrics_buffer
    assert metrics.get_agent_metrics("qa")["total_executions"] == 1
    metrics.close()
    run_agent()
    assert len(told) == 1
    assert len(kaizen_offline.requests) == 2


def test_real_time_metrics_outlast_the_watching(kaizen_offline: ModelServer) -> None:
    told: list[str] = []
    metrics = RealTimeMetrics({"streaming": True})
    metrics.subscribe(lambda one: told.append(one.agent_name))
    for name in ("first", "second"):
        with capture():
            run_agent(name)
    assert told == ["first", "second"]
    assert metrics.get_performance_summary() == {"error": "No metrics in time range"}
    metrics.close()
    assert len(kaizen_offline.requests) == 2


def test_real_time_metrics_are_by_default_as_the_settings_say() -> None:
    with capture(metrics_buffer_size=7, metrics_streaming=True, metrics_interval_s=3.0):
        options = RealTimeMetrics().options
    assert (options.buffer_size, options.streaming, options.collection_interval) == (7, True, 3.0)
    assert RealTimeMetrics().options.buffer_size == Settings().metrics_buffer_size


@pytest.mark.telemetry_fails
def test_a_subscriber_that_raises_does_not_change_what_the_agent_gives(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    def refuse(_: ExecutionMetrics) -> None:
        raise ValueError("mine")

    metrics = RealTimeMetrics({"streaming": True})
    metrics.subscribe(refuse)
    run_agent()
    deadline = time.monotonic() + WAIT_S
    while not kaizen_otel.stats()["failures"] and time.monotonic() < deadline:
        time.sleep(0.001)
    assert kaizen_otel.stats()["failures"] == {"subscriber:ValueError": 1}
    assert kaizen_telemetry.executions[0].success
    metrics.close()
    assert len(kaizen_offline.requests) == 1


def test_a_clock_of_ones_own_is_what_windows_are_measured_by() -> None:
    clock = SteppingClock(step_ns=0)
    with capture(clock=clock):
        clock.advance(42)
        assert kaizen_otel.snapshot("1h").observed_s == pytest.approx(42)
