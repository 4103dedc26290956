"""Judges rules on a tick, and tells channels what began and what is over.

As in Prometheus a rule is judged for each group apart and is inactive, pending or firing (`standings.py`). Missing data
is not true: it fires nothing, and resolves what fires. A rule whose numbers could not be read is left as it stands.

An alert is its labels (the fingerprint). It is told once to each channel, again after the repeat interval while it
fires, and once when it is over. What was told is saved before it is sent, and what was sent is saved after: a restart
tells nothing twice, and `kill -9` between sending and saving at most repeats one delivery, with the same `id`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen_processors.alerts.alert import WORST_LIMIT, Alert, link_of
from kaizen_processors.alerts.evaluator_options import EvaluatorOptions, checked_rules
from kaizen_processors.alerts.judging import Judge
from kaizen_processors.alerts.keeping import SECTION, Keeper
from kaizen_processors.alerts.kept import Kept, StandingKey, of_section, to_section
from kaizen_processors.alerts.notifier import Notifier
from kaizen_processors.alerts.silence_book import SilenceBook
from kaizen_processors.alerts.standings import Standings
from kaizen_processors.alerts.values import ExecutionRanking
from kaizen_processors.alerts.vocabulary import MEASURES
from kaizen_processors.fence import Fence
from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kaizen_processors.alerts.channels.channel import Channel
    from kaizen_processors.alerts.kept import AlertSource, AlertState
    from kaizen_processors.alerts.notifier import Letter
    from kaizen_processors.alerts.rules import Rule
    from kaizen_processors.alerts.silences import Silence
    from kaizen_processors.alerts.standing import Standing
    from kaizen_processors.alerts.standings import Over
    from kaizen_processors.alerts.values import Group, Values


class _Due(NamedTuple):
    """An alert that channels are to be told of; `window_s` is its rule's."""

    key: StandingKey
    standing: Standing
    alert: Alert
    window_s: float
    channels: list[str]


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
        self._notifier = Notifier(channels, self._options, self._settled)
        self._rules = checked_rules(rules, self._notifier.channels)
        self._keeper = Keeper(state, self._to_section, self._clock, self._fence)
        self._sources: tuple[AlertSource, ...] = ()
        self._silences = SilenceBook()
        self._standings = Standings(self._clock)
        self._unsaid: list[Letter] = []
        self._make_locks()
        if state is not None:
            self._restore(state.section(SECTION))
        begin_anew_in_children(self)
        self._notifier.hand_out(self._notifier.waiting())

    def _make_locks(self) -> None:
        self._lock = threading.RLock()  # never held while a store is asked, or written to: user's calls wait for it
        self._ticking = threading.RLock()

    def _begin_anew(self) -> None:
        """Forget what stands; what silences a file says holds on."""
        self._standings.begin_anew()
        self._notifier.begin_anew()
        self._unsaid = []
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
            waiting = self._notifier.waiting()
        self._notifier.hand_out(waiting)

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
            self._notifier.lay_down()
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
                    changed += self._standings.take(
                        [one for source in self._sources for one in source.raised()], now_ns
                    )
                due = self._due(now_ns)
                for alert in changed:
                    self._keeper.log(alert)
            named = [(one, self._with_executions(one)) for one in due]
            with self._lock:
                told, self._unsaid = [*self._unsaid, *self._tell_due(named, now_ns)], []
                told += self._tell_over(self._standings.bury())
                stands = bool(self._standings.by_key)
            if changed or told:
                self._keeper.note()
            self._keeper.save(aging=stands)
            for source in self._sources:
                with self._fence("alerts.state"):
                    source.save()
            self._notifier.hand_out(told)
        return tuple(changed)

    def add_channel(self, channel: Channel) -> None:
        """Tell this channel, too, from the next tick on: of what fires already unless it has heard of it.

        Raises:
            RuleError: there is a channel with its name.
        """
        with self._lock:
            self._notifier.add(channel)
            waiting = [one for one in self._notifier.waiting() if one.address.channel == channel.name]
        self._notifier.hand_out(waiting)

    def remove_channel(self, name: str) -> bool:
        """Tell a channel no more; False when there is none with this name."""
        with self._lock:
            return self._notifier.remove(name)

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
            return tuple(alert for _, _, alert in self._standings.firing())

    def pending(self) -> tuple[tuple[str, Group], ...]:
        """Rules and groups whose condition holds, but not for long enough yet."""
        with self._lock:
            return tuple((key.rule, key.group) for key in self._standings.pending())

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
        checked = checked_rules(rules, self._notifier.channels)
        with self._lock:
            self._rules = checked
            told = self._drop_orphans()
            if self._keeper.may_wait:
                self._unsaid += told  # it is saved first, with the next tick
                told = []
        self._keeper.note(soon=True)
        self._notifier.hand_out(told)

    def stats(self) -> dict[str, Any]:
        """Counts for people: what stands, what each channel was sent, groups over the limit."""
        with self._lock:
            return {
                **self._standings.counts(),
                "silences": len(self._silences.all()),
                "groups_over_limit": self._judge_of.groups_over_limit,
                "channels": self._notifier.counts(),
            }

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was told is delivered or given up; False when something is left."""
        return self._notifier.flush(timeout_s)

    def close(self, timeout_s: float = 2.0) -> None:
        """Deliver within `timeout_s`, stop, let go of the state file. What fires stays so for the next process."""
        self._notifier.close(timeout_s)
        self._keeper.note()
        self._keeper.save()
        if self._keeper.state is not None:
            self._keeper.state.close()

    # One tick

    def _judge(self, rule: Rule, now_ns: int) -> list[Alert]:
        # All numbers first: when one cannot be read, nothing of the rule moves.
        judged = self._judge_of.judge(rule, self._standings.groups_of(rule.name))
        return [alert for one in judged if (alert := self._standings.step(rule, one, now_ns)) is not None]

    def _due(self, now_ns: int) -> list[_Due]:
        """What is to be told now, and to whom."""
        found = []
        silences = self._silences.lasting(self._clock.time_ns())
        for key, standing, alert in self._standings.firing():
            if any(one.silences(alert.labels, self._clock.time_ns()) for one in silences):
                continue
            channels = self._notifier.due(standing, self._wanted(key), now_ns)
            if channels:
                rule = self._rules.get(key.rule)
                found.append(_Due(key, standing, alert, 0.0 if rule is None else rule.window_s, channels))
        return found

    def _wanted(self, key: StandingKey) -> Sequence[str]:
        """The channels that its source, or its rule, names."""
        raised_for = self._standings.raised_for(key)
        if raised_for is not None:
            return raised_for
        rule = self._rules.get(key.rule)
        return () if rule is None else rule.channels

    def _with_executions(self, due: _Due) -> Alert:
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

    def _tell_due(self, named: Iterable[tuple[_Due, Alert]], now_ns: int) -> list[Letter]:
        told = []
        for one, alert in named:
            if self._standings.by_key.get(one.key) is not one.standing:
                continue  # its rule was taken away meanwhile
            one.standing.alert = alert
            self._keeper.log(alert)  # with its executions
            told += self._notifier.tell(one.channels, one.standing, alert, now_ns)
        return told

    def _tell_over(self, over: Iterable[Over]) -> list[Letter]:
        return [letter for one in over for letter in self._notifier.tell_over(one.standing, one.alert)]

    def _settled(self, channel: str, alert: Alert) -> None:
        with self._lock:
            if not self._notifier.settle(channel, alert):
                return
        self._keeper.note()
        self._keeper.save()

    # What outlives the process

    def _to_section(self) -> dict[str, Any] | None:
        with self._lock:
            if not self._options.leads():
                return None
            kept = Kept(self._standings.by_key, self._notifier.outbox, self._silences.kept())
            return to_section(kept, self._clock.monotonic_ns(), self._clock.time_ns())

    def _restore(self, section: Mapping[str, Any]) -> None:
        kept = of_section(section, self._rules, self._clock, self._fence)
        self._standings.restore(kept.standings)
        self._silences.restore(kept.silences)
        self._notifier.restore(kept.outbox)
        self._drop_orphans()

    def _drop_orphans(self) -> list[Letter]:
        over = self._standings.drop_orphans(self._rules)
        for one in over:
            self._keeper.log(one.alert)
        return self._tell_over(over)
