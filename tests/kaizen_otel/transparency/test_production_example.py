"""The production example of the transparency interface does what it says, and its invented numbers do no harm."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.demo.script import Reply
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer


pytestmark = pytest.mark.usefixtures("no_handlers_afterwards")


def printed(out: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The dashboard and the summary that the example prints."""
    dashboard, summary = out.split("📊 Real-time Dashboard:\n")[1].split("📈 Performance Summary:\n")
    return json.loads(dashboard), json.JSONDecoder().raw_decode(summary)[0]


def test_the_example_runs_and_what_it_prints_was_measured(
    kaizen_offline: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.kaizen_otel.transparency.production_example import monitored_agent_example

    results = asyncio.run(monitored_agent_example())

    assert results["monitored_processor"]["success"]
    (request,) = kaizen_offline.requests
    assert (request.provider, request.model, request.system) == ("openai", "gpt-4", "You are a helpful assistant.")
    dashboard, summary = printed(capsys.readouterr().out)
    assert set(dashboard) >= {"timestamp", "overview", "agents", "system_health"}
    row = dashboard["agents"]["monitored_processor"]
    assert (list(dashboard["agents"]), row["status"], row["total_executions"]) == (["monitored_processor"], "active", 1)
    assert dashboard["system_health"] == {"status": "healthy", "problems": []}
    for figures in (dashboard["overview"], summary):
        # One execution, not one of the trace and one of the report; its tokens and dollars, not those of the report.
        assert (figures["total_executions"], figures["model_calls"], figures["active_agents"]) == (1, 1, 1)
        assert type(figures["active_agents"]) is int
        assert (figures["tokens_input"], figures["tokens_output"]) == (100, 20)
        assert figures["cost_usd"] == pytest.approx(100 * 30e-6 + 20 * 60e-6)  # gpt-4's price of a token
        assert figures["quality_average"] == 0.88  # said by the application, so taken
        assert figures["average_latency_ms"] == row["average_latency"]
        # Of a second or two no rate can be told, where the example multiplies by twelve.
        assert (figures["cost_per_hour"], figures["tokens_per_second"]) == (None, None)

    telemetry = active()
    assert telemetry is not None
    assert telemetry.settings.metrics_retention_s == 7 * 86_400
    (known,) = telemetry.performance.recent.metrics()
    assert (known.user_id, known.session_id, known.confidence) == ("user123", "session456", 0.95)
    assert known.metadata["query_type"] == "customer_service"
    assert (
        known.duration_ms < known.metadata["processing_time"]
    )  # of the run of the agent, not of the runtime's as well
    assert (known.tokens_total, known.success) == (120, True)


def test_a_failure_that_kaizen_returns_is_one_whatever_the_example_reports(
    kaizen_offline: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kailash's runtime does not raise, so that the example goes on to report `success=True`."""
    from tests.kaizen_otel.transparency.production_example import monitored_agent_example

    kaizen_offline.script(lambda _: Reply(status=400))
    results = asyncio.run(monitored_agent_example())

    assert not results["monitored_processor"].get("success")
    dashboard, summary = printed(capsys.readouterr().out)
    assert dashboard["agents"]["monitored_processor"]["success_rate"] == 0.0
    assert (summary["total_executions"], summary["failed_executions"], summary["error_rate"]) == (1, 1, 1.0)
    telemetry = active()
    assert telemetry is not None
    (known,) = telemetry.performance.recent.metrics()
    assert (known.success, known.status) == (False, "error")


def test_both_of_its_handlers_hear_what_is_theirs(
    kaizen_offline: ModelServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from tests.kaizen_otel.transparency.production_example import create_production_transparency_system

    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "rules:\n"
        "  - {name: some_fail, condition: error_rate > 0.1, severity: warning}\n"
        "  - {name: all_fail, condition: error_rate > 0.9, severity: critical}\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("KAIZEN_OTEL_ALERT_RULES", str(rules))
    kaizen_offline.script(lambda _: Reply(status=400))
    kaizen, transparency = create_production_transparency_system()
    kaizen.create_agent("monitored_processor", {"model": "gpt-4", "provider": "openai"}).execute(question="x")
    telemetry = active()
    assert telemetry is not None
    telemetry.performance.tick()  # what its thread does every ten seconds
    assert kaizen_otel.flush()

    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.partition(" ALERT: ")[0] for line in lines if " ALERT: " in line) == [
        "📧 EMAIL",
        "🚨 SLACK",
        "🚨 SLACK",
    ]
    assert transparency.monitoring_active
