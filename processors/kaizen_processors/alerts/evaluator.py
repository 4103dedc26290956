"""Judges rules on a tick, and tells channels what began and what is over.

As in Prometheus a rule is judged for each group apart and is inactive, pending or firing (`standing.py`). Missing data
is not true: it fires nothing, and resolves what fires. A rule whose numbers could not be read is left as it stands.

An alert is its labels (the fingerprint). It is told once to each channel, again after the repeat interval while it
fires, and once when it is over. What was told is saved before it is sent, and what was sent is saved after: a restart
tells nothing twice, and `kill -9` between sending and saving at most repeats one delivery, with the same `id`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.alerts.alert import WORST_LIMIT, Alert, alert_of, labels_of, link_of
from kaizen_processors.alerts.channels.dispatch import Dispatcher
from kaizen_processors.alerts.evaluator_options import EvaluatorOptions, channels_by_name, checked_rules
from kaizen_processors.alerts.judging import Judge, Judged
from kaizen_processors.alerts.keeping import SECTION, Keeper
from kaizen_processors.alerts.kept import (
    Address,
    AlertSource,
    AlertState,
    Due,
    Kept,
    Letter,
    Raised,
    StandingKey,
    of_section,
    to_section,
)
from kaizen_processors.alerts.silence_book import SilenceBook
from kaizen_processors.alerts.standing import Standing
from kaizen_processors.alerts.values import ExecutionRanking
from kaizen_processors.alerts.vocabulary import MEASURES
from kaizen_processors.fence import Fence
from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kaizen_processors.alerts.channels.channel import Channel
    from kaizen_processors.alerts.rules import Rule
    from kaizen_processors.alerts.silences import Silence
    from kaizen_processors.alerts.values import Group, Values

_NS: Final = 1_000_000_000
_FORGET_NEWS_NS: Final = 7 * 86_400 * _NS
"""News for a channel that does not come back is kept this long."""


class Evaluator:
    """Rules, the numbers they ask for, and the channels that hear of it.

    Args:
        rules: each name once.
        values: the numbers; when it is an `ExecutionRanking`, too, alerts name their worst executions.
        channels: where alerts go.
        state: what outlives the process; None forgets.
        options: how alerts are told of.
        fence: where failures are counted.

    Raises:
        RuleError: two rules have one name, or a rule names a channel that is not there.

    Example:
        >>> evaluator = Evaluator(DEFAULT_RULES, values, [CallbackChannel("print", print)])
        >>> evaluator.tick()
        ()
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        values: Values,
        channels: Iterable[Channel] = (),
        *,
        state: AlertState | None = None,
        options: EvaluatorOptions | None = None,
        fence: Fence | None = None,
    ) -> None:
        """Restore what stood, and hand out again what was not delivered."""
        self._options = options or EvaluatorOptions()
        self._clock = self._options.clock
        self._values = values
        self._judge_of = Judge(values, self._options.max_groups)
        self._fence = fence or Fence()
        self._channels = channels_by_name(channels)
        self._rules = checked_rules(rules, self._channels)
        self._keeper = Keeper(state, self._to_section, self._clock, self._fence)
        self._sources: tuple[AlertSource, ...] = ()
        self._silences = SilenceBook()
        self._make_locks()
        self._begin()
        self._dispatcher = Dispatcher(self._channels.values(), self._settled, self._options.retry, self._options.leads)
        if state is not None:
            self._restore(state.section(SECTION))
        begin_anew_in_children(self)
        self._hand_out([Letter(address, alert) for address, alert in self._outbox.items()])

    def _make_locks(self) -> None:
        self._lock = threading.RLock()  # never held while a store is asked, or written to: user's calls wait for it
        self._ticking = threading.RLock()

    def _begin(self) -> None:
        self._standings: dict[StandingKey, Standing] = {}
        self._outbox: dict[Address, Alert] = {}
        self._unsaid: list[Letter] = []
        self._raised_for: dict[StandingKey, tuple[str, ...]] = {}

    def _begin_anew(self) -> None:
        """Forget what stands; what silences a file says holds on."""
        self._begin()
        self._silences.begin_anew()

    def after_fork_in_child(self) -> None:
        """Begin with nothing standing: the parent goes on with what did, and keeps the state file."""
        self._make_locks()
        self._begin_anew()

    def resume(self, state: AlertState | None) -> None:
        """Go on from what another process left: what stands, what was told, and what was not delivered yet."""
        section = {} if state is None else state.section(SECTION)
        with self._lock:
            self._keeper.state = state
            if state is not None:
                self._restore(section)
            waiting = [Letter(address, alert) for address, alert in self._outbox.items()]
        self._hand_out(waiting)

    def keep_in(self, state: AlertState) -> None:
        """Keep what stands here from now on."""
        self._keeper.state = state
        for alert in self.alerts():
            self._keeper.log(alert)
        self._keeper.note()
        self._keeper.save()

    def lay_down(self) -> None:
        """Forget what stands, and send nothing more: another process goes on with it."""
        with self._lock:
            self._begin_anew()
            self._dispatcher.forget()
        self._keeper.lay_down()

    def tick(self) -> tuple[Alert, ...]:
        """Judge every rule now; returns the alerts that began to fire, or were resolved, with this tick."""
        with self._ticking:
            with self._lock:
                if not self._options.leads():
                    return ()
                now_ns = self._clock.monotonic_ns()
                changed: list[Alert] = []
                for rule in self._rules.values():
                    with self._fence("alerts.values"):
                        changed += self._judge(rule, now_ns)
                with self._fence("alerts.sources"):
                    changed += self._take([one for source in self._sources for one in source.raised()], now_ns)
                due = self._due(now_ns)
                for alert in changed:
                    self._keeper.log(alert)
            named = [(one, self._with_executions(one)) for one in due]
            with self._lock:
                told, self._unsaid = [*self._unsaid, *self._tell_due(named, now_ns)], []
                told += self._bury()
                stands = bool(self._standings)
            if changed or told:
                self._keeper.note()
            self._keeper.save(aging=stands)
            for source in self._sources:
                with self._fence("alerts.state"):
                    source.save()
            self._hand_out(told)
        return tuple(changed)

    def add_channel(self, channel: Channel) -> None:
        """Tell this channel, too, from the next tick on: of what fires already unless it has heard of it.

        Raises:
            RuleError: there is a channel with its name.
        """
        with self._lock:
            self._channels = channels_by_name((*self._channels.values(), channel))
            self._dispatcher.add(channel)
            waiting = [Letter(to, alert) for to, alert in self._outbox.items() if to.channel == channel.name]
        self._hand_out(waiting)

    def remove_channel(self, name: str) -> bool:
        """Tell a channel no more; False when there is none with this name."""
        with self._lock:
            if name not in self._channels:
                return False
            self._channels = {other: one for other, one in self._channels.items() if other != name}
            self._dispatcher.remove(name)
        return True

    def watch(self, source: AlertSource) -> None:
        """Tell of the alerts of this source, too: a `BudgetBook`. They are taken with every tick."""
        with self._lock:
            self._sources = (*self._sources, source)

    def unwatch(self, source: AlertSource) -> None:
        """Ask a source no more: with the next tick its alerts are over."""
        with self._lock:
            self._sources = tuple(one for one in self._sources if one is not source)

    def alerts(self) -> tuple[Alert, ...]:
        """The alerts that fire now."""
        with self._lock:
            return tuple(s.alert for s in self._standings.values() if s.phase == "firing" and s.alert is not None)

    def pending(self) -> tuple[tuple[str, Group], ...]:
        """Rules and groups whose condition holds, but not for long enough yet."""
        with self._lock:
            return tuple((key.rule, key.group) for key, s in self._standings.items() if s.phase == "pending")

    def silences(self) -> tuple[Silence, ...]:
        """The silences that are not over yet."""
        with self._lock:
            return self._silences.all()

    def silence(self, silence: Silence, *, keep: bool = True) -> str:
        """Tell nobody of alerts that it matches, while it lasts.

        Args:
            silence: which alerts, and how long.
            keep: whether it outlives a restart; False for what a file says again then.

        Returns:
            Its id.
        """
        with self._lock:
            self._silences.add(silence, keep=keep)
        self._keeper.note(soon=True)
        return silence.id

    def unsilence(self, silence_id: str) -> bool:
        """End a silence early; False when there is none with this id."""
        with self._lock:
            found = self._silences.remove(silence_id)
        if found:
            self._keeper.note(soon=True)
        return found

    def replace_rules(self, rules: Iterable[Rule]) -> None:
        """Judge by these rules from the next tick on. Alerts of rules that are gone, or mean another alert, are over.

        Raises:
            RuleError: as when it was made; the old rules stay.
        """
        checked = checked_rules(rules, self._channels)
        with self._lock:
            self._rules = checked
            told = self._drop_orphans()
            if self._keeper.may_wait:
                self._unsaid += told  # it is saved first, with the next tick
                told = []
        self._keeper.note(soon=True)
        self._hand_out(told)

    def stats(self) -> dict[str, Any]:
        """Counts for people: what stands, what each channel was sent, groups over the limit."""
        with self._lock:
            phases = [standing.phase for standing in self._standings.values()]
            return {
                "firing": phases.count("firing"),
                "pending": phases.count("pending"),
                "silences": len(self._silences.all()),
                "groups_over_limit": self._judge_of.groups_over_limit,
                "channels": self._dispatcher.counts(),
            }

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was told is delivered or given up; False when something is left."""
        return self._dispatcher.flush(timeout_s)

    def close(self, timeout_s: float = 2.0) -> None:
        """Deliver within `timeout_s`, stop, let go of the state file. What fires stays so for the next process."""
        self._dispatcher.close(timeout_s)
        self._keeper.note()
        self._keeper.save()
        if self._keeper.state is not None:
            self._keeper.state.close()

    # Judging

    def _judge(self, rule: Rule, now_ns: int) -> list[Alert]:
        # All numbers first: when one cannot be read, nothing of the rule moves.
        judged = self._judge_of.judge(rule, [key.group for key in self._standings if key.rule == rule.name])
        return [alert for one in judged if (alert := self._step(rule, one, now_ns)) is not None]

    def _step(self, rule: Rule, judged: Judged, now_ns: int) -> Alert | None:
        key = StandingKey(rule.name, judged.group)
        standing = self._standings.get(key)
        if standing is None:
            if not judged.answer:
                return None
            standing = self._standings[key] = Standing(now_ns)
        before = standing.phase
        after = standing.step(rule, judged.answer, now_ns)
        if after == "firing" and judged.finding is not None:
            began_ns = self._clock.time_ns() if standing.alert is None else standing.alert.starts_at_ns
            standing.alert = alert_of(rule, judged.group, judged.finding, began_ns)
            return standing.alert if before == "pending" else None
        if after == "inactive" and standing.alert is not None:
            standing.alert = standing.alert.resolved(self._clock.time_ns())
            return standing.alert
        return None

    def _take(self, found: Iterable[Raised], now_ns: int) -> list[Alert]:
        """Let stand what the sources raise, and end what they no longer do."""
        raised = {one.key: one for one in found}
        changed = []
        for key, one in raised.items():
            standing = self._standings.get(key)
            if standing is None or standing.alert is None or standing.alert.id != one.alert.id:
                standing = self._standings[key] = Standing(now_ns)
                standing.phase = "firing"
                changed.append(one.alert)
            standing.alert = one.alert
            self._raised_for[key] = one.channels
        for key, standing in self._standings.items():
            if "/" in key.rule and key not in raised and standing.alert is not None:
                self._raised_for.pop(key, None)
                standing.phase = "inactive"
                standing.alert = standing.alert.resolved(self._clock.time_ns())
                changed.append(standing.alert)
        return changed

    # Telling

    def _due(self, now_ns: int) -> list[Due]:
        """What is to be told now, and to whom."""
        found = []
        silences = self._silences.lasting(self._clock.time_ns())
        for key, standing in self._standings.items():
            alert = standing.alert
            if standing.phase != "firing" or alert is None:
                continue
            if any(one.silences(alert.labels, self._clock.time_ns()) for one in silences):
                continue
            channels = [name for name in self._targets(key) if self._is_due(name, standing, now_ns)]
            if channels:
                rule = self._rules.get(key.rule)
                found.append(Due(key, standing, alert, 0.0 if rule is None else rule.window_s, channels))
        return found

    def _tell_due(self, named: Iterable[tuple[Due, Alert]], now_ns: int) -> list[Letter]:
        told = []
        for one, alert in named:
            if self._standings.get(one.key) is not one.standing:
                continue  # its rule was taken away meanwhile
            one.standing.alert = alert
            self._keeper.log(alert)  # with its executions
            for name in one.channels:
                one.standing.told_ns[name] = now_ns
                told.append(self._post(name, alert))
        return told

    def _is_due(self, channel: str, standing: Standing, now_ns: int) -> bool:
        told_ns = standing.told_ns.get(channel)
        repeat_s = self._channels[channel].repeat_s or self._options.repeat_interval_s
        return told_ns is None or now_ns - told_ns >= repeat_s * _NS

    def _tell_over(self, alert: Alert, standing: Standing) -> list[Letter]:
        """Post it to the channels that were told that it fires and want to hear that it is over."""
        return [self._post(name, alert) for name in standing.told_ns if self._wants_resolved(name)]

    def _wants_resolved(self, channel: str) -> bool:
        known = self._channels.get(channel)
        return known is not None and known.sends_resolved

    def _targets(self, key: StandingKey) -> Iterable[str]:
        if key in self._raised_for:
            chosen = self._raised_for[key]
        else:
            chosen = self._rules[key.rule].channels if key.rule in self._rules else ()
        return [name for name in chosen if name in self._channels] or self._channels

    def _with_executions(self, due: Due) -> Alert:
        """The alert with its worst executions: without the lock, a store may be asked for them."""
        alert = due.alert
        if not alert.measure or not isinstance(self._values, ExecutionRanking):
            return alert
        window_s = MEASURES[alert.measure].window_s or due.window_s
        with self._fence("alerts.worst"):
            worst = self._values.worst(alert.measure, due.key.group, window_s, WORST_LIMIT)
            links = tuple(link_of(one, self._options.trace_url_template) for one in worst[:WORST_LIMIT])
            return alert.about(links)
        return alert

    def _post(self, channel: str, alert: Alert) -> Letter:
        key = Address(channel, alert.id, alert.status)
        self._outbox[key] = alert
        return Letter(key, alert)

    def _hand_out(self, told: Iterable[Letter]) -> None:
        for address, alert in told:
            if address.channel in self._channels:  # what is for one that may be added later waits in the outbox
                self._dispatcher.tell(address.channel, alert)

    def _settled(self, channel: str, alert: Alert) -> None:
        with self._lock:
            key = Address(channel, alert.id, alert.status)
            if self._outbox.get(key) is not alert:
                return
            del self._outbox[key]
        self._keeper.note()
        self._keeper.save()

    def _bury(self) -> list[Letter]:
        """Forget what is inactive, and tell of what fired before."""
        told = []
        for key, standing in tuple(self._standings.items()):
            if standing.phase == "inactive":
                del self._standings[key]
                if standing.alert is not None:
                    told += self._tell_over(standing.alert, standing)
        return told

    # What outlives the process

    def _to_section(self) -> dict[str, Any] | None:
        with self._lock:
            if not self._options.leads():
                return None
            kept = Kept(self._standings, self._outbox, self._silences.kept())
            return to_section(kept, self._clock.monotonic_ns(), self._clock.time_ns())

    def _restore(self, section: Mapping[str, Any]) -> None:
        kept = of_section(section, self._rules, self._clock, self._fence)
        self._standings = kept.standings
        self._silences.restore(kept.silences)
        forgotten_ns = self._clock.time_ns() - _FORGET_NEWS_NS
        self._outbox = {key: alert for key, alert in kept.outbox.items() if alert.starts_at_ns > forgotten_ns}
        self._drop_orphans()

    def _drop_orphans(self) -> list[Letter]:
        told = []
        for key, standing in tuple(self._standings.items()):
            if "/" in key.rule:  # its source says so itself
                continue
            rule, alert = self._rules.get(key.rule), standing.alert
            same_groups = rule is not None and rule.group_by == key.group.by
            if rule is not None and same_groups and (alert is None or alert.labels == labels_of(rule, key.group)):
                continue
            del self._standings[key]
            if alert is not None:
                over = alert.resolved(self._clock.time_ns())
                self._keeper.log(over)
                told += self._tell_over(over, standing)
        return told
