"""What `instrument()` says to common mistakes: the setting, where it stands, and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.patches.switch import active
from kaizen_otel.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    Path("rules.yaml").write_text("rules: [{name: a, condition: error_rate > 5%}]\n", encoding="utf-8")
    Path("settings.yaml").write_text("exporters: {console: true}\n", encoding="utf-8")
    yield
    kaizen_otel.uninstrument()


MISTAKES = [
    ("ALERT_RULES", "rules.yaml", "alert_rules cannot be used: {here}/rules.yaml:1:19: `%` is not allowed: write a "),
    ("ALERT_RULES", "gone.yaml", "alert_rules cannot be used: {here}/gone.yaml: cannot be read: No such file"),
    ("ALERTMANAGER_URL", "alertmanager:9093", "alertmanager_url cannot be used: it is no address; allowed: http(s)://"),
    (
        "NOTIFICATION_CHANNELS",
        '{"ops": {"type": "slack"}}',
        "notification_channels.ops: type 'slack' is unknown; allowed",
    ),
    (
        "NOTIFICATION_CHANNELS",
        '{"events": {"type": "webhook", "url": "http://x"}}',
        "notification_channels cannot be used",
    ),
    ("ALERT_CHANNELS", "slack", "alert_channels cannot be used: 'slack' is unknown; allowed: events"),
    ("ALERT_CHANNELS", "event", "alert_channels cannot be used: 'event' is unknown (did you mean events?); allowed"),
    (
        "NOTIFICATION_CHANNELS",
        '{"ops": {"type": "webhok"}}',
        "notification_channels.ops: type 'webhok' is unknown (did you mean webhook?); allowed: ",
    ),
    (
        "NOTIFICATION_CHANNELS",
        '{"ops": {"type": "webhook", "ulr": "http://x"}}',
        "notification_channels.ops: unknown key 'ulr' (did you mean url?); allowed: type, url",
    ),
    ("CONTENT", "spans", "content cannot be 'spans' (did you mean span?); allowed: off, span, event"),
    ("TRACE_URL_TEMPLATE", "http://jaeger", "trace_url_template cannot be 'http://jaeger'; allowed: http(s)://… with "),
    (
        "METRICS_RETENTION_S",
        "90 days",
        "metrics_retention_s cannot be '90 days'; allowed: seconds from 1 to 315576000, or",
    ),
]


@pytest.mark.parametrize(("name", "value", "said"), MISTAKES)
def test_a_variable_is_told_by_its_name_and_that_of_the_setting(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"KAIZEN_OTEL_{name}", value)
    monkeypatch.setenv("KAIZEN_OTEL_ALERTING", "true")
    with pytest.raises(SettingsError) as caught:
        kaizen_otel.instrument()
    assert active() is None
    expected = f"environment variable KAIZEN_OTEL_{name}: {said.replace('{here}', str(Path.cwd()))}"
    assert str(caught.value).startswith(expected)
    assert (caught.value.key, caught.value.where) == (name.lower(), f"environment variable KAIZEN_OTEL_{name}")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "localhost:4318",
            "environment variable OTEL_EXPORTER_OTLP_ENDPOINT, or another of OTEL_EXPORTER_OTLP_*: not an http",
        ),
        ("KAIZEN_OTEL_EVALUATORS", "x", "'KAIZEN_OTEL_EVALUATORS'. evaluators is given in Python only: instrument("),
        (
            "KAIZEN_OTEL_CONFIG",
            "settings.yaml",
            "settings.yaml:1: unknown setting 'exporters'. exporters is a key of Kai",
        ),
        (
            "KAIZEN_OTEL_METRICS_RETENTION",
            "7d",
            "'KAIZEN_OTEL_METRICS_RETENTION'. Did you mean KAIZEN_OTEL_METRICS_RETEN",
        ),
    ],
)
def test_what_stands_at_the_wrong_place_is_told_where_it_belongs(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        kaizen_otel.instrument()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"preset": "producton"}, "argument: preset cannot be 'producton' (did you mean production?); allowed: dev"),
        (
            {"alert_channels": ["slack"]},
            "argument: alert_channels cannot be used: 'slack' is unknown; allowed: events, ",
        ),
        ({"trace_url_template": "http://jaeger"}, "argument: trace_url_template cannot be 'http://jaeger'; allowed: "),
    ],
)
def test_what_is_wrong_is_told_without_rules_too(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        kaizen_otel.instrument(**given)
    assert str(caught.value).startswith(said)
    assert active() is None


def test_a_channel_that_is_named_may_be_a_handler_of_before() -> None:
    name = kaizen_otel.register_alert_handler(print, name="slack")
    try:
        kaizen_otel.instrument(alert_channels=["slack"])
    finally:
        kaizen_otel.unregister_alert_handler(name)
    assert active() is not None


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"alerting": {"budgets": []}},
            "unknown key 'budgets'. budgets stand in a file of rules, or a dictionary with its keys: setting alert_",
        ),
        (
            {"alerting": {"alert_state": "x"}},
            "unknown key 'alert_state'. alert_state is a setting: instrument(alert_st",
        ),
        ({"alerting": {"chanels": []}}, "unknown key 'chanels'. Did you mean channels? Known: channels, enabled,"),
        ({"exporters": {"prom": True}}, "unknown key 'prom'. Did you mean prometheus? Known: console, datadog"),
        (
            {"exporters": {"buffer_size": 5}},
            "unknown key 'buffer_size'. It belongs to Kaizen(config=…)['metrics_collection']['buffer_size']. Known: ",
        ),
    ],
)
def test_an_unknown_key_of_a_dictionary_is_told_with_what_may_have_been_meant(
    config: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(env={}, config=config)
    assert said in str(caught.value)
