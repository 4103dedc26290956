"""The transparency interface: found on Kaizen, on agents and on us; figures, reports, callbacks, exports."""

from __future__ import annotations

import csv
import io
import json
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pyarrow import parquet

import kaizen_otel
from kaizen_otel import ExecutionMetrics, KaizenTransparencyInterface, record_business_metrics
from kaizen_otel.demo.script import Reply, Rule
from kaizen_otel.testing import SteppingClock, capture
from kaizen_otel.transparency.interface import interface_of
from tests.kaizen_otel.surfaces import scenes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

WAIT_S = 10


@pytest.fixture
def transparency() -> Iterator[KaizenTransparencyInterface]:
    made = KaizenTransparencyInterface()
    yield made
    made.stop_monitoring()


# -- where it is found -------------------------------------------------------------------------------------------------


def test_kaizen_and_agents_have_the_method_while_they_are_watched(kaizen_offline: ModelServer) -> None:
    from kaizen.core.agents import Agent
    from kaizen.core.base_agent import BaseAgent
    from kaizen.core.framework import Kaizen

    owners = (Kaizen, Agent, BaseAgent)
    assert not any(hasattr(owner, "get_transparency_interface") for owner in owners)
    with capture():
        kaizen = Kaizen()
        found = kaizen.get_transparency_interface()
        assert found is kaizen.get_transparency_interface() is not Kaizen().get_transparency_interface()
        assert found.kaizen.list_agents() == []
        agent = kaizen.create_agent("guide", {"provider": "openai", "model": "gpt-4o"})
        agent.execute("x")
        scenes.base_agent().run(question="y")  # nobody named it: its executions have its class's name
        assert agent.get_transparency_interface().agent_name == "guide"
        base = scenes.base_agent().get_transparency_interface()
        assert base.agent_name == "BaseAgent"
        assert base.get_agent_metrics()["total_executions"] == 1
        assert found.get_performance_summary()["total_executions"] == 2
    assert not any(hasattr(owner, "get_transparency_interface") for owner in owners)
    assert len(kaizen_offline.requests) == 2


def test_a_method_that_kaizen_has_itself_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from kaizen.core.framework import Kaizen

    monkeypatch.setattr(Kaizen, "get_transparency_interface", lambda _: "theirs", raising=False)
    with capture():
        assert Kaizen().get_transparency_interface() == "theirs"
    assert Kaizen().get_transparency_interface() == "theirs"


def test_the_process_has_one() -> None:
    assert kaizen_otel.get_transparency_interface() is kaizen_otel.get_transparency_interface() is interface_of()


def test_a_kaizen_object_that_is_gone_takes_its_interface_along(kaizen_telemetry: Captured) -> None:
    import gc
    import weakref

    from kaizen.core.framework import Kaizen

    kaizen = Kaizen()
    interface = weakref.ref(kaizen.get_transparency_interface())
    del kaizen
    gc.collect()
    assert interface() is None
    assert kaizen_telemetry.executions == []


# -- watching ----------------------------------------------------------------------------------------------------------


def test_it_watches_where_nobody_does_and_ends_what_it_began(kaizen_offline: ModelServer) -> None:
    from kaizen.core.framework import Kaizen

    kaizen = Kaizen(config={"transparency_enabled": True, "metrics_retention": "2h"})
    transparency = KaizenTransparencyInterface(kaizen)
    assert transparency.get_real_time_dashboard()["system_health"]["status"] == "unknown"

    transparency.start_monitoring()
    transparency.start_monitoring()
    try:
        assert transparency.monitoring_active
        assert kaizen_otel.stats()["instrumented"]
        from kaizen_otel.patches.switch import active

        telemetry = active()
        assert telemetry is not None
        assert telemetry.settings.metrics_retention_s == 7_200
        scenes.base_agent(agent_id="qa").run(question="x")
        assert transparency.get_performance_summary()["total_executions"] == 1
    finally:
        transparency.stop_monitoring()
    assert kaizen_otel.stats() == {"instrumented": False}
    assert len(kaizen_offline.requests) == 1


def test_what_others_watch_goes_on_after_it(kaizen_telemetry: Captured) -> None:
    transparency = KaizenTransparencyInterface()
    transparency.start_monitoring()
    transparency.stop_monitoring()
    assert transparency.monitoring_active
    assert kaizen_telemetry.executions == []


def test_callbacks_hear_of_each_execution(
    kaizen_offline: ModelServer, transparency: KaizenTransparencyInterface
) -> None:
    heard: list[str] = []
    both = threading.Event()

    def hear(execution: ExecutionMetrics) -> None:
        heard.append(execution.agent_name)
        if len(heard) == 2:
            both.set()
        raise ValueError("a callback may fail")

    with capture():
        forget = transparency.register_metrics_callback(hear)
        for name in ("one", "two"):
            scenes.base_agent(agent_id=name).run(question="x")
        assert both.wait(WAIT_S)
        forget()
        scenes.base_agent(agent_id="three").run(question="x")
        kaizen_otel.flush()
    assert heard == ["one", "two"]
    assert len(kaizen_offline.requests) == 3
    with pytest.raises(TypeError, match="expected a function"):
        transparency.register_metrics_callback("nothing")  # type: ignore[arg-type]


# -- figures -----------------------------------------------------------------------------------------------------------


def run_some(server: ModelServer) -> None:
    """Two agents: three good runs and a bad one."""
    server.script([Rule(user="fail", replies=Reply.server_error())])
    for name, question in (("good", "x"), ("good", "x"), ("bad", "x"), ("bad", "fail")):
        scenes.base_agent(agent_id=name).run(question=question)


def test_figures_are_those_of_the_windows(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured, transparency: KaizenTransparencyInterface
) -> None:
    run_some(kaizen_offline)
    summary = transparency.get_performance_summary("1h")
    assert (summary["total_executions"], summary["failed_executions"], summary["error_rate"]) == (4, 1, 0.25)
    assert transparency.get_agent_metrics("bad", "30m")["error_rate"] == 0.5
    assert transparency.get_agent_metrics("nobody") == {"error": "No metrics found for agent"}
    assert summary["cost_usd"] == pytest.approx(float(kaizen_telemetry.cost))
    with pytest.raises(ValueError, match="window cannot be '7d'"):
        transparency.get_performance_summary("7d")


def test_the_dashboard_shows_everything_each_agent_and_health(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured, transparency: KaizenTransparencyInterface
) -> None:
    run_some(kaizen_offline)
    board = transparency.get_real_time_dashboard()
    assert board["overview"]["total_executions"] == 4
    assert {name: (row["status"], row["total_executions"]) for name, row in board["agents"].items()} == {
        "good": ("active", 2),
        "bad": ("active", 2),
    }
    assert board["agents"]["bad"]["recent_performance"]["success_rate"] == 0.5
    assert board["system_health"] == {"status": "healthy", "problems": []}
    now = kaizen_otel.snapshot("1h")
    written = json.loads(
        json.dumps([board, transparency.get_performance_summary("1h"), now.as_dict()], allow_nan=False)
    )
    assert written[0]["overview"]["timestamp"] == written[0]["timestamp"]
    assert (written[2]["timestamp"], written[2].keys()) == (now.timestamp.isoformat(), dict(now).keys())
    assert len(kaizen_telemetry.executions) == 4


@pytest.mark.telemetry_fails
def test_a_failing_part_of_ours_shows_in_the_health(
    kaizen_telemetry: Captured, transparency: KaizenTransparencyInterface
) -> None:
    from kaizen_otel.patches.switch import active

    telemetry = active()
    assert telemetry is not None
    telemetry.fence.caught("somewhere", ValueError())
    assert transparency.get_real_time_dashboard()["system_health"] == {
        "status": "degraded",
        "problems": ["telemetry failed: somewhere:ValueError (1)"],
    }
    telemetry.settings_desk.apply_kaizen_config({"exporters": {"consol": True}})
    assert transparency.get_real_time_dashboard()["system_health"] == {
        "status": "degraded",
        "problems": [
            "telemetry failed: somewhere:ValueError (1)",
            "ignored, see the log: settings:SettingsError (1)",
        ],
    }
    assert kaizen_telemetry.executions == []


def test_a_report_has_a_row_for_each_period(
    kaizen_offline: ModelServer, transparency: KaizenTransparencyInterface
) -> None:
    clock = SteppingClock(step_ns=0)
    with capture(clock=clock):
        agent = scenes.base_agent(agent_id="qa")
        agent.run(question="x")
        clock.advance(3 * 3_600)
        agent.run(question="x")
        agent.run(question="x")
        report = transparency.get_performance_report("hourly", ["latency", "cost", "accuracy", "throughput_rpm"])
        nobody = transparency.get_performance_report("hourly", agent_name="nobody")
        daily = transparency.get_performance_report("daily", ["errors"])

    periods = report["periods"]
    assert [row["executions"] for row in periods] == [1, 0, 2]
    assert [row["start"] for row in periods[1:]] == [row["end"] for row in periods[:-1]]
    assert periods[-1]["end"] == datetime.fromtimestamp(clock.time_ns() / 1e9, tz=UTC).isoformat()
    assert (periods[1]["avg_latency"], periods[1]["quality_average"], periods[1]["throughput_rpm"]) == (None, None, 0.0)
    assert 0 < periods[-1]["quality_average"] <= 1
    assert periods[-1]["cost_per_execution"] > 0
    assert [row["executions"] for row in nobody["periods"]] == [0, 0, 0]
    assert [(row["executions"], row["error_rate"]) for row in daily["periods"]] == [(3, 0.0)]
    assert len(kaizen_offline.requests) == 3


@pytest.mark.parametrize(
    ("level", "metrics", "said"),
    [
        ("weekly", None, "aggregation_level cannot be 'weekly'; allowed: minute, hourly, daily"),
        ("daily", ["speed"], "metrics cannot hold 'speed'; allowed: latency, "),
    ],
)
def test_a_report_of_what_there_is_not_is_refused(
    level: str, metrics: list[str] | None, said: str, transparency: KaizenTransparencyInterface
) -> None:
    with pytest.raises(ValueError, match=said):
        transparency.get_performance_report(level, metrics)


def test_without_instrumentation_nothing_is_known(transparency: KaizenTransparencyInterface) -> None:
    assert transparency.get_performance_summary() == {"error": "No metrics in time range"}
    assert transparency.get_performance_report()["periods"] == []
    assert transparency.get_performance_history() == []
    assert transparency.export_metrics() == "[]"
    agent = transparency.agent("qa")
    assert agent.get_live_metrics()["last_execution"] is None
    assert agent.get_resource_usage()["executions"] == 0
    assert agent.get_performance_profile()["by_model"] == {}


# -- exports -----------------------------------------------------------------------------------------------------------


def test_executions_leave_as_json_csv_and_parquet(
    kaizen_offline: ModelServer,
    kaizen_telemetry: Captured,
    transparency: KaizenTransparencyInterface,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_some(kaizen_offline)
    executions = kaizen_telemetry.executions

    as_json = json.loads(transparency.export_metrics("json"))
    as_csv = list(csv.DictReader(io.StringIO(str(transparency.export_metrics("csv")))))
    binary = transparency.export_metrics("parquet", "1h")
    assert isinstance(binary, bytes)
    as_parquet = parquet.read_table(io.BytesIO(binary)).to_pylist()

    ids = [one.execution_id for one in executions]
    for rows in (as_json, as_csv, as_parquet):
        assert [row["execution_id"] for row in rows] == ids
    assert [row["cost_usd"] for row in as_json] == [row["cost_usd"] for row in as_parquet]
    assert [float(row["cost_usd"]) for row in as_csv] == [one.cost_usd for one in executions]
    assert as_parquet[0]["timestamp"] == executions[0].timestamp
    assert as_parquet[-1]["success"] is False
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs PyArrow: pip install \"kaizen-otel\[parquet\]\""):
        transparency.export_metrics("parquet")
    with pytest.raises(ValueError, match="format cannot be 'xml'; allowed: json, csv, parquet"):
        transparency.export_metrics("xml")


def test_a_file_of_no_executions_has_its_columns(transparency: KaizenTransparencyInterface) -> None:
    binary = transparency.export_metrics("parquet")
    assert isinstance(binary, bytes)
    table = parquet.read_table(io.BytesIO(binary))
    assert table.num_rows == 0
    assert {"execution_id", "cost_usd", "quality_score"} <= set(table.column_names)


def test_only_executions_of_the_time_range_leave(
    kaizen_offline: ModelServer, transparency: KaizenTransparencyInterface
) -> None:
    clock = SteppingClock(step_ns=0)
    with capture(clock=clock):
        scenes.base_agent(agent_id="old").run(question="x")
        clock.advance(3_600)
        scenes.base_agent(agent_id="new").run(question="x")
        exported = json.loads(transparency.export_metrics("json", "30m"))
    assert [row["agent_name"] for row in exported] == ["new"]
    assert len(kaizen_offline.requests) == 2


# -- one agent ---------------------------------------------------------------------------------------------------------


def test_an_agent_knows_how_it_does(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured, transparency: KaizenTransparencyInterface
) -> None:
    run_some(kaizen_offline)
    agent = transparency.agent("bad")
    live = agent.get_live_metrics()
    assert (live["agent_name"], live["status"], live["total_executions"]) == ("bad", "active", 2)
    assert live["last_execution"]["agent_name"] == "bad"
    assert [one.success for one in agent.get_recent_executions()] == [True, False]
    profile = agent.get_performance_profile("1h")
    assert profile["overall"]["total_executions"] == 2
    assert {model: figures["total_executions"] for model, figures in profile["by_model"].items()} == {"gpt-4o": 2}
    report = agent.get_performance_report("minute", ["errors"])
    assert sum(row["executions"] for row in report["periods"]) == 2
    assert len(kaizen_telemetry.executions) == 4


def test_resources_are_measured_at_the_comprehensive_level(
    kaizen_offline: ModelServer, transparency: KaizenTransparencyInterface
) -> None:
    for level, measured in (("standard", 0), ("comprehensive", 1)):
        with capture(monitoring_level=level):
            scenes.base_agent(agent_id="qa").run(question="x")
            usage = transparency.agent("qa").get_resource_usage()
        assert usage["executions"] == measured
        assert (usage["memory_usage_mb"] is not None) == bool(measured)
    assert len(kaizen_offline.requests) == 2


# -- a whole application -----------------------------------------------------------------------------------------------


def test_a_monitored_application_from_start_to_end(kaizen_offline: ModelServer) -> None:
    """What the interface is for, call by call: watch, run an agent in a trace, say more of the run, look at it all."""
    from kailash.runtime.local import LocalRuntime
    from kaizen.core.framework import Kaizen

    kaizen = Kaizen(config={"transparency_enabled": True, "performance_monitoring": True, "metrics_retention": "7d"})
    transparency = KaizenTransparencyInterface(kaizen)
    transparency.start_monitoring()
    try:
        config = {"provider": "openai", "model": "gpt-4o", "system_prompt": "Be helpful."}
        agent = kaizen.create_agent("monitored_processor", config)
        monitor = transparency.create_workflow_monitor()
        with monitor.trace("customer_query_processing") as trace, LocalRuntime() as runtime:
            trace.add_event("query_received", "A customer asks.")
            results, run_id = runtime.execute(agent.workflow.build())
            trace.add_event("execution_completed", f"It ran: {run_id}")
            transparency.record_execution_metrics(reported(trace.execution_id, agent.name))
            record_business_metrics(user_satisfaction=0.9)  # outside of an execution it says nothing
        board = transparency.get_real_time_dashboard()
        summary = transparency.get_performance_summary("1h")
        (known,) = transparency.agent("monitored_processor").get_recent_executions()
    finally:
        transparency.stop_monitoring()

    assert results["monitored_processor"]["success"]
    # What was reported enriches the execution that was seen, and is counted no second time.
    assert board["overview"]["total_executions"] == summary["total_executions"] == 1
    assert (known.tokens_input, known.user_id, known.confidence) == (100, "user123", 0.95)
    assert summary["quality_average"] == 0.88
    assert [event.event_type for event in monitor.get_traces()[0].events] == ["query_received", "execution_completed"]
    assert len(kaizen_offline.requests) == 1


def reported(execution_id: str, agent_name: str) -> ExecutionMetrics:
    given: dict[str, Any] = {"tokens_input": 150, "tokens_output": 75, "tokens_total": 225, "cost_usd": 0.004}
    return ExecutionMetrics(
        execution_id=execution_id,
        agent_name=agent_name,
        model="gpt-4o",
        timestamp=datetime.now(UTC),
        duration_ms=12.0,
        success=True,
        error_message=None,
        confidence=0.95,
        quality_score=0.88,
        user_id="user123",
        session_id="session456",
        metadata={"query_type": "customer_service"},
        **given,
    )
