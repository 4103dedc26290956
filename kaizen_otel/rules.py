"""The desk that judges rules: over the windows, on the ticker, to the log events, Alertmanager and handlers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kaizen_otel.alert_handlers import registered
from kaizen_otel.settings import SettingsError
from kaizen_processors.alerts import (
    DEFAULT_RULES,
    AlertmanagerChannel,
    BudgetBook,
    CallbackChannel,
    Evaluator,
    EvaluatorOptions,
    EventChannel,
    RuleError,
    RuleSet,
    StateFile,
    StateInUseError,
    read_rules,
)
from kaizen_processors.alerts.spending import Spending
from kaizen_processors.alerts.window_values import WindowValues

if TYPE_CHECKING:
    from kaizen_otel.alert_handlers import Handler
    from kaizen_otel.settings import Settings
    from kaizen_otel.telemetry import Telemetry
    from kaizen_processors.alerts import Channel

_logger = logging.getLogger("kaizen_otel")


class RuleDesk:
    """The rules of one telemetry.

    Args:
        telemetry: whose windows, ticker, clock and events it uses.

    Raises:
        SettingsError: the rules, the state or an address cannot be used.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        """Begin to judge."""
        self._telemetry = telemetry
        settings, clock = telemetry.settings, telemetry.clock
        try:
            given = _rule_set(settings)
            channels = self._channels(settings)
            options = EvaluatorOptions(trace_url_template=settings.trace_url_template, clock=clock)
            self._state = None if settings.alert_state is None else StateFile(settings.alert_state)
        except (ValueError, OSError, StateInUseError) as error:
            raise SettingsError(f"alerts: {error}", where="alerts") from error
        values = WindowValues(telemetry.performance.snapshots, telemetry.performance.recent, clock)
        try:
            self.evaluator = Evaluator(
                given.rules, values, channels, state=self._state, options=options, fence=telemetry.fence
            )
        except RuleError as error:
            if self._state is not None:
                self._state.close()
            raise SettingsError(f"alerts: {error}", where="alerts") from error
        for silence in given.silences:
            self.evaluator.silence(silence, keep=False)
        self._spending: Spending | None = None
        if given.budgets:
            book = BudgetBook(given.budgets, clock=clock, state=self._state)
            self.evaluator.watch(book)
            self._spending = Spending(book)
            telemetry.pipeline.add(self._spending)
        if not telemetry.performance.watching:
            _logger.warning("rules have no numbers: they need `windows`, and a monitoring level of standard or above")
        telemetry.performance.ticker.add("alerts.tick", self.evaluator.tick)
        if settings.clock is None:
            telemetry.performance.ticker.start()

    def add_handler(self, handler: Handler) -> None:
        """Tell a function, too; one that is known already is not told twice."""
        if handler.name not in self.evaluator.stats()["channels"]:
            self.evaluator.add_channel(_channel_of(handler))

    def remove_handler(self, name: str) -> None:
        """Tell a function no more."""
        self.evaluator.remove_channel(name)

    def flush(self, timeout_s: float) -> bool:
        """Wait until every alert is delivered, or given up; False when one is not in time."""
        return self.evaluator.flush(timeout_s)

    def stats(self) -> dict[str, Any]:
        """What stands, and what each channel was sent."""
        return self.evaluator.stats()

    def shutdown(self) -> None:
        """Deliver what is waiting, for two seconds at most; keep the state."""
        if self._spending is not None:
            self._telemetry.pipeline.remove(self._spending)
        self.evaluator.close()

    def _channels(self, settings: Settings) -> list[Channel]:
        telemetry = self._telemetry
        channels: list[Channel] = [EventChannel("events", telemetry.providers.events.emit, clock=telemetry.clock)]
        if settings.alertmanager_url is not None:
            channels.append(AlertmanagerChannel("alertmanager", settings.alertmanager_url, clock=telemetry.clock))
        return channels + [_channel_of(handler) for handler in registered()]


def _channel_of(handler: Handler) -> CallbackChannel:
    return CallbackChannel(handler.name, handler.call, resolved=handler.resolved)


def _rule_set(settings: Settings) -> RuleSet:
    if settings.alert_rules is None:
        return RuleSet(rules=DEFAULT_RULES)
    limit = settings.budget_limit
    return read_rules(settings.alert_rules, constants={} if limit is None else {"budget_limit": limit})
