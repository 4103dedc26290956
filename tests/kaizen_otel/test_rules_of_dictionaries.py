"""Rules of `Kaizen(config={"alerting": …})` over what real Kaizen agents do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.demo.script import Reply
from kaizen_otel.testing import capture
from tests.kaizen_otel.alert_listeners import RULES, Listener, run_agent
from tests.processors.alerts.json_server import json_server

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer

SLOW = [{"name": "failing", "condition": "error_rate > 0.5", "severity": "critical"}]


pytestmark = pytest.mark.usefixtures("no_handlers_afterwards")


def kaizen_with(**alerting: Any) -> None:
    from kaizen.core.framework import Kaizen

    Kaizen(config={"alerting": alerting})


def test_the_dictionary_of_an_application_is_judged_by(kaizen_offline: ModelServer) -> None:
    heard, unheard = Listener(), Listener()
    kaizen_otel.register_alert_handler(heard, name="slack")
    kaizen_otel.register_alert_handler(unheard, name="email")
    kaizen_offline.script(lambda _: Reply(status=400))
    with json_server() as server, capture() as captured:
        hooks = {"ops": {"type": "webhook", "url": server.url}}
        kaizen_with(rules=SLOW, channels=["slack", "ops"], notification_channels=hooks)
        run_agent()
        captured.tick()
        assert captured.flush()
    assert (heard.types, unheard.types) == (["failing"], [])
    assert [body["type"] for body in server.bodies] == ["failing"]


def test_what_fires_goes_on_firing_when_another_dictionary_says_the_same_rule(kaizen_offline: ModelServer) -> None:
    listener = Listener()
    kaizen_otel.register_alert_handler(listener, resolved=True)
    kaizen_offline.script(lambda _: Reply(status=400))
    with capture() as captured:
        kaizen_with(rules=SLOW)
        run_agent()
        captured.tick()
        kaizen_with(rules=[*SLOW, {"name": "idle", "condition": "executions < 1"}])
        captured.tick()
        assert captured.flush()
        assert listener.types == ["failing"]
        kaizen_with(rules=[{**SLOW[0], "condition": "error_rate > 1.5"}])
        captured.tick()
        assert captured.flush()
    assert [(alert["type"], alert["status"]) for alert in listener.alerts] == [
        ("failing", "firing"),
        ("failing", "resolved"),
    ]


def test_channels_change_with_the_dictionary(kaizen_offline: ModelServer) -> None:
    kaizen_offline.script(lambda _: Reply(status=400))
    with json_server() as first, json_server() as second, capture() as captured:
        for url in (first.url, second.url):
            kaizen_with(rules=SLOW, notification_channels={"ops": {"type": "webhook", "url": url}})
            run_agent()
            captured.tick()
            assert captured.flush()
        kaizen_with(enabled=False)
        captured.tick()
        assert kaizen_otel.stats()["alerts"] == {}
    # The second address is told by the next repetition: this alert has been told to `ops` already.
    assert (len(first.bodies), len(second.bodies)) == (1, 0)


@pytest.mark.parametrize(
    ("alerting", "problem"),
    [
        ({"rules": [{"name": "a", "condition": "eror_rate > 1"}]}, "unknown name `eror_rate`"),
        ({"rules": [{**SLOW[0], "auto_mitigation": True}]}, "`auto_mitigation` is not available yet"),
        (
            {"channels": ["pagerduty"]},
            "['alerting']['channels']: alert_channels cannot be used: 'pagerduty' is unknown; allowed: events",
        ),
        ({"notification_channels": {"slack": {"webhook_url": "x"}}}, "or a handler with this name"),
        ({"escalation_policy": "production_alerts"}, "let Alertmanager escalate"),
    ],
)
def test_a_dictionary_that_cannot_work_is_told_of_and_ignored(
    alerting: dict[str, Any], problem: str, kaizen_offline: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener()
    kaizen_otel.register_alert_handler(listener)
    kaizen_offline.script(lambda _: Reply(status=400))
    with capture() as captured:
        kaizen_with(**alerting)
        run_agent()
        captured.tick()
        assert captured.flush()
        assert kaizen_otel.stats()["failures"] == {"settings:SettingsError": 1}
    assert problem in caplog.text
    assert listener.types == ["high_error_rate"]


def test_what_was_spent_is_spent_still_when_the_channels_change(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES, encoding="utf-8")
    kaizen_offline.script(lambda _: Reply(text="hello"))
    listener = Listener()
    kaizen_otel.register_alert_handler(listener, resolved=True)
    with capture(alert_rules=rules) as captured:
        run_agent()
        captured.tick()
        kaizen_with(channels=["listener"])
        captured.tick()
        assert captured.flush()
    assert [(one["type"], one["status"]) for one in listener.alerts if one["type"] == "all"] == [("all", "firing")]
