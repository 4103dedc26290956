"""The desk that judges rules: over the windows, on the ticker, to log events, Alertmanager, webhooks and handlers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.alert_handlers import OWN_CHANNELS, registered
from kaizen_otel.settings import SettingsError, Source
from kaizen_processors.alerts import (
    DEFAULT_RULES,
    AlertmanagerChannel,
    BudgetBook,
    CallbackChannel,
    Evaluator,
    EvaluatorOptions,
    EventChannel,
    ForeignStateError,
    RuleError,
    RuleSet,
    StateFile,
    StateInUseError,
    channels_from,
    production_rules,
    read_rules,
    rules_from,
)
from kaizen_processors.alerts.channels.dispatch import always
from kaizen_processors.alerts.evaluator_options import channels_by_name, checked_rules
from kaizen_processors.alerts.office import Office
from kaizen_processors.alerts.spending import Spending
from kaizen_processors.alerts.state_file import read_own
from kaizen_processors.alerts.window_values import WindowValues
from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.ticker import BEAT_S

if TYPE_CHECKING:
    from kaizen_otel.alert_handlers import Handler
    from kaizen_otel.settings import Settings
    from kaizen_otel.telemetry import Telemetry
    from kaizen_processors.alerts import Budget, Channel
    from kaizen_processors.clock import Clock
    from kaizen_processors.ticker import Task

_logger = logging.getLogger("kaizen_otel")

_TICK: Final = "alerts.tick"
_LEAD: Final = "alerts.lead"


class RuleDesk:
    """The rules of one telemetry.

    Args:
        telemetry: whose windows, ticker, clock and events it uses.
        before: a desk that may still wait for the store to end: this one takes no office before that.

    Attributes:
        ended: set when `shutdown` is done.

    Raises:
        SettingsError: the rules, the state or an address cannot be used.
    """

    def __init__(self, telemetry: Telemetry, before: RuleDesk | None = None) -> None:
        """Begin to judge."""
        self.ended = threading.Event()
        self.after_fork_in_child()
        self._before = before
        self._tasks: list[Task] = []
        self._telemetry = telemetry
        self._store = telemetry.performance.store
        self._office: Office | None = None
        settings, clock = telemetry.settings, telemetry.clock
        with refused(settings, "alert_rules"):
            given = _rule_set(settings)
        self._made = self._channels(settings)
        options = EvaluatorOptions(
            trace_url_template=settings.trace_url_template,
            clock=clock,
            leads=always if self._store is None else self._in_office,
        )
        self._state = _state(settings)
        desk = telemetry.performance
        shared = tuple if desk.shortlist is None else desk.shortlist.of_all
        values = WindowValues(desk.snapshots, desk.recent, clock, shared)
        channels = [*self._made.values(), *map(_channel_of, registered())]
        try:
            self.evaluator = Evaluator(
                given.rules, values, channels, state=self._state, options=options, fence=telemetry.fence
            )
        except RuleError as error:
            if self._state is not None:
                self._state.close()
            raise _unknown_channels(settings, error) from error
        self._silences = [self.evaluator.silence(silence, keep=False) for silence in given.silences]
        self._budgets: tuple[Budget, ...] = ()
        self._book: BudgetBook | None = None
        self._spending: Spending | None = None
        if self._store is not None:
            self._office = Office(self._store, self.evaluator, settings.alert_state)
            self._tasks.append(telemetry.performance.ticker.add(_LEAD, self._follow, every_s=BEAT_S))
        self._keep_books(given.budgets)
        if not telemetry.performance.watching:
            _logger.warning("rules have no numbers: they need `windows`, and a monitoring level of standard or above")
        self._tasks.append(telemetry.performance.ticker.add(_TICK, self.evaluator.tick))
        begin_anew_in_children(self)
        if settings.clock is None:
            telemetry.performance.ticker.start()

    def after_fork_in_child(self) -> None:
        """Wait for no desk whose thread the parent kept."""
        self._before = None
        self._following = threading.Lock()  # around the way into office: both the ticker and a flush take it

    def configure(self, before: Settings, after: Settings) -> None:
        """Judge by other rules, and tell other channels, from the next tick on. What stands by both goes on.

        Raises:
            SettingsError: they cannot be used; everything is as it was.
        """
        with refused(after, "alert_rules"):
            given = _rule_set(after)
        made = self._channels(after)
        handlers = [_channel_of(handler) for handler in registered()]
        try:
            checked_rules(given.rules, channels_by_name((*made.values(), *handlers)))
        except RuleError as error:
            raise _unknown_channels(after, error) from error
        changed = {name for name in {*self._made, *made} if _described(before, name) != _described(after, name)}
        for name in changed & set(self._made):
            self.evaluator.remove_channel(name)
        for name in changed & set(made):
            self.evaluator.add_channel(made[name])
        self._made = {name: made[name] if name in changed else self._made[name] for name in made}
        self.evaluator.replace_rules(given.rules)
        for silence_id in self._silences:
            self.evaluator.unsilence(silence_id)
        self._silences = [self.evaluator.silence(silence, keep=False) for silence in given.silences]
        self._keep_books(given.budgets)

    def add_handler(self, handler: Handler) -> None:
        """Tell a function, too; one that is known already is not told twice."""
        if handler.name not in self.evaluator.stats()["channels"]:
            self.evaluator.add_channel(_channel_of(handler))

    def remove_handler(self, name: str) -> None:
        """Tell a function no more."""
        self.evaluator.remove_channel(name)

    def flush(self, timeout_s: float) -> bool:
        """Judge now, and wait until every alert is delivered, or given up; False when one is not in time."""
        self._judge_now()
        return self.evaluator.flush(timeout_s)

    def _judge_now(self) -> None:
        with self._telemetry.fence(_TICK):
            if self._store is not None and not self._in_office():
                self._store.beat()  # nobody may be in office: this run may be shorter than the time to the first beat
                self._follow()
            self.evaluator.tick()

    def stats(self) -> dict[str, Any]:
        """What stands, and what each channel was sent."""
        return self.evaluator.stats()

    def shutdown(self) -> None:
        """Deliver what is waiting, for two seconds at most; keep the state."""
        try:
            self.leave_ticker()
            self._judge_now()  # what was done since the last tick
            if self._spending is not None:
                self._telemetry.pipeline.remove(self._spending)
            if self._office is not None:
                self._office.resign()
            self.evaluator.close()
        finally:
            self.ended.set()

    def leave_ticker(self) -> None:
        """Judge by itself no more: waits for nobody."""
        for task in self._tasks:
            self._telemetry.performance.ticker.remove(task)

    def has_ended(self) -> bool:
        """Whether this desk, and every one before it, is done with the store."""
        return self._is_first() and self.ended.is_set()

    def _is_first(self) -> bool:
        before = self._before
        if before is None or before.has_ended():
            self._before = None
            return True
        return False

    def _follow(self) -> None:
        # What the one before saves at its end must not come over what this one takes over, and then judges.
        with self._following:
            if self._office is not None and self._is_first():
                self._office.follow()

    def _in_office(self) -> bool:
        return self._office is not None and self._office.in_office()

    def _keep_books(self, budgets: tuple[Budget, ...]) -> None:
        """Count what is spent of these budgets, and of no others."""
        if budgets == self._budgets:
            return
        before = self._book
        if self._spending is not None:
            self._telemetry.pipeline.remove(self._spending)
            self._spending = None
        self._budgets = budgets
        self._book = BudgetBook(budgets, clock=self._telemetry.clock, state=self._state) if budgets else None
        if self._office is not None:
            self._office.keep_books(self._book)  # first: nothing is judged until it knows what was told
        elif self._book is not None and before is not None:
            self._book.go_on_from(before)
        if self._book is not None:
            self._spending = Spending(self._book)
            self._telemetry.pipeline.add(self._spending)
            self.evaluator.watch(self._book)
        if before is not None:
            self.evaluator.unwatch(before)  # last: an alert that nobody raises for a moment would be over

    def _channels(self, settings: Settings) -> dict[str, Channel]:
        telemetry = self._telemetry
        events = EventChannel("events", telemetry.providers.events.emit, clock=telemetry.clock)
        further = _further_channels(settings, telemetry.clock)
        with refused(settings, "notification_channels"):
            return channels_by_name([events, *further])


def check_rules(settings: Settings) -> tuple[int, list[str]]:
    """Read the rules and the channels as `instrument()` does, and use neither.

    Returns:
        How many rules and budgets there are, and which channels they name that no setting describes: handlers of the
        application, or none.

    Raises:
        ValueError: they cannot be used.
    """
    given = _rule_set(settings)
    channels = channels_by_name(_further_channels(settings, SYSTEM_CLOCK))
    known = {*OWN_CHANNELS[:1], *channels}
    checked_rules([replace(rule, channels=()) for rule in given.rules], channels)
    named = {*chain.from_iterable(one.channels for one in given.rules)}
    named |= {*chain.from_iterable(one.channels for one in given.budgets)}
    return len(given.rules) + len(given.budgets), sorted(named - known)


def _state(settings: Settings) -> StateFile | None:
    """The file that keeps the state of alerts; with a store, whoever holds its lease opens it."""
    path = settings.alert_state
    if path is None:
        return None
    try:
        if settings.store is None:
            return StateFile(path)
        read_own(path)
    except (ForeignStateError, OSError, StateInUseError) as error:
        where = settings.origins["alert_state"].where
        why = getattr(error, "strerror", None) or str(error).removeprefix(f"{path}: ")
        raise SettingsError(f"{where}: alert_state cannot be {path}: {why}", key="alert_state", where=where) from error
    return None


def _further_channels(settings: Settings, clock: Clock) -> list[Channel]:
    """All that the settings describe."""
    channels: list[Channel] = []
    if settings.alertmanager_url is not None:
        with refused(settings, "alertmanager_url"):
            channels.append(AlertmanagerChannel("alertmanager", settings.alertmanager_url, clock=clock))
    if settings.notification_channels is not None:
        with refused(settings, "notification_channels"):
            channels += channels_from(settings.notification_channels, where="notification_channels")
    return channels


@contextmanager
def refused(settings: Settings, name: str) -> Iterator[None]:
    """Let what cannot be used be told of by the name of the setting, and where that stands."""
    try:
        yield
    except (ValueError, OSError) as error:
        where, said = settings.origins[name].where, str(error)
        if not said.startswith(where):  # else it names its place itself
            said = f"{where}: {said}" if said.startswith(name) else f"{where}: {name} cannot be used: {said}"
        raise SettingsError(said, key=name, where=where) from error


def _unknown_channels(settings: Settings, error: RuleError) -> SettingsError:
    """By the setting `alert_channels`, where that names them: all rules would say the same."""
    unknown = {text.partition(": channels: ")[2] for text in error.problems}
    name = "alert_channels" if any(text.split("'")[1] in settings.alert_channels for text in unknown) else "alert_rules"
    where = settings.origins[name].where
    shown = "\n".join(sorted(unknown)) if name == "alert_channels" else str(error)
    return SettingsError(f"{where}: {name} cannot be used: {shown}", key=name, where=where)


def _described(settings: Settings, channel: str) -> object:
    """What settings say of a channel of theirs; two that say the same make the same."""
    if channel == "events":
        return channel
    table = settings.notification_channels or {}
    return table.get(channel, settings.alertmanager_url)


def _channel_of(handler: Handler) -> CallbackChannel:
    return CallbackChannel(handler.name, handler.call, resolved=handler.resolved)


def _rule_set(settings: Settings) -> RuleSet:
    given = settings.alert_rules
    limit = settings.budget_limit
    constants = {} if limit is None else {"budget_limit": limit}
    if given is None:
        found = RuleSet(rules=DEFAULT_RULES)
    elif given == "production":
        found = RuleSet(rules=production_rules(limit))
    elif isinstance(given, Mapping):
        source, where = settings.origins["alert_rules"]
        where = where if source is Source.DICTIONARY else f"{where}: alert_rules"
        found = rules_from(dict(given), constants=constants, where=where)
    else:
        found = read_rules(given, constants=constants)
    usual = settings.alert_channels
    return replace(
        found,
        rules=tuple(one if one.channels else replace(one, channels=usual) for one in found.rules),
        budgets=tuple(one if one.channels else replace(one, channels=usual) for one in found.budgets),
    )
