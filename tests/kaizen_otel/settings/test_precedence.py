"""Which source wins, what `True` takes from the ones below, and what OpenTelemetry's own variables do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kaizen_otel.settings import MonitoringLevel, Settings, SettingsError, Source

SOURCES = [Source.DEFAULT, Source.PRESET, Source.FILE, Source.ENVIRONMENT, Source.DICTIONARY, Source.ARGUMENT]
"""In the documented order, whatever the enum says."""
LEVELS = {
    Source.DEFAULT: "standard",
    Source.PRESET: "comprehensive",
    Source.FILE: "basic",
    Source.ENVIRONMENT: "comprehensive",
    Source.DICTIONARY: "basic",
    Source.ARGUMENT: "comprehensive",
}


def load_from(sources: list[Source], folder: Path) -> Settings:
    env: dict[str, str] = {}
    arguments: dict[str, Any] = {}
    if Source.PRESET in sources:
        arguments["preset"] = "production"
    if Source.FILE in sources:
        file = folder / "settings.yaml"
        file.write_text(f"monitoring_level: {LEVELS[Source.FILE]}")
        env["KAIZEN_OTEL_CONFIG"] = str(file)
    if Source.ENVIRONMENT in sources:
        env["KAIZEN_OTEL_MONITORING_LEVEL"] = LEVELS[Source.ENVIRONMENT]
    if Source.DICTIONARY in sources:
        arguments["config"] = {"monitoring_level": LEVELS[Source.DICTIONARY]}
    if Source.ARGUMENT in sources:
        arguments["monitoring_level"] = LEVELS[Source.ARGUMENT]
    return Settings.load(env=env, **arguments)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name.lower())
def test_each_source_wins_over_all_below_it(source: Source, tmp_path: Path) -> None:
    settings = load_from(SOURCES[: SOURCES.index(source) + 1], tmp_path)
    assert settings.monitoring_level == LEVELS[source]
    assert settings.origins["monitoring_level"].source is source


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name.lower())
def test_each_source_works_alone(source: Source, tmp_path: Path) -> None:
    assert load_from([source], tmp_path).monitoring_level == LEVELS[source]


def test_the_emergency_switch_wins_over_everything(tmp_path: Path) -> None:
    for word in ("true", "TRUE", " True "):
        settings = Settings.load(env={"OTEL_SDK_DISABLED": word}, monitoring_level="comprehensive", content="span")
        assert settings.monitoring_level is MonitoringLevel.OFF
        assert settings.origins["monitoring_level"].where == "environment variable OTEL_SDK_DISABLED"
        assert settings.with_kaizen_config({"monitoring_level": "basic"})[0].monitoring_level is MonitoringLevel.OFF
    for word in ("false", "1", "yes", ""):
        assert load_from([], tmp_path) == Settings.load(env={"OTEL_SDK_DISABLED": word})


def test_a_bad_value_that_a_higher_source_hides_is_reported_all_the_same() -> None:
    with pytest.raises(SettingsError, match="environment variable KAIZEN_OTEL_CONSOLE_WIDTH"):
        Settings.load(env={"KAIZEN_OTEL_CONSOLE_WIDTH": "3"}, console_width=100)


def test_true_for_a_file_takes_the_path_of_the_sources_below() -> None:
    config = {"exporters": {"file": True}}
    assert Settings.load(env={}, config=config).file == Path("kaizen-otel.jsonl")
    assert Settings.load(env={"KAIZEN_OTEL_FILE": "/x.jsonl"}, config=config).file == Path("/x.jsonl")
    assert Settings.load(env={"KAIZEN_OTEL_FILE": "/x.jsonl"}, file=True).file == Path("/x.jsonl")
    assert Settings.load(env={"KAIZEN_OTEL_FILE": "true"}).file == Path("kaizen-otel.jsonl")
    assert Settings.load(env={"KAIZEN_OTEL_FILE": "/x.jsonl"}, file=False).file is None
    assert Settings(file=True).file == Path("kaizen-otel.jsonl")  # type: ignore[arg-type]


def test_true_for_prometheus_takes_the_port_of_opentelemetry() -> None:
    env = {"OTEL_EXPORTER_PROMETHEUS_PORT": "9500", "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1"}
    settings = Settings.load(env=env, prometheus_port=True)
    assert (settings.prometheus_port, settings.prometheus_host) == (9500, "127.0.0.1")
    assert Settings.load(env={}, prometheus_port=True).prometheus_port == 9464
    assert Settings.load(env=env).prometheus_port is None
    assert Settings.load(env=env | {"KAIZEN_OTEL_PROMETHEUS_PORT": "on"}).prometheus_port == 9500
    assert Settings.load(env=env, prometheus_port=9600).prometheus_port == 9600
    assert Settings.load(env=env | {"KAIZEN_OTEL_PROMETHEUS_HOST": "::"}).prometheus_host == "::"


def test_a_bad_opentelemetry_port_is_reported_only_when_it_is_needed() -> None:
    env = {"OTEL_EXPORTER_PROMETHEUS_PORT": "http"}
    assert Settings.load(env=env).prometheus_port is None
    with pytest.raises(SettingsError, match="environment variable OTEL_EXPORTER_PROMETHEUS_PORT"):
        Settings.load(env=env, prometheus_port=True)


def test_service_name_and_environment_come_from_opentelemetry_unless_ours_are_set() -> None:
    env = {"OTEL_RESOURCE_ATTRIBUTES": "a=b, service.name=desk%20one,deployment.environment.name=prod,broken"}
    settings = Settings.load(env=env)
    assert (settings.service_name, settings.environment) == ("desk one", "prod")
    env["OTEL_SERVICE_NAME"] = "desk"
    assert Settings.load(env=env).service_name == "desk"
    env |= {"KAIZEN_OTEL_SERVICE_NAME": "ours", "KAIZEN_OTEL_ENVIRONMENT": "test"}
    settings = Settings.load(env=env)
    assert (settings.service_name, settings.environment) == ("ours", "test")


def test_a_preset_is_chosen_by_argument_then_environment_then_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('preset = "development"')
    env = {"KAIZEN_OTEL_CONFIG": str(file)}
    assert Settings.load(env=env).console
    assert not Settings.load(env=env | {"KAIZEN_OTEL_PRESET": "production"}).console
    assert Settings.load("development", env=env | {"KAIZEN_OTEL_PRESET": "production"}).console


@pytest.mark.parametrize("name", ["staging", "", 3])
def test_an_unknown_preset_lists_the_known_ones(name: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"argument: preset cannot be .*; allowed: development, production"):
        Settings.load(name, env={})
    file = tmp_path / "settings.yaml"
    file.write_text("\npreset: 3")
    with pytest.raises(SettingsError, match=f"{file}:2: preset cannot be 3"):
        Settings.load(config_file=file, env={})


def test_development_preset_is_the_development_dictionary_of_the_spec() -> None:
    development_monitoring = {
        "monitoring_level": "basic",
        "performance_tracking": True,
        "real_time_metrics": False,
        "metrics_retention": "7d",
        "exporters": {"console": True, "file": True, "prometheus": False},
        "alerting": {"enabled": False},
    }
    preset = Settings.load("development", env={})
    assert preset.replace(store=None) == Settings.load(env={}, config=development_monitoring)
    assert preset.store == Path("kaizen-otel.db")  # what its retention is kept in


def test_production_preset_is_the_production_dictionary_without_what_a_collector_serves() -> None:
    production_monitoring = {
        "monitoring_level": "comprehensive",
        "performance_tracking": True,
        "real_time_metrics": True,
        "metrics_retention": "90d",
        "exporters": {"prometheus": True, "elasticsearch": False, "datadog": False, "siem": False},
        "alerting": {"enabled": True},
        "anomaly_detection": {"enabled": False, "ml_based": True, "sensitivity": "medium"},
    }
    dictionary = Settings.load(env={"KAIZEN_OTEL_ALERT_RULES": "production"}, config=production_monitoring)
    preset = Settings.load("production", env={})
    assert preset.replace(store=None) == dictionary
    assert preset.store == Path("kaizen-otel.db")


@pytest.mark.parametrize("asked", [{"content": "span"}, {"evaluators": [len]}])
def test_asking_for_content_or_evaluators_raises_a_level_that_nobody_chose(asked: dict[str, Any]) -> None:
    assert Settings.load(env={}, **asked).monitoring_level is MonitoringLevel.COMPREHENSIVE
    assert Settings.load("development", env={}, **asked).monitoring_level is MonitoringLevel.COMPREHENSIVE
    chosen = Settings.load(env={"KAIZEN_OTEL_MONITORING_LEVEL": "basic"}, **asked)
    assert chosen.monitoring_level is MonitoringLevel.BASIC
    assert (chosen.captured_content, chosen.active_evaluators) == ("off", ())
    full = Settings.load(env={}, **asked)
    assert (full.captured_content, full.active_evaluators) == (full.content, full.evaluators)


def test_a_later_kaizen_dictionary_yields_to_arguments_and_wins_over_the_rest() -> None:
    settings = Settings.load(env={"KAIZEN_OTEL_CONSOLE": "1", "KAIZEN_OTEL_FILE": "/x.jsonl"}, monitoring_level="basic")
    config = {
        "monitoring_level": "verbose",
        "exporters": {"console": False, "file": True},
        "performance_tracking": False,
    }
    laid = settings.with_kaizen_config(config, env={})[0]
    assert laid.monitoring_level is MonitoringLevel.BASIC
    assert (laid.console, laid.file, laid.durations) == (False, Path("/x.jsonl"), False)
    assert settings.console
    assert settings.with_kaizen_config({}, env={})[0] == settings


def test_load_reads_the_real_environment_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIZEN_OTEL_CONSOLE_WIDTH", "77")
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", "9700")
    assert Settings.load().console_width == 77
    assert Settings.load().with_kaizen_config({"exporters": {"prometheus": True}})[0].prometheus_port == 9700


def test_an_environment_of_other_things_than_text_is_refused() -> None:
    with pytest.raises(SettingsError, match="environment variable KAIZEN_OTEL_CONSOLE must be text"):
        Settings.load(env={"KAIZEN_OTEL_CONSOLE": True})  # type: ignore[dict-item]


def test_describe_shows_each_value_and_its_source(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("redact_patterns: ['secret-[0-9]+']\nmetrics_retention_s: 90d\n")
    text = Settings.load(
        "development",
        config_file=file,
        env={"KAIZEN_OTEL_CONSOLE_WIDTH": "90"},
        evaluators=[len],
        monitoring_level="basic",
    ).describe()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines()}
    assert rows["setting"] == "value source"
    assert rows["console"] == "true preset development (argument)"
    assert rows["console_width"] == "90 environment variable KAIZEN_OTEL_CONSOLE_WIDTH"
    assert rows["redact_patterns"] == f"<1 hidden> {file}:1"
    assert rows["metrics_retention_s"] == f"7776000 {file}:2"
    assert rows["evaluators"] == "len (off at level basic) argument"
    assert rows["baggage"] == "false default"
    assert rows["service_name"] == "none default"
    assert set(rows) == {"setting", *Settings().origins}


def test_describe_says_when_the_level_leaves_content_out() -> None:
    text = Settings(content="span").describe()
    assert "span (off at level standard)" in text
