"""Rules, somebody who hears of alerts, agents to be judged, and the end of it all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.alert_handlers import registered

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = """\
rules:
  - name: failing
    condition: error_rate > 0.5
    group_by: agent
    severity: critical
  - name: idle
    condition: executions < 1
    channels: [listener]
budgets:
  - {name: all, limit_usd: 0.00001, period: daily, at: [100]}
  - {name: each_user, limit_usd: 0.00001, per: user, at: [100]}
  - {name: each_session, limit_usd: 1, per: session}
"""


class Listener:
    """A handler that remembers."""

    __name__ = "listener"

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []

    def __call__(self, alert: dict[str, Any]) -> None:
        self.alerts.append(alert)

    @property
    def types(self) -> list[str]:
        return [alert["type"] for alert in self.alerts]


def run_agent(name: str = "qa") -> None:
    from kaizen.core.framework import Kaizen

    Kaizen().create_agent(name, {"model": "gpt-4o-mini", "provider": "openai"}).execute(question="hi")


@pytest.fixture
def no_handlers_afterwards() -> Iterator[None]:
    """Neither a handler nor an instrumentation is left to the next test."""
    yield
    for handler in registered():
        kaizen_otel.unregister_alert_handler(handler.name)
    kaizen_otel.uninstrument()
