"""Exact sums: each token and each dollar counts once, in integers.

The ledger is what the counters are read from. A call is added to its (agent, model) key and, under the same lock, to
the tally of every scope above it, so that at any moment the sum over executions equals the sum over calls.

The lock is reentrant: the garbage collector may end an abandoned call in the middle of another call's counting. A
forked child starts from an empty ledger, so that the counters of a prefork worker do not repeat its parent's.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen_processors.clock import Clock
    from kaizen_processors.execution import CallRecord

OVERFLOW = "overflow"
"""Agent and model that further keys are counted under once the ledger is full: sums stay exact, memory bounded."""

ACTIVE_WITHIN_NS = 300 * 1_000_000_000
"""An agent is active while it runs and for five minutes after (contracts: active agents)."""

_SWEEP_NS = 1_000_000_000
"""A full ledger looks for idle agents at most once in this time: looking costs as much as there are agents."""


class TallySnapshot:
    """A tally as it stood at one moment. Money in 1e-24 USD; `open_calls` had begun and not ended."""

    __slots__ = (
        "cost_units",
        "incomplete_calls",
        "input_tokens",
        "model_calls",
        "models",
        "open_calls",
        "output_tokens",
        "tool_calls",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - a record: each argument is a field
        self,
        model_calls: int = 0,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cost_units: int = 0,
        incomplete_calls: int = 0,
        tool_calls: int = 0,
        models: tuple[str, ...] = (),
        open_calls: int = 0,
    ) -> None:
        """Hold the sums."""
        self.model_calls = model_calls
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.cost_units = cost_units
        self.incomplete_calls = incomplete_calls
        self.tool_calls = tool_calls
        self.models = models
        self.open_calls = open_calls

    @property
    def complete(self) -> bool:
        """Whether the cost is all there is: every call ended, and the cost of each is known."""
        return not self.incomplete_calls and not self.open_calls


class Tally:
    """Running sums of one scope. Written only by the ledger, under its lock."""

    __slots__ = (
        "begun_calls",
        "cost_units",
        "incomplete_calls",
        "input_tokens",
        "model_calls",
        "models",
        "output_tokens",
        "tool_calls",
    )

    def __init__(self) -> None:
        """Start at zero."""
        self.model_calls = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost_units = 0
        self.incomplete_calls = 0
        self.tool_calls = 0
        self.begun_calls = 0  # those that ended and those that are open
        self.models: dict[str, None] = {}

    def snapshot(self) -> TallySnapshot:
        """Copy the sums. The caller holds the ledger's lock."""
        return TallySnapshot(
            self.model_calls,
            self.input_tokens,
            self.output_tokens,
            self.cost_units,
            self.incomplete_calls,
            self.tool_calls,
            tuple(self.models),
            self.begun_calls - self.model_calls,
        )


_MODELS_PER_TALLY = 16
"""Models a tally remembers by name; only zero, one or several matters."""


class _CallSums:
    """Sums of the calls of one (agent, model)."""

    __slots__ = ("calls", "cost_units", "input_tokens", "output_tokens")

    def __init__(self) -> None:
        self.calls = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost_units = 0


class CallTotals:
    """Sums of one (agent, model) since the process started. Money in 1e-24 USD."""

    __slots__ = ("calls", "cost_units", "input_tokens", "output_tokens")

    def __init__(self, calls: int, input_tokens: int, output_tokens: int, cost_units: int) -> None:
        """Hold the sums."""
        self.calls = calls
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.cost_units = cost_units


class Activity:
    """Whether an agent runs, and when it last did."""

    __slots__ = ("ended_ns", "running")

    def __init__(self) -> None:
        """Neither runs nor ran."""
        self.running = 0
        self.ended_ns = 0


class LedgerSnapshot:
    """All sums at one moment, consistent with each other."""

    __slots__ = ("calls", "executions", "missing")

    def __init__(
        self,
        calls: dict[tuple[str, str], CallTotals],
        executions: dict[tuple[str, str, str], int],
        missing: dict[tuple[str, str], int],
    ) -> None:
        """Hold calls by (agent, model), executions by (agent, model, status), missing by (model, reason)."""
        self.calls = calls
        self.executions = executions
        self.missing = missing

    @property
    def cost_units(self) -> int:
        """Money of all calls, in 1e-24 USD."""
        return sum(totals.cost_units for totals in self.calls.values())


class Ledger:
    """Exact integer sums of calls and executions, bounded in keys.

    Args:
        max_keys: distinct (agent, model) pairs counted apart, and distinct agents known to be active; further ones go
            to `overflow`.
        clock: what "active" is judged by.
    """

    def __init__(self, max_keys: int = 2_000, clock: Clock = SYSTEM_CLOCK) -> None:
        """Start empty."""
        self.max_keys = max_keys
        self.clock = self._clock = clock
        self.after_fork_in_child()
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Begin with nothing counted, and with a lock that nobody holds."""
        self._lock = threading.RLock()
        self._calls: dict[tuple[str, str], _CallSums] = {}
        self._executions: dict[tuple[str, str, str], int] = {}
        self._missing: dict[tuple[str, str], int] = {}
        self._active: dict[str, Activity] = {}
        self._swept_ns: int | None = None

    def open_call(self, tallies: Iterable[Tally]) -> None:
        """Note that a call began in these scopes. It is closed by `add_call(..., opened=True)`."""
        with self._lock:
            for tally in tallies:
                tally.begun_calls += 1

    def add_call(self, call: CallRecord, tallies: Iterable[Tally] = (), *, opened: bool = False) -> None:
        """Count one finished call, here and in each of the scopes above it, at once.

        Args:
            call: the call.
            tallies: the sums of the scopes above it.
            opened: whether `open_call` announced it there.
        """
        model, usage, price = call.model, call.usage, call.price
        input_tokens = usage.input_tokens or 0
        output_tokens = usage.output_tokens or 0
        cost_units = price.amount or 0 if price.missing is None else None
        with self._lock:
            key = (call.agent_name, model)
            sums = self._calls.get(key)
            if sums is None:
                sums = self._new_sums(key)
            sums.calls += 1
            sums.input_tokens += input_tokens
            sums.output_tokens += output_tokens
            if cost_units is not None:
                sums.cost_units += cost_units
            elif price.missing is not None:
                self._count_missing(model, price.missing)
            for tally in tallies:
                if not opened:
                    tally.begun_calls += 1
                tally.model_calls += 1
                tally.input_tokens += input_tokens
                tally.output_tokens += output_tokens
                if cost_units is None:
                    tally.incomplete_calls += 1
                else:
                    tally.cost_units += cost_units
                if model not in tally.models and len(tally.models) < _MODELS_PER_TALLY:
                    tally.models[model] = None

    def add_unseen(self, model: str, reason: str, tallies: Iterable[Tally]) -> None:
        """Note that what was asked of this model is not seen, so that the cost of these scopes is not all there is."""
        with self._lock:
            self._count_missing(model, reason)
            for tally in tallies:
                tally.incomplete_calls += 1
                if len(tally.models) < _MODELS_PER_TALLY:
                    tally.models[model] = None

    def add_tool_call(self, tallies: Iterable[Tally]) -> None:
        """Count one tool call in each of the scopes above it."""
        with self._lock:
            for tally in tallies:
                tally.tool_calls += 1

    def start_execution(self, agent_name: str) -> Activity:
        """Note that a run of this agent began, for the gauge of active agents. Give the result to `end_execution`."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            activity = self._activity_of(agent_name, now_ns)
            activity.running += 1
            return activity

    def end_execution(self, agent_name: str, model: str, status: str, activity: Activity | None = None) -> None:
        """Count one finished execution; without `activity`, one that nobody saw starting."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            if activity is None:
                activity = self._activity_of(agent_name, now_ns)
            else:
                activity.running -= 1
            activity.ended_ns = now_ns
            key = (agent_name, model, status)
            if key not in self._executions and len(self._executions) >= self.max_keys:
                key = (OVERFLOW, OVERFLOW, status)
            self._executions[key] = self._executions.get(key, 0) + 1

    def snapshot_tallies(self, *tallies: Tally) -> tuple[TallySnapshot, ...]:
        """Copy several tallies at one moment."""
        with self._lock:
            return tuple(tally.snapshot() for tally in tallies)

    def active_agents(self) -> int:
        """Distinct agents with an execution running, or ended within five minutes."""
        return len(self.active_agent_names())

    def active_agent_names(self) -> set[str]:
        """Which they are."""
        oldest = self._clock.monotonic_ns() - ACTIVE_WITHIN_NS
        with self._lock:
            known = self._active.copy()
            return {name for name, one in known.items() if one.running or one.ended_ns >= oldest}

    def active_for_ns(self) -> dict[str, int | None]:
        """The agents that are active, and how much longer they will be; None for one that runs."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            known = self._active.copy()
            left = {
                name: None if one.running else one.ended_ns + ACTIVE_WITHIN_NS - now_ns for name, one in known.items()
            }
        return {name: left_ns for name, left_ns in left.items() if left_ns is None or left_ns >= 0}

    def is_active(self, agent_name: str) -> bool:
        """Whether an execution of this agent runs, or ended within five minutes."""
        oldest = self._clock.monotonic_ns() - ACTIVE_WITHIN_NS
        with self._lock:
            activity = self._active.get(agent_name)
            return activity is not None and (activity.running > 0 or activity.ended_ns >= oldest)

    def snapshot(self) -> LedgerSnapshot:
        """Copy all sums at one moment."""
        with self._lock:
            # A copy first, in one step: making totals may collect garbage, and that may end a call with a new key.
            calls = self._calls.copy()
            return LedgerSnapshot(
                {
                    key: CallTotals(sums.calls, sums.input_tokens, sums.output_tokens, sums.cost_units)
                    for key, sums in calls.items()
                },
                self._executions.copy(),
                self._missing.copy(),
            )

    def _new_sums(self, key: tuple[str, str]) -> _CallSums:
        if len(self._calls) >= self.max_keys:
            key = (OVERFLOW, OVERFLOW)
        return self._calls.setdefault(key, _CallSums())

    def _count_missing(self, model: str, reason: str) -> None:
        key = (model, reason)
        if key not in self._missing and len(self._missing) >= self.max_keys:
            key = (OVERFLOW, reason)
        self._missing[key] = self._missing.get(key, 0) + 1

    def _activity_of(self, agent_name: str, now_ns: int) -> Activity:
        activity = self._active.get(agent_name)
        if activity is None:
            if len(self._active) >= self.max_keys:
                self._forget_idle(now_ns)
            if len(self._active) >= self.max_keys:
                agent_name = OVERFLOW
            activity = self._active.setdefault(agent_name, Activity())
        return activity

    def _forget_idle(self, now_ns: int) -> None:
        if self._swept_ns is not None and now_ns - self._swept_ns < _SWEEP_NS:
            return
        self._swept_ns = now_ns
        oldest = now_ns - ACTIVE_WITHIN_NS
        known = self._active.copy()
        idle = [name for name, one in known.items() if not one.running and one.ended_ns < oldest]
        for name in idle:
            del self._active[name]
