"""Rules over what real Kaizen agents do, as `instrument()` starts them."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel import SettingsError
from kaizen_otel import rules as desks
from kaizen_otel.demo.script import Reply
from kaizen_otel.patches.switch import active
from kaizen_otel.testing import capture
from kaizen_processors.alerts import production_rules, vocabulary
from kaizen_processors.conditions import CONDITIONS
from tests.kaizen_otel.alert_listeners import RULES, Listener, run_agent
from tests.processors.alerts.json_server import json_server

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer


pytestmark = pytest.mark.usefixtures("no_handlers_afterwards")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES, encoding="utf-8")
    return path


def test_both_vocabularies_are_one() -> None:
    assert set(vocabulary.MEASURES) == set(CONDITIONS)
    for name, measure in vocabulary.MEASURES.items():
        if name != "active_agents":  # it is no figure of a window
            assert measure.window_s == CONDITIONS[name].window_s


def test_a_failing_agent_raises_an_alert_with_links_to_its_worst_runs(kaizen_offline: ModelServer, rules: Path) -> None:
    listener = Listener()
    assert kaizen_otel.register_alert_handler(listener) == "listener"
    kaizen_offline.script(lambda _: Reply(status=400))
    with capture(alert_rules=rules, trace_url_template="http://jaeger:16686/trace/{trace_id}") as captured:
        for name in ("broken", "broken"):
            run_agent(name)
        captured.tick()
        assert captured.flush()
        (failing,) = [alert for alert in listener.alerts if alert["type"] == "failing"]
        assert (failing["severity"], failing["value"], failing["threshold"]) == ("critical", 1.0, 0.5)
        assert failing["labels"]["agent_name"] == "broken"
        traces = {span.trace_id for span in captured.spans_named("invoke_agent broken")}
        assert {one["trace_id"] for one in failing["executions"]} == traces
        assert {one["url"] for one in failing["executions"]} == {f"http://jaeger:16686/trace/{t}" for t in traces}
        (event,) = [one for one in captured.events if one.event_name == "kaizen.alert"]
        assert event.attributes["kaizen.alert.type"] == "failing"
        assert event.attributes["gen_ai.agent.name"] == "broken"
        stats = kaizen_otel.stats()["alerts"]
        assert stats["firing"] == 1
        assert stats["channels"]["listener"]["sent"] == 1


def test_budgets_count_what_agents_spend_and_for_whom(kaizen_offline: ModelServer, rules: Path) -> None:
    listener = Listener()
    kaizen_otel.register_alert_handler(listener)
    with capture(alert_rules=rules) as captured:
        run_agent()
        captured.tick()
        assert captured.flush()
        assert listener.types == ["all"]
        with kaizen_otel.attributes(user_id="ada", session_id="s1"):
            run_agent()
        captured.tick()
        assert captured.flush()
    assert listener.types == ["all", "each_user"]
    assert listener.alerts[1]["labels"]["user"] == "ada"
    spent = sum(call.price.amount or 0 for call in captured.calls)
    assert listener.alerts[0]["value"] == pytest.approx(spent / 2 / 1e24)
    assert len(kaizen_offline.requests) == 2


def test_handlers_alone_start_the_built_in_rules_and_outlast_uninstrument(kaizen_offline: ModelServer) -> None:
    listener = Listener()
    kaizen_offline.script(lambda _: Reply(status=400))
    with capture() as captured:
        run_agent()
        assert kaizen_otel.stats()["alerts"] == {}
        kaizen_otel.register_alert_handler(listener)
        captured.tick()
        assert captured.flush()
    assert listener.types == ["high_error_rate"]
    with capture() as captured:
        run_agent()
        captured.tick()
        assert captured.flush()
    assert listener.types == ["high_error_rate", "high_error_rate"]
    assert kaizen_otel.unregister_alert_handler("listener")
    assert not kaizen_otel.unregister_alert_handler("listener")
    with capture() as captured:
        run_agent()
        captured.tick()
    assert len(listener.alerts) == 2


def test_the_transparency_interface_registers_handlers_too(kaizen_offline: ModelServer) -> None:
    listener = Listener()
    transparency = kaizen_otel.get_transparency_interface()
    transparency.register_alert_handler(listener)
    kaizen_offline.script(lambda _: Reply(status=400))
    with capture() as captured:
        run_agent()
        captured.tick()
        assert captured.flush()
    assert [
        {key: alert[key] for key in ("type", "severity", "message", "value", "threshold")} for alert in listener.alerts
    ] == [
        {
            "type": "high_error_rate",
            "severity": "warning",
            "message": "Error rate: 100.0%",
            "value": 1.0,
            "threshold": 0.1,
        }
    ]


def test_handlers_have_names_of_their_own() -> None:
    names = [kaizen_otel.register_alert_handler(print), kaizen_otel.register_alert_handler(print)]
    names += [kaizen_otel.register_alert_handler(lambda _: None)]
    assert names == ["print", "print_2", "lambda"]
    with pytest.raises(TypeError, match="a function of one argument"):
        kaizen_otel.register_alert_handler("print")  # type: ignore[arg-type]  # what is wrong is the point


def test_a_handler_that_raises_does_not_change_what_the_agent_gives(kaizen_offline: ModelServer) -> None:
    def broken(alert: dict[str, Any]) -> None:
        raise KeyError(alert["type"])

    kaizen_otel.register_alert_handler(broken)
    kaizen_offline.script(lambda _: Reply(status=400))
    with capture() as captured:
        run_agent()
        captured.tick()
        assert captured.flush()
        assert kaizen_otel.stats()["alerts"]["channels"]["broken"]["dropped"] == {"KeyError": 1}


def test_what_fires_is_not_raised_again_by_the_next_process(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    listener = Listener()
    kaizen_otel.register_alert_handler(listener)
    kaizen_offline.script(lambda _: Reply(status=400))
    for _ in range(2):
        with capture(alert_state=tmp_path / "alerts.json") as captured:
            run_agent()
            captured.tick()
            assert captured.flush()
            assert kaizen_otel.stats()["alerts"]["firing"] == 1
    assert listener.types == ["high_error_rate"]


def test_alerts_go_to_an_alertmanager(kaizen_offline: ModelServer) -> None:
    kaizen_offline.script(lambda _: Reply(status=400))
    with json_server() as server, capture(alertmanager_url=server.url) as captured:
        run_agent()
        captured.tick()
        assert captured.flush()
        assert [alert["labels"]["alertname"] for alert in server.bodies[0]] == ["high_error_rate"]


def test_in_a_program_rules_are_judged_by_the_ticker(kaizen_offline: ModelServer) -> None:
    listener = Listener()
    kaizen_otel.register_alert_handler(listener)
    kaizen_offline.script(lambda _: Reply(status=400))
    kaizen_otel.instrument()
    # It runs before anything has happened: a rule may be about silence.
    assert [one.name for one in threading.enumerate() if one.name == "kaizen-otel-ticker"]
    run_agent()
    telemetry = active()
    assert telemetry is not None
    telemetry.performance.tick()  # what that thread does every ten seconds
    assert kaizen_otel.flush()
    assert listener.types == ["high_error_rate"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"alert_rules": "nowhere.yaml"}, r"nowhere\.yaml: cannot be read"),
        ({"alertmanager_url": "localhost"}, r"allowed: http\(s\)://host"),
        ({"alert_rules": "{rules}", "trace_url_template": "http://jaeger"}, "with {trace_id} in it"),
        ({"alert_rules": "{rules}", "alert_state": "{rules}/state"}, "alert_state cannot be .*: there is no folder"),
        ({"alert_rules": "{rules}"}, "channels: 'listener' is unknown; allowed: events"),
        (
            {"alerting": "yes", "alert_state": "{rules}"},
            "^argument: alert_state cannot be .*: is no state of alerts, and",
        ),
    ],
)
def test_what_cannot_work_is_said_at_the_start(given: dict[str, Any], problem: str, rules: Path) -> None:
    with pytest.raises(SettingsError, match=problem):
        kaizen_otel.instrument(
            **{name: text == "yes" or text.replace("{rules}", str(rules)) for name, text in given.items()}
        )
    assert kaizen_otel.stats() == {"instrumented": False}


def test_conditions_may_name_the_budget_limit_of_the_settings(kaizen_offline: ModelServer, rules: Path) -> None:
    listener = Listener()
    kaizen_otel.register_alert_handler(listener)
    rules.write_text("rules: [{name: dear, condition: daily_cost > budget_limit}]\n", encoding="utf-8")
    for limit, told in ((5.0, []), (0.000001, ["dear"])):
        with capture(alert_rules=rules, budget_limit=limit) as captured:
            run_agent()
            captured.tick()
            assert captured.flush()
        assert listener.types == told
    with pytest.raises(SettingsError, match="unknown name `budget_limit`"):
        kaizen_otel.instrument(alert_rules=rules)
    assert len(kaizen_offline.requests) == 2


def test_a_file_may_silence(kaizen_offline: ModelServer, rules: Path) -> None:
    listener = Listener()
    kaizen_otel.register_alert_handler(listener)
    silences = "silences:\n  - {matchers: ['agent_name=~\"bro.*\"'], ends_at: 2100-01-01}\n"
    rules.write_text(RULES + silences, encoding="utf-8")
    kaizen_offline.script(lambda _: Reply(status=400))
    with capture(alert_rules=rules) as captured:
        run_agent("broken")
        captured.tick()
        assert captured.flush()
        assert kaizen_otel.stats()["alerts"]["firing"] == 1
    assert listener.types == []


def test_rules_without_windows_are_warned_of(rules: Path, caplog: pytest.LogCaptureFixture) -> None:
    kaizen_otel.register_alert_handler(Listener())
    with capture(alert_rules=rules, windows=False):
        pass
    assert "rules have no numbers" in caplog.text


# -- the end -----------------------------------------------------------------------------------------------------------


def test_a_flush_judges_what_was_done_since_the_last_tick(kaizen_offline: ModelServer) -> None:
    listener = Listener()
    kaizen_otel.register_alert_handler(listener)
    kaizen_offline.script(lambda _: Reply(status=400))
    with capture() as captured:
        run_agent()
        assert captured.flush()
        assert listener.types == ["high_error_rate"]
        run_agent()
        assert captured.flush()
    assert listener.types == ["high_error_rate"]


SHORT_RUN = """
import kaizen_otel
from datetime import UTC, datetime
from kaizen_processors.execution import ExecutionMetrics

kaizen_otel.register_alert_handler(lambda alert: print("told", alert["type"], flush=True))
kaizen_otel.instrument(alert_rules={"rules": [{"name": "busy", "condition": "executions >= 2"}]})
for number in range(2):
    now = datetime.now(UTC)
    seen = ExecutionMetrics(f"id-{number}", "a", "m", now, 5.0, 3, 2, 5, 0.0, success=True)
    kaizen_otel.record_execution_metrics(seen)
"""


def test_a_program_that_is_shorter_than_a_tick_is_judged_at_its_end() -> None:
    command = [sys.executable, "-c", SHORT_RUN]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - our own program
    assert (ran.stdout, ran.stderr) == ("told busy\n", "")


def test_handlers_of_two_threads_start_one_desk(kaizen_offline: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    kaizen_offline.script(lambda _: Reply(status=400))
    first, second = Listener(), Listener()
    other = threading.Thread(target=kaizen_otel.register_alert_handler, args=(second,))
    read = desks._rule_set

    def while_another_registers(settings: Any) -> Any:
        if other.ident is None:
            other.start()
            other.join(0.5)  # it must wait for us, and so we cannot wait for it
        return read(settings)

    monkeypatch.setattr(desks, "_rule_set", while_another_registers)
    with capture() as captured:
        kaizen_otel.register_alert_handler(first)
        other.join()
        run_agent()
        captured.tick()
        assert captured.flush()
    assert (first.types, second.types) == (["high_error_rate"], ["high_error_rate"])


def test_alerting_may_be_on_or_off_whoever_listens(
    kaizen_offline: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener()
    kaizen_offline.script(lambda _: Reply(status=400))
    with capture(alerting=True) as captured:
        run_agent()
        captured.tick()
        assert captured.flush()
        assert [event.event_name for event in captured.events if event.event_name == "kaizen.alert"] == ["kaizen.alert"]
    with capture(alerting=False) as captured:
        name = kaizen_otel.register_alert_handler(listener)
        run_agent()
        captured.tick()
        assert kaizen_otel.stats()["alerts"] == {}
        assert kaizen_otel.unregister_alert_handler(name)
    assert listener.types == []
    assert "the alert handler listener is told nothing: `alerting` is off" in caplog.text


@pytest.mark.parametrize(
    ("limit", "names"),
    [
        (None, ["high_error_rate", "execution_latency_spike"]),
        (5.0, ["high_error_rate", "execution_latency_spike", "cost_budget_exceeded"]),
    ],
)
def test_the_production_rules_have_a_budget_where_there_is_a_limit(limit: float | None, names: list[str]) -> None:
    assert [rule.name for rule in production_rules(limit)] == names
    with capture(alert_rules="production", budget_limit=limit):
        assert list(kaizen_otel.stats()["alerts"]["channels"]) == ["events"]


def test_a_handler_may_have_a_name_of_its_own() -> None:
    assert kaizen_otel.register_alert_handler(print, name="slack") == "slack"
    for name in ("slack", "events", "no name", ""):
        with pytest.raises(ValueError, match="named"):
            kaizen_otel.register_alert_handler(print, name=name)


def test_a_channel_that_does_not_answer_leaves_time_for_what_is_exported(
    rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[float] = []

    def export(timeout_s: float) -> bool:
        left.append(timeout_s)
        return True

    kaizen_otel.register_alert_handler(Listener())
    with capture(alert_rules=rules):
        telemetry = active()
        assert telemetry is not None
        monkeypatch.setattr(telemetry.providers, "flush", export)
        monkeypatch.setattr(telemetry.rules, "flush", threading.Event().wait)  # as long as it may
        assert not kaizen_otel.flush(0.4)
        monkeypatch.undo()
    assert left[0] > 0
