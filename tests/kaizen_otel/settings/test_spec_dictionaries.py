"""The spec's dictionaries: each key changes a setting, or is refused; docs/settings.md names these tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.settings import AgentSettings, MonitoringLevel, Settings, SettingsError
from kaizen_otel.settings.errors import Refusals
from kaizen_otel.settings.spec_dictionaries import (
    KAIZEN_KEYS,
    NOT_AVAILABLE,
    TRANSPARENCY_KEYS,
    Tree,
    from_kaizen_config,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOWN = {
    "KAIZEN_OTEL_MONITORING_LEVEL": "off",
    "KAIZEN_OTEL_DURATIONS": "false",
    "KAIZEN_OTEL_METRICS": "false",
    "KAIZEN_OTEL_DEFERRED_HISTOGRAMS": "true",
    "KAIZEN_OTEL_CONSOLE": "true",
    "KAIZEN_OTEL_OTLP": "true",
    "KAIZEN_OTEL_PROMETHEUS_PORT": "9000",
}
"""An environment that says the opposite of the defaults, so that `True` has something to change."""


def load(env: Mapping[str, str] | None = None, /, **config: Any) -> Settings:
    return Settings.load(env=env or {}, config=config)


def refused(config: Mapping[str, Any]) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.load(env={}, config=config)
    return str(caught.value)


def test_transparency_enabled_switches_monitoring() -> None:
    assert load(transparency_enabled=False).monitoring_level is MonitoringLevel.OFF
    assert load(transparency_enabled=False, monitoring_level="basic").monitoring_level is MonitoringLevel.OFF
    assert load(DOWN, transparency_enabled=True).monitoring_level is MonitoringLevel.STANDARD
    env = {"KAIZEN_OTEL_MONITORING_LEVEL": "basic"}
    assert load(env, transparency_enabled=True).monitoring_level is MonitoringLevel.BASIC
    assert load(env, transparency_enabled=True, monitoring_level="verbose").monitoring_level == "comprehensive"


@pytest.mark.parametrize(
    ("word", "level"),
    [("off", "off"), ("basic", "basic"), ("detailed", "standard"), ("verbose", "comprehensive"), (False, "off")],
)
def test_monitoring_level_sets_the_level(word: Any, level: str) -> None:
    assert load(monitoring_level=word).monitoring_level == level


@pytest.mark.parametrize("key", ["performance_tracking", "performance_monitoring"])
def test_performance_tracking_switches_duration_histograms(key: str) -> None:
    assert load(DOWN, **dict[str, Any]({key: True})).durations
    assert not load(**dict[str, Any]({key: False})).durations


def test_performance_keys_may_not_contradict_each_other() -> None:
    assert load(performance_tracking=False, performance_monitoring=False).durations is False
    message = refused({"performance_tracking": True, "performance_monitoring": False})
    assert "['performance_tracking']" in message
    assert "['performance_monitoring'] contradict each other" in message


def test_real_time_metrics_records_histograms_at_once() -> None:
    assert load(DOWN, real_time_metrics=True).deferred_histograms is False
    assert load(real_time_metrics=False).deferred_histograms is True


def test_metrics_retention_is_kept_in_seconds() -> None:
    assert load(metrics_retention="7d").metrics_retention_s == 604_800.0
    assert "argument config['metrics_retention']" in refused({"metrics_retention": "a week"})


def test_metrics_collection_switches_metrics() -> None:
    assert load(DOWN, metrics_collection=True).metrics
    assert load(DOWN, metrics_collection={}).metrics
    assert load(DOWN, metrics_collection={"enabled": True}).metrics
    assert not load(metrics_collection=False).metrics
    assert not load(metrics_collection={"enabled": False}).metrics


def test_collection_interval_sets_the_export_interval() -> None:
    assert load(metrics_collection={"collection_interval": 1}).metrics_interval_s == 1.0
    assert load(metrics_collection={"enabled": False, "collection_interval": 1}).metrics_interval_s is None
    assert "['collection_interval']" in refused({"metrics_collection": {"enabled": False, "collection_interval": "x"}})


def test_buffer_size_bounds_the_executions_kept() -> None:
    assert load(metrics_collection={"buffer_size": 50}).metrics_buffer_size == 50
    assert load(metrics_collection={"enabled": False, "buffer_size": 50}).metrics_buffer_size == 1_000
    assert "['buffer_size']" in refused({"metrics_collection": {"buffer_size": 0}})


def test_streaming_tells_subscribers_as_executions_end() -> None:
    assert load(metrics_collection={"streaming": True}).metrics_streaming
    assert not load(metrics_collection={"streaming": False}).metrics_streaming
    assert "['streaming']" in refused({"metrics_collection": {"streaming": "often"}})


def test_console_exporter_switches_the_tree() -> None:
    assert load(exporters={"console": True}).console
    assert not load(DOWN, exporters={"console": False}).console
    assert not load(DOWN, exporters={"console": {"enabled": False, "width": 90}}).console
    settings = load(exporters={"console": {"width": 90}})
    assert (settings.console, settings.console_width) == (True, 90)


def test_file_exporter_names_the_file() -> None:
    assert load(exporters={"file": True}).file == Path("kaizen-otel.jsonl")
    assert load({"KAIZEN_OTEL_FILE": "/e.jsonl"}, exporters={"file": {"enabled": True}}).file == Path("/e.jsonl")
    assert load(exporters={"file": {"path": "/x.jsonl"}}).file == Path("/x.jsonl")
    assert load({"KAIZEN_OTEL_FILE": "/e.jsonl"}, exporters={"file": False}).file is None
    assert load(exporters={"file": {"enabled": False, "path": "/x.jsonl"}}).file is None


def test_prometheus_exporter_opens_the_port() -> None:
    assert load(exporters={"prometheus": True}).prometheus_port == 9464
    assert load({"OTEL_EXPORTER_PROMETHEUS_PORT": "9500"}, exporters={"prometheus": True}).prometheus_port == 9500
    assert load(DOWN, exporters={"prometheus": False}).prometheus_port is None
    settings = load(exporters={"prometheus": {"enabled": True, "port": 9600, "host": "::1"}})
    assert (settings.prometheus_port, settings.prometheus_host) == (9600, "::1")
    assert load(exporters={"prometheus": {"enabled": False, "port": 9600}}).prometheus_port is None


def test_otlp_exporter_switches_otlp() -> None:
    assert load(exporters={"otlp": True}).otlp is True
    assert load(DOWN, exporters={"otlp": {"enabled": False}}).otlp is False


def test_alerting_switches_the_judging_of_rules() -> None:
    assert load(alerting=True).alerting is True
    assert load(alerting={}).alerting is True
    assert load({"KAIZEN_OTEL_ALERTING": "yes"}, alerting=False).alerting is False
    off = load(alerting={"enabled": False, "channels": ["a"], "rules": 3, "escalation_policy": "b"})
    assert off == Settings(alerting=False)
    assert "['channels']" in refused({"alerting": {"enabled": False, "channels": 3}})


def test_alerting_says_what_is_judged_and_who_is_told() -> None:
    rules = [{"name": "slow", "condition": "p95_latency > 10000", "time_window": "10m"}]
    hooks = {"ops": {"type": "webhook", "url": "https://example.com/hook"}}
    settings = load(alerting={"rules": rules, "channels": ["ops"], "notification_channels": hooks})
    assert settings.alerting is True
    assert settings.alert_rules == {"rules": rules}
    assert settings.alert_channels == ("ops",)
    assert settings.notification_channels == hooks
    assert settings.origins["alert_rules"].where == "argument config['alerting']"
    assert "example.com" not in settings.describe()
    assert "['notification_channels']" in refused({"alerting": {"notification_channels": ["slack"]}})


def nested(dotted: str, value: Any) -> dict[str, Any]:
    for key in reversed(dotted.split(".")):
        value = {key: value}
    found: dict[str, Any] = value
    return found


FRAMEWORK_GAPS = [key for key in NOT_AVAILABLE if not key.startswith("transparency.")]
AGENT_GAPS = [key.removeprefix("transparency.") for key in NOT_AVAILABLE if key.startswith("transparency.")]


@pytest.mark.parametrize("key", FRAMEWORK_GAPS)
def test_what_is_not_available_is_refused_when_on(key: str) -> None:
    on: dict[str, Any] = {"exporters.prometheus.endpoint": "http://prometheus:9090"}
    message = refused(nested(key, on.get(key, True)))
    assert message == f"argument config: not available in kaizen-otel 0.1: {key} ({NOT_AVAILABLE[key]})"
    if key not in on and "." not in key.removeprefix("exporters."):
        assert "not available" in refused(nested(key, {}))
        assert "not available" in refused(nested(key, {"enabled": True}))


@pytest.mark.parametrize("key", FRAMEWORK_GAPS)
def test_what_is_not_available_is_accepted_when_off(key: str) -> None:
    parent, _, last = key.rpartition(".")
    if last in {"endpoint", "escalation_policy"}:
        Settings.load(env={}, config=nested(parent, {"enabled": False, last: 1}))
        Settings.load(env={}, config=nested(key, None))
        return
    assert Settings.load(env={}, config=nested(key, False)) == Settings()
    assert Settings.load(env={}, config=nested(key, {"enabled": False})) == Settings()


@pytest.mark.parametrize("path", ["exporters.elasticsearch", "exporters.siem", "anomaly_detection"])
def test_details_of_what_is_off_are_accepted(path: str) -> None:
    tree = dict(trees(KAIZEN_KEYS))[tuple(path.split("."))]
    assert Settings.load(env={}, config=nested(path, {**dict.fromkeys(tree, "x"), "enabled": False})) == Settings()


def test_all_that_is_not_available_is_named_at_once() -> None:
    production_monitoring = {
        "monitoring_level": "comprehensive",
        "performance_tracking": True,
        "real_time_metrics": True,
        "metrics_retention": "90d",
        "exporters": {"prometheus": True, "elasticsearch": True, "datadog": True, "siem": True},
        "alerting": {
            "enabled": True,
            "channels": ["slack", "email", "pagerduty"],
            "escalation_policy": "production_alerts",
        },
        "anomaly_detection": {"enabled": True, "ml_based": True, "sensitivity": "medium"},
    }
    message = refused(production_monitoring)
    keys = ("exporters.elasticsearch", "exporters.datadog", "exporters.siem", "alerting.escalation_policy")
    for key in (*keys, "anomaly_detection"):
        assert f"{key} (" in message
    assert "Collector" in message


def test_a_refusal_never_shows_an_api_key() -> None:
    real_time_config = {
        "metrics_collection": {"enabled": True, "collection_interval": 1, "buffer_size": 1000, "streaming": True},
        "exporters": {
            "prometheus": {"enabled": True, "endpoint": "http://prometheus:9090"},
            "grafana": {"enabled": True, "dashboard_id": "kaizen-monitoring"},
            "datadog": {"enabled": True, "api_key": "dd_api_key"},
        },
    }
    message = refused(real_time_config)
    assert "dd_api_key" not in message
    for key in ("prometheus.endpoint", "grafana", "datadog"):
        assert key in message
    assert "hunter2" not in refused({"exporters": {"datadog": ["hunter2"]}})


def test_keys_at_the_top_that_are_not_ours_are_left_to_kaizen() -> None:
    kaizens = {"debug": True, "memory_enabled": True, "cache_ttl": 3600, "anything": object(), 3: 4}
    assert from_kaizen_config(kaizens, Refusals()) == {}  # type: ignore[arg-type]
    assert Settings.load(env={}, config=kaizens) == Settings()  # type: ignore[arg-type]


def trees(tree: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Tree]]:
    for key, below in tree.items():
        if below:
            yield (*path, key), below
            yield from trees(below, (*path, key))


@pytest.mark.parametrize(("path", "known"), list(trees(KAIZEN_KEYS)), ids=".".join)
def test_unknown_keys_inside_our_dictionaries_list_the_known_ones(path: tuple[str, ...], known: Tree) -> None:
    first = next(iter(known))
    message = refused(nested(".".join(path), {first + "x": True}))
    place = "".join(f"[{key!r}]" for key in path)
    assert message.startswith(f"argument config{place}: unknown key '{first}x'. Did you mean {first}?")
    assert all(key in message for key in known)
    assert "unknown key 3" in refused(nested(".".join(path), {3: True}))


@pytest.mark.parametrize("key", list(KAIZEN_KEYS))
@pytest.mark.parametrize("value", [3.5, "yes", [1], object()])
def test_values_of_the_wrong_type_are_refused_by_their_place(key: str, value: Any) -> None:
    if key == "metrics_retention" and value == 3.5:
        assert load(metrics_retention=value).metrics_retention_s == 3.5
    else:
        assert refused({key: value}).startswith(f"argument config['{key}']: ")


@pytest.mark.parametrize("config", [3, "x", [], object()])
def test_a_config_that_is_no_dictionary_is_refused(config: Any) -> None:
    with pytest.raises(SettingsError, match="allowed: a dictionary"):
        Settings.load(env={}, config=config)


class HostileMapping(dict[str, Any]):
    def __contains__(self, key: object) -> bool:
        raise LookupError(key)

    def items(self) -> Any:
        raise LookupError

    def __iter__(self) -> Iterator[str]:
        raise LookupError


def test_a_hostile_mapping_raises_only_settings_errors() -> None:
    refusals = Refusals()
    assert from_kaizen_config(HostileMapping(), refusals) == {}
    assert [str(error) for error in refusals.errors] == ["Kaizen(config=…): reading it raised LookupError"]
    with pytest.raises(SettingsError, match="reading it raised LookupError"):
        AgentSettings.from_config(HostileMapping())
    assert "reading it raised LookupError" in refused({"exporters": HostileMapping(console=True)})


def test_agent_monitoring_level_holds_for_the_agent() -> None:
    agent = AgentSettings.from_config({"monitoring_level": "comprehensive"})
    assert agent == AgentSettings(monitoring_level=MonitoringLevel.COMPREHENSIVE)
    assert agent.over(Settings(content="span")).captured_content == "span"
    assert agent.over(Settings(monitoring_level=MonitoringLevel.OFF)).monitoring_level is MonitoringLevel.OFF
    assert AgentSettings.from_config({"monitoring_level": True}) == AgentSettings()
    assert AgentSettings.from_config(transparency=True) == AgentSettings()
    assert AgentSettings.from_config(transparency=False).over(Settings()).monitoring_level is MonitoringLevel.OFF
    same = Settings()
    assert AgentSettings().over(same) is same


def test_agent_real_time_metrics_records_its_histograms_at_once() -> None:
    deferred = Settings(deferred_histograms=True)
    assert AgentSettings.from_config({"real_time_metrics": True}).over(deferred).deferred_histograms is False
    assert AgentSettings.from_config({"real_time_metrics": False}).over(Settings()).deferred_histograms is True


def test_agent_performance_profiling_measures_its_executions() -> None:
    comprehensive, off = MonitoringLevel.COMPREHENSIVE, MonitoringLevel.OFF
    for said, level, measured in (
        ({}, "basic", False),
        ({}, "comprehensive", True),
        ({"performance_profiling": True}, "basic", True),
        ({"performance_profiling": False}, "comprehensive", False),
        ({"performance_profiling": True}, "off", False),
        ({"performance_profiling": True, "monitoring_level": "off"}, "standard", False),
        ({"monitoring_level": "comprehensive"}, "basic", True),
    ):
        settings = Settings(monitoring_level=MonitoringLevel(level))
        assert AgentSettings.from_config(said).profiles(settings) is measured, (said, level)
    assert AgentSettings(monitoring_level=comprehensive).level_under(Settings(monitoring_level=off)) is off
    with pytest.raises(SettingsError, match="performance_profiling cannot be 'sometimes'"):
        AgentSettings.from_config({"performance_profiling": "sometimes"})


def test_what_is_right_of_an_agents_dictionary_holds_and_each_mistake_is_told() -> None:
    read, refused = AgentSettings.readable(
        {"decision_tracing": True, "monitoring_level": "basic", "levle": 1, "real_time_metrics": "x"}
    )
    assert read == AgentSettings(monitoring_level=MonitoringLevel.BASIC)
    assert [error.key for error in refused] == ["levle", "real_time_metrics", "transparency.decision_tracing"]
    assert AgentSettings.readable(False)[0] == AgentSettings(monitoring_level=MonitoringLevel.OFF)
    for wrong in (3, HostileMapping()):
        read, refused = AgentSettings.readable(wrong)
        assert (read, len(refused)) == (AgentSettings(), 1)


@pytest.mark.parametrize("key", AGENT_GAPS)
def test_agent_keys_that_are_not_available_are_refused_when_on(key: str) -> None:
    with pytest.raises(SettingsError, match=rf"not available in kaizen-otel 0\.1: transparency\.{key} \("):
        AgentSettings.from_config({key: True})
    assert AgentSettings.from_config({key: False}) == AgentSettings()


def test_agent_keys_that_are_unknown_list_the_known_ones() -> None:
    with pytest.raises(SettingsError) as caught:
        AgentSettings.from_config({"decision_tracng": True})
    message = str(caught.value)
    assert message.startswith(
        "create_agent(…)['transparency']: unknown key 'decision_tracng'. Did you mean decision_tracing?"
    )
    assert all(key in message for key in TRANSPARENCY_KEYS)


@pytest.mark.parametrize("value", [3, "on", [], None])
def test_agent_transparency_that_is_no_dictionary_is_refused(value: Any) -> None:
    with pytest.raises(SettingsError, match="allowed: a dictionary"):
        AgentSettings.from_config(value)


@pytest.mark.parametrize("level", ["basic", "detailed", "verbose"])
def test_every_level_that_kaizen_itself_takes_is_one_of_ours(level: str) -> None:
    from kaizen.core.config import KaizenConfig

    assert KaizenConfig(monitoring_level=level).monitoring_level == level
    assert load(monitoring_level=level).monitoring_level >= MonitoringLevel.BASIC


@pytest.mark.parametrize("level", ["off", "standard", "comprehensive"])
def test_kaizen_itself_refuses_our_words_for_levels(level: str) -> None:
    """When this fails, Kaizen has learnt them: docs/settings.md may drop its warning."""
    from kaizen.core.config import KaizenConfig

    with pytest.raises(ValueError, match="Invalid monitoring_level"):
        KaizenConfig(monitoring_level=level)
