"""`Kaizen(config=…)` after `instrument()`: what is wrong in it costs nothing else, and several of them add up."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.invocations.extent import extent_of_all
from kaizen_otel.patches.switch import active
from kaizen_otel.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen_otel.settings import Settings

SLOW = {"name": "slow", "condition": "p95_latency > 10000"}
DEAR = {"name": "dear", "condition": "cost_per_hour > 5"}


def hook(name: str) -> dict[str, Any]:
    return {name: {"type": "webhook", "url": f"https://{name}.example.com/hook"}}


@pytest.fixture(autouse=True)
def _off_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    kaizen_otel.uninstrument()


def apply(config: dict[str, Any]) -> Settings:
    """What holds after a Kaizen object with this dictionary was made."""
    telemetry = active()
    assert telemetry is not None
    telemetry.settings_desk.apply_kaizen_config(config)
    return telemetry.settings


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was told beside the fence's own line."""
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return [message for message in told if not message.startswith("telemetry failed at settings")]


@pytest.mark.telemetry_fails
def test_a_refused_key_costs_only_itself_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    kaizen_otel.instrument()
    for _ in range(2):
        settings = apply(
            {
                "monitoring_level": "basic",
                "metrics_retention": "soon",
                "exporters": {"file": {"path": "a.jsonl"}, "consol": True, "datadog": True, "siem": True},
                "metrics_collection": {"buffer_size": 0, "streaming": True},
                "performance_monitoring": False,
                "performance_tracking": True,
            }
        )
    assert (settings.monitoring_level, settings.metrics_streaming, settings.durations) == ("basic", True, False)
    assert settings.file is not None
    assert settings.file.exists()
    said = "kaizen-otel ignores this: Kaizen(config=…)"
    unavailable, *others = sorted(warnings(caplog))
    assert unavailable.startswith(f"{said}: not available in kaizen-otel 0.1: exporters.datadog (")
    assert "; exporters.siem (" in unavailable
    assert [message.removeprefix(said).partition(";")[0].partition(" Known")[0] for message in others] == [
        "['exporters']: unknown key 'consol'. Did you mean console?",
        "['metrics_collection']['buffer_size']: metrics_buffer_size cannot be 0",
        "['metrics_retention']: metrics_retention_s cannot be 'soon'",
        "['performance_tracking'] and Kaizen(config=…)['performance_monitoring'] contradict each other",
    ]
    assert kaizen_otel.stats()["failures"] == {"settings:SettingsError": 10}


@pytest.mark.telemetry_fails
def test_rules_that_cannot_be_used_leave_the_rest_and_the_rules_before(caplog: pytest.LogCaptureFixture) -> None:
    kaizen_otel.instrument()
    apply({"alerting": {"rules": [SLOW]}})
    wrong = [{"name": "a", "condition": "eror_rate > 1"}, {"name": "b", "condition": "1 > 2"}]
    settings = apply({"alerting": {"rules": wrong}, "performance_tracking": False})
    assert settings.alert_rules == {"rules": [SLOW]}
    assert settings.durations is False
    (said,) = warnings(caplog)
    assert "Kaizen(config=…)['alerting'].rules[0].condition: unknown name `eror_rate`" in said
    assert "Kaizen(config=…)['alerting'].rules[1].condition: this compares constants" in said


SERVED = {"KAIZEN_OTEL_PROMETHEUS_PORT": "0"}
EXPORTED = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "KAIZEN_OTEL_EXIT_TIMEOUT_S": "0.1",
}


@pytest.mark.telemetry_fails
@pytest.mark.parametrize(
    ("env", "later", "refused"),
    [
        (SERVED, {"exporters": {"prometheus": {"port": 9464}}}, "prometheus_port cannot become 9464"),
        (SERVED, {"exporters": {"prometheus": {"port": 0, "host": "::1"}}}, "prometheus_host cannot become ::1"),
        (EXPORTED, {"exporters": {"otlp": False}}, "otlp cannot become false"),
        (EXPORTED, {"metrics_collection": {"collection_interval": 7}}, "metrics_interval_s cannot become 7"),
    ],
)
def test_what_comes_too_late_is_refused_and_says_where_to_say_it(
    env: dict[str, str],
    later: dict[str, Any],
    refused: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("opentelemetry.metrics.set_meter_provider", lambda _: None)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    kaizen_otel.instrument()
    telemetry = active()
    assert telemetry is not None
    before = telemetry.settings
    assert apply({**later, "performance_tracking": False}).replace(durations=True) == before
    (said,) = warnings(caplog)
    assert f": {refused} any more: " in said
    assert " already; allowed: say it before, to instrument(), as KAIZEN_OTEL_" in said


@pytest.mark.telemetry_fails
def test_an_endpoint_that_cannot_listen_costs_no_other_output(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", lambda _: None)
    monkeypatch.setattr("opentelemetry.metrics.set_meter_provider", lambda _: None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("KAIZEN_OTEL_EXIT_TIMEOUT_S", "0.1")
    kaizen_otel.instrument(config={"exporters": {"otlp": False}})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        prometheus = {"port": port, "host": "127.0.0.1"}
        settings = apply({"exporters": {"prometheus": prometheus, "file": {"path": "a.jsonl"}, "otlp": True}})
    assert (settings.prometheus_port, settings.file, settings.otlp) == (None, tmp_path / "a.jsonl", True)
    telemetry = active()
    assert telemetry is not None
    assert telemetry.metrics.own is not None
    assert telemetry.metrics.own.pushes
    (said,) = [message for message in warnings(caplog) if "ignores this" in message]
    place = "Kaizen(config=…)['exporters']['prometheus']['port']: prometheus_port: cannot listen on 127.0.0.1:"
    assert f"{place}{port} (Address already in use); allowed: another prometheus_port, 0 for any free one" in said
    kaizen_otel.uninstrument()
    caplog.clear()


def test_the_rules_and_channels_of_several_kaizens_hold_side_by_side(caplog: pytest.LogCaptureFixture) -> None:
    kaizen_otel.instrument()
    ops, team = hook("ops"), hook("team")
    apply({"alerting": {"rules": [SLOW], "channels": ["ops"], "notification_channels": ops}})
    settings = apply({"alerting": {"rules": [DEAR], "channels": ["team"], "notification_channels": team}})
    assert settings.alert_rules == {"rules": [DEAR | {"channels": ["team"]}, SLOW | {"channels": ["ops"]}]}
    assert settings.notification_channels == ops | team
    assert apply({"alerting": {"rules": [SLOW], "channels": ["ops"]}}).alert_rules == settings.alert_rules
    assert list(kaizen_otel.stats()["alerts"]["channels"]) == ["events", "ops", "team"]
    assert warnings(caplog) == []


def test_channels_that_come_without_rules_are_not_those_of_earlier_rules() -> None:
    kaizen_otel.instrument()
    apply({"alerting": {"rules": [SLOW], "channels": ["ops"], "notification_channels": hook("ops")}})
    settings = apply({"alerting": {"channels": ["team"], "notification_channels": hook("team")}})
    assert settings.alert_rules == {"rules": [SLOW | {"channels": ["ops"]}]}


def test_a_rule_that_means_two_things_is_told_and_the_last_one_holds(caplog: pytest.LogCaptureFixture) -> None:
    kaizen_otel.instrument()
    apply({"alerting": {"rules": [SLOW, DEAR]}})
    stricter = SLOW | {"condition": "p95_latency > 5000"}
    for _ in range(2):
        settings = apply({"alerting": {"rules": [stricter]}})
    assert settings.alert_rules == {"rules": [stricter, DEAR]}
    (said,) = warnings(caplog)
    why = "the rule 'slow' means something else in an earlier dictionary; the last one holds"
    assert said.startswith(f"Kaizen(config=…)['alerting']: {why} (at {__file__}:")


def test_rules_of_a_file_are_replaced_by_those_of_a_dictionary(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("rules: [{name: own, condition: error_rate > 0.5}]\n", encoding="utf-8")
    settings = tmp_path / "settings.yaml"
    settings.write_text("alert_rules: rules.yaml\n", encoding="utf-8")
    kaizen_otel.instrument(config_file=settings)
    assert apply({"alerting": {"rules": [SLOW]}}).alert_rules == {"rules": [SLOW]}


@pytest.mark.telemetry_fails
def test_a_part_that_cannot_even_go_back_costs_the_other_parts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kaizen_otel.instrument()
    telemetry = active()
    assert telemetry is not None

    def refuse(settings: Settings) -> None:
        raise SettingsError(f"file cannot be {settings.file}", key="file", where="argument")

    monkeypatch.setattr(telemetry.providers, "reconfigure_outputs", refuse)
    config = {"monitoring_level": "basic", "metrics_collection": {"buffer_size": 7}, "exporters": {"file": True}}
    settings = apply(config)
    assert (settings.file, settings.monitoring_level) == (None, "basic")
    assert telemetry.performance.recent.keep == 7
    assert telemetry.extent.records_nodes == extent_of_all(settings).records_nodes
    assert kaizen_otel.stats()["failures"] == {"settings:SettingsError": 2}
