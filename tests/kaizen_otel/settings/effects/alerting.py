"""`Kaizen(config={'alerting': …})`: who judges, by what, and whom it tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import kaizen_otel
from kaizen_otel.testing import capture
from tests.kaizen_otel.settings.effects.acting import runs, says, telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

HOOK = {"type": "webhook", "url": "http://127.0.0.1:9/hook"}
RULES = [{"name": "any_run", "condition": "executions >= 1", "time_window": "1m"}]


def alerting(on: object, off: object) -> Callable[[], None]:
    def check() -> None:
        with capture() as captured:
            says({"alerting": on})
            assert kaizen_otel.stats()["alerts"]
            says({"alerting": off})
            captured.tick()
            assert kaizen_otel.stats()["alerts"] == {}

    return check


def alerting_rules() -> None:
    with capture() as captured:
        says({"alerting": {"rules": RULES}})
        runs()
        captured.clock.advance(15.0)
        captured.tick()
        assert [one.type for one in telemetry().rules.evaluator.alerts()] == ["any_run"]


def alerting_channels() -> None:
    with capture() as captured:
        kaizen_otel.register_alert_handler(print, name="other")
        says({"alerting": {"rules": RULES, "channels": ["events"]}})
        runs()
        captured.clock.advance(15.0)
        captured.tick()
        kaizen_otel.flush(30.0)
        channels = kaizen_otel.stats()["alerts"]["channels"]
        kaizen_otel.unregister_alert_handler("other")
        assert (channels["events"]["sent"], channels["other"]["sent"]) == (1, 0)


def notification_channels() -> None:
    with capture():
        says({"alerting": {"notification_channels": {"ops": HOOK}}})
        assert "ops" in kaizen_otel.stats()["alerts"]["channels"]


EFFECTS: dict[str, Callable[..., None]] = {
    "alerting": alerting(on=True, off=False),
    "alerting.enabled": alerting(on={"enabled": True}, off={"enabled": False}),
    "alerting.rules": alerting_rules,
    "alerting.channels": alerting_channels,
    "alerting.notification_channels": notification_channels,
}
