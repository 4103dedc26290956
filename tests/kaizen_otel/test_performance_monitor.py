"""`PerformanceMonitor` on real Kaizen, and `kaizen-otel compare` on files of its runs and of spans."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from typer.testing import CliRunner

from kaizen_otel import PerformanceMonitor
from kaizen_otel.cli import app
from kaizen_otel.testing.deterministic import SteppingClock
from kaizen_processors.baselines import Baseline, BaselineError
from kaizen_processors.export.otlp_file import OtlpJsonFileExporter

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer

CONFIG = {"provider": "openai", "model": "gpt-4o-mini"}


def test_the_framework_is_measured(kaizen_offline: ModelServer) -> None:
    monitor = PerformanceMonitor()
    init_ms = monitor.measure_framework_init({"debug": False})
    creation_ms, agent = monitor.measure_agent_creation(CONFIG, name="guide")
    execution_ms, results, run_id = monitor.measure_workflow_execution(agent)

    assert agent.agent_id == "guide"
    assert results["guide"]["success"]
    assert run_id
    assert len(kaizen_offline.requests) == 1
    taken = monitor.metrics
    assert taken["framework_init_time"] == [init_ms]
    assert taken["agent_creation_time"] == [creation_ms]
    assert taken["workflow_execution_time"] == [execution_ms]
    assert len(taken["memory_usage"]) == 3
    assert min(taken["memory_usage"]) > 10
    assert monitor.get_performance_summary()["memory_usage"]["count"] == 3


class SlowKaizen:
    """Takes its time, by the clock that measures it."""

    def __init__(self, clock: SteppingClock, taken_ms: int) -> None:
        self._clock = clock
        self._taken_ms = taken_ms

    def create_agent(self, name: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        self._clock.advance(self._taken_ms / 1_000)
        return name, config


@pytest.mark.parametrize(("taken_ms", "warned"), [(100, False), (101, True)])
def test_what_takes_too_long_is_a_warning(taken_ms: int, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    clock = SteppingClock(step_ns=0)
    told: list[tuple[str, float]] = []
    monitor = PerformanceMonitor(clock=clock, on_warning=lambda metric, ms: told.append((metric, ms)))
    with caplog.at_level(logging.WARNING, "kaizen_otel"):
        taken, agent = monitor.measure_agent_creation(CONFIG, kaizen=SlowKaizen(clock, taken_ms))

    assert (taken, agent) == (taken_ms, ("perf_test", CONFIG))
    assert told == ([("agent_creation_time", taken_ms)] if warned else [])
    assert [record.getMessage() for record in caplog.records] == (
        ["creating an agent took 101 ms (more than 100)"] if warned else []
    )


def test_the_summary_has_the_figures_of_each_metric() -> None:
    monitor = PerformanceMonitor()
    for value in (1.0, 2.0, 6.0):
        monitor.record("answer", value)
    assert monitor.get_performance_summary() == {
        "answer": {"count": 3, "average": 3.0, "median": 2.0, "min": 1.0, "max": 6.0}
    }


def measured(path: Path, value: float) -> Path:
    monitor = PerformanceMonitor()
    for place in range(20):
        monitor.record("answer", value + place / 100)
    monitor.save(path)
    return path


def test_a_later_run_knows_what_became_worse(tmp_path: Path) -> None:
    later = PerformanceMonitor(measured(tmp_path / "before.json", 10.0))
    for place in range(20):
        later.record("answer", 12.0 + place / 100)
        later.record("new", 1.0)
    assert [one.name for one in later.regressions()] == ["answer"]
    assert [one.verdict for one in later.compare()] == ["regression", "only after"]


def test_without_a_baseline_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without a baseline"):
        PerformanceMonitor().compare()
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}", encoding="utf-8")
    with pytest.raises(BaselineError, match="no baseline"):
        PerformanceMonitor(wrong)


# -- kaizen-otel compare -----------------------------------------------------------------------------------------------


def compared(*arguments: Path | str) -> Any:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)], env={"COLUMNS": "100"})


def test_the_command_ends_with_1_when_something_is_worse(tmp_path: Path) -> None:
    quick, slow = measured(tmp_path / "quick.json", 10.0), measured(tmp_path / "slow.json", 12.0)

    worse = compared(quick, slow)
    assert worse.exit_code == 1
    (line,) = [line for line in worse.stdout.splitlines() if line.startswith("answer")]
    assert line.split() == ["answer", "20,", "20", "10.09", "ms", "12.09", "ms", "+19.8%", *line.split()[-2:]]
    assert line.endswith("regression")

    assert compared(slow, quick).exit_code == 0
    assert compared(quick, slow, "--shift", "0.5").exit_code == 0


def test_the_command_prints_json(tmp_path: Path) -> None:
    before = measured(tmp_path / "before.json", 10.0)
    (one,) = json.loads(compared(before, before, "--json").stdout)
    assert (one["name"], one["verdict"], one["shift"], one["count_before"]) == ("answer", "unchanged", 0.0, 20)


def spans_of(path: Path, *, duration_ms: int, failed: int = 0, cancelled: int = 0) -> Path:
    """Thirty executions of one agent."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OtlpJsonFileExporter(path)))
    tracer = provider.get_tracer("kaizen_otel")
    for place in range(30):
        status = "error" if place < failed else "cancelled" if place < failed + cancelled else "success"
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "Writer",
            "kaizen.execution.status": status,
            "kaizen.execution.own.input_tokens": 100 + place,
            "kaizen.execution.own.cost.amount": 0.001,
            "kaizen.execution.cost.complete": place != 29,
        }
        if status == "error":
            attributes["error.type"] = "ValueError"
        span = tracer.start_span("invoke_agent Writer", start_time=1_000, attributes=attributes)
        span.end(1_000 + (duration_ms + place) * 1_000_000)
    provider.shutdown()
    return path


def test_files_of_spans_are_compared_by_agent(tmp_path: Path) -> None:
    before = spans_of(tmp_path / "before.jsonl", duration_ms=500)
    after = spans_of(tmp_path / "after.jsonl", duration_ms=900, failed=10, cancelled=2)

    answer = compared(before, after, "--json")

    found = {one["name"]: one for one in json.loads(answer.stdout)}
    assert answer.exit_code == 1
    assert {name: one["verdict"] for name, one in found.items()} == {
        "Writer · errors": "regression",
        "Writer · duration": "regression",
        "Writer · input tokens": "unchanged",
        "Writer · cost": "unchanged",
    }
    assert (found["Writer · errors"]["count_after"], found["Writer · errors"]["after"]) == (28, 10 / 28)
    assert found["Writer · duration"]["count_after"] == 18
    assert found["Writer · cost"]["count_before"] == 29  # one of them did not know all that it cost


def pending_of(path: Path, *, named: bool = True) -> Path:
    """Append placeholders of thirty executions that never ended."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OtlpJsonFileExporter(path)))
    tracer = provider.get_tracer("kaizen_otel")
    for place in range(30):
        attributes: dict[str, Any] = {
            "kaizen.span.pending": True,
            "kaizen.pending.operation": "invoke_agent",
            "kaizen.pending.span_name": "invoke_agent Writer",
            "gen_ai.agent.name": "Writer",
            "kaizen.pending.elapsed": 300.0,
            "kaizen.pending.span_id": f"{place + 1:016x}",
        }
        if not named:
            del attributes["kaizen.pending.span_id"]
            attributes["gen_ai.operation.name"] = "invoke_agent"
        tracer.start_span("invoke_agent Writer (pending)", start_time=1_000, attributes=attributes).end(300 * 10**9)
    provider.shutdown()
    return path


@pytest.mark.parametrize("named", [True, False])
def test_what_still_ran_is_no_execution(tmp_path: Path, *, named: bool) -> None:
    before = spans_of(tmp_path / "before.jsonl", duration_ms=500)
    after = pending_of(spans_of(tmp_path / "after.jsonl", duration_ms=500), named=named)

    answer = compared(before, after, "--json")

    assert answer.exit_code == 0
    assert {one["name"]: one["count_after"] for one in json.loads(answer.stdout)} == {
        "Writer · errors": 30,
        "Writer · duration": 30,
        "Writer · input tokens": 30,
        "Writer · cost": 29,
    }


@pytest.mark.parametrize("what", ["nothing", "placeholders", "cancelled", "an empty baseline"])
def test_a_run_without_an_execution_that_ended_passes_no_pipeline(tmp_path: Path, what: str) -> None:
    before, after = spans_of(tmp_path / "before.jsonl", duration_ms=500), tmp_path / "after.jsonl"
    if what == "nothing":
        after.touch()
    elif what == "placeholders":
        pending_of(after)
    elif what == "cancelled":
        spans_of(after, duration_ms=500, cancelled=30)
    else:
        Baseline().save(after)
    for one, other in ((before, after), (after, before)):
        answer = compared(one, other)
        assert (answer.exit_code, answer.stdout) == (2, "")
        assert f"{after}: nothing to compare" in answer.stderr


def test_money_is_written_as_elsewhere_and_no_line_ends_in_spaces(tmp_path: Path) -> None:
    run = Baseline()
    run.add("Writer · cost", [0.000027] * 20, "USD")
    run.add("another metric with a long name", [1.0] * 20)
    run.save(tmp_path / "run.json")
    answer = compared(tmp_path / "run.json", tmp_path / "run.json")
    (line,) = [line for line in answer.stdout.splitlines() if line.startswith("Writer")]
    assert line.split()[5:7] == ["$0.000027", "$0.000027"]
    assert not [line for line in answer.stdout.splitlines() if line != line.rstrip()]


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "No such file"), ("{", "nor is it a baseline"), ('{"format": "kaizen-otel-baseline"}', "version None")],
)
def test_a_file_that_is_none_is_refused_in_words(text: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    answer = compared(path, path)
    assert answer.exit_code == 2
    assert said in answer.stderr
    assert str(path) in answer.stderr


def test_an_option_that_is_not_allowed_is_refused(tmp_path: Path) -> None:
    before = measured(tmp_path / "before.json", 10.0)
    answer = compared(before, before, "--alpha", "2")
    assert (answer.exit_code, answer.stderr) == (2, "error: alpha must be between 0 and 1, not 2.0\n")


def test_a_subclass_hears_of_the_warnings(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    class Paging(PerformanceMonitor):
        def log_performance_warning(self, message: str) -> None:
            heard.append(message)

    monitor = Paging(clock=SteppingClock(step_ns=2_001 * 1_000_000))
    monitor.measure_framework_init()
    assert heard == ["initialising the framework took 2001 ms (more than 2000)"]
    assert "took" not in caplog.text
