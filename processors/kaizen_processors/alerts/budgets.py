"""Budgets: what an hour, a day or a month may cost, for everything or for each agent, user or session.

Money is counted in integers of 1e-24 dollars, as the ledger does, so a budget is used up by exactly its limit. At each
percentage (80, 95, 100) an alert is raised once in a period; it is over when the period is.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.alerts.budget import Budget
from kaizen_processors.alerts.budget_alerts import Account, raised_of, reached_of, take_back
from kaizen_processors.alerts.periods import period_of
from kaizen_processors.alerts.rules import RuleError
from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.shared_spending import Part, SpentKey
from kaizen_processors.values import encodable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kaizen_processors.alerts.budget import Per
    from kaizen_processors.alerts.kept import AlertState, Raised
    from kaizen_processors.clock import Clock

__all__ = ["Budget", "BudgetBook"]

_SECTION: Final = "budgets"
_SHARED: Final = "/shared"
"""In the section: what was spent is in a store. No budget can have this name."""

_KEPT_PERIODS: Final = 3
"""Of each key: when the wall clock is set back, spending goes into the period that it then shows."""


class BudgetBook:
    """What was spent of each budget. `spend` may be called from any thread; it adds a few numbers and judges nothing.

    Args:
        budgets: each name once.
        clock: what time it is.
        state: what outlives the process; None forgets. What was spent since the last tick is lost with it.
        max_keys: agents, users or sessions counted apart for each budget; what further ones spend is counted together,
            raises nothing, and is in `stats`.

    Raises:
        RuleError: two budgets have one name.
    """

    def __init__(
        self,
        budgets: Iterable[Budget],
        *,
        clock: Clock = SYSTEM_CLOCK,
        state: AlertState | None = None,
        max_keys: int = 10_000,
    ) -> None:
        """Read again what was spent."""
        self._budgets: dict[str, Budget] = {}
        for budget in budgets:
            if budget.name in self._budgets:
                raise RuleError((f"there are two budgets named {budget.name!r}",))
            self._budgets[budget.name] = budget
        self._by_identity = {budget.identity: budget for budget in self._budgets.values()}
        self._clock = clock
        self._state = state
        self._max_keys = max_keys
        self._shared = False
        self._begin()
        if state is not None:
            self._restore(state.section(_SECTION))
        begin_anew_in_children(self)

    def _begin(self) -> None:
        self._lock = threading.RLock()  # reentrant: collecting garbage may end a call in the middle of this
        self._accounts: dict[str, dict[str, dict[int, Account]]] = {name: {} for name in self._budgets}
        self._periods: dict[str, tuple[int, int]] = {}
        self._over_limit_units = 0
        self._unreadable = 0
        self._changes = 0
        self._saved = 0
        self._told = 0
        self._retells = False
        self._took_over = False

    def after_fork_in_child(self) -> None:
        """Begin with nothing spent: the parent counts what it spent, and keeps the state file."""
        self._state = None
        self._begin()

    def spend(
        self, cost_units: int, *, agent: str = "", user: str = "", session: str = "", time_ns: int | None = None
    ) -> None:
        """Count money that was spent.

        Args:
            cost_units: 1e-24 dollars.
            agent: who spent it; empty where nobody knows, then no budget per agent counts it.
            user: for whom; the same.
            session: in which session; the same.
            time_ns: when, Unix nanoseconds; None for now.
        """
        self.charge(cost_units, {"all": "", "agent": agent, "user": user, "session": session}, time_ns)

    def charge(self, cost_units: int, keys: Mapping[Per, str], time_ns: int | None = None) -> None:
        """Count money in the budgets of some kinds only: those that `keys` names, each with whom to charge."""
        at_ns = self._clock.time_ns() if time_ns is None else time_ns
        with self._lock:
            for budget in self._budgets.values():
                key = keys.get(budget.per)
                if key or (key is not None and budget.per == "all"):
                    account = self._account(budget, key, at_ns)
                    if account is None or account.over:
                        self._spend_without_room(budget, account, at_ns, cost_units)
                    else:
                        account.own += cost_units
            self._changes += 1

    def spent_units(self, name: str, key: str = "") -> int:
        """What a key has spent of a budget in the period that it is now, in 1e-24 dollars."""
        with self._lock:
            budget = self._budgets[name]
            began_ns, _ = self._period(budget, self._clock.time_ns())
            account = self._accounts[name].get(key, {}).get(began_ns)
            return 0 if account is None else account.units

    def raised(self) -> list[Raised]:
        """The alerts that stand now. The evaluator asks with every tick."""
        now_ns = self._clock.time_ns()
        with self._lock:
            return [
                one
                for budget in self._budgets.values()
                for key, accounts in tuple(self._accounts[budget.name].items())
                for one in self._judge(budget, key, accounts, now_ns)
            ]

    def save(self) -> None:
        """Keep what was spent. The evaluator does so with every tick.

        Raises:
            OSError: the state file could not be written.
        """
        with self._lock:
            state, changes = self._state, self._changes
            if state is None or changes == self._saved:
                return
            section = self._to_section()
        state.save(_SECTION, section)  # without the lock: calls that spend must not wait for a disk
        self._saved = changes

    def go_on_from(self, before: BudgetBook) -> None:
        """Count on from another book of this process, in whose place this one comes.

        What was spent of a budget is spent still, whatever its limit is now, and what was told is told.
        """
        with before._lock:
            section = before._to_section()
        with self._lock:
            for identity in section.keys() & self._by_identity.keys():
                self._accounts[self._by_identity[identity].name] = {}
                self._restore({identity: section[identity]})
            self._changes += 1

    # With other processes

    def share(self) -> None:
        """Be one of several books whose sums a store adds up: from now on it says what was spent, and not the state."""
        self._shared = True

    def parts(self) -> dict[SpentKey, Part]:
        """What was spent here, and the store does not know of yet."""
        with self._lock:
            if self._told == self._changes:
                return {}
            self._told, retells, self._retells = self._changes, self._retells, False
            return {
                SpentKey(self._budgets[name].identity, whose, began_ns): Part(
                    account.untold, account.known, account.own
                )
                for name, keys in self._accounts.items()
                for whose, accounts in keys.items()
                for began_ns, account in accounts.items()
                if account.untold or (retells and not account.over)
            }

    def settle(self, sums: Mapping[SpentKey, int], told: Mapping[SpentKey, Part]) -> None:
        """Take the sums of all processes, with what was told among them; what was spent since comes on top."""
        with self._lock:
            for key in sums.keys() | told.keys():
                budget = self._by_identity.get(key.budget)
                if budget is None:
                    continue
                account = self._account_of_all(budget, key.whose, key.began_ns)
                own = told[key].own if key in told else account.told
                if key in sums:
                    account.settle(sums[key], own)
                else:  # there was no room: it is judged by what this process has spent
                    account.over = True
                    account.settle(account.known + own - account.told, own)

    def retell(self) -> None:
        """Tell everything again: the store lost what it knew, or what was told last did not arrive."""
        with self._lock:
            self._retells = True
            self._changes += 1

    def spent_alone(self, state: AlertState) -> dict[SpentKey, int]:
        """What a state says that was spent by one process, before there was a store: no store has it yet."""
        section = state.section(_SECTION)
        if section.get(_SHARED):
            return {}
        return {
            SpentKey(budget.identity, key, began_ns): one.own for budget, key, began_ns, one in self._records(section)
        }

    def as_shared(self, state: AlertState) -> dict[str, Any]:
        """What a state says, once its sums are in a store."""
        return {**state.section(_SECTION), _SHARED: True}

    def resume(self, state: AlertState | None) -> None:
        """Judge from now on, going on from what another process raised."""
        # Without the lock: whoever spends must not wait for a disk, and a store asks for `parts` under its own lock.
        section = {} if state is None else state.section(_SECTION)
        with self._lock:
            self._state = state
            for keys in self._accounts.values():
                for accounts in keys.values():
                    for account in accounts.values():
                        account.passed, account.raised = 0, {}
            if state is not None:
                self._restore(section)
                self._took_over = True
            self._changes += 1

    def keep_in(self, state: AlertState) -> None:
        """Keep what was raised here from now on."""
        with self._lock:
            self._state = state
            self._changes += 1

    def lay_down(self) -> None:
        """Keep nothing any more: another process judges."""
        with self._lock:
            self._state = None

    def terms(self) -> dict[str, Any]:
        """The budgets, for those who read a store."""
        return {
            name: {
                "identity": one.identity,
                "limit_usd": str(one.limit_usd),
                "period": one.period,
                "timezone": one.timezone,
                "per": one.per,
            }
            for name, one in self._budgets.items()
        }

    def stats(self) -> dict[str, int]:
        """Keys that are counted, dollars that were not for want of room, records of the state that made no sense."""
        with self._lock:
            return {
                "keys": sum(self._apart(budget) for budget in self._budgets.values()),
                "over_limit_units": self._over_limit_units,
                "unreadable": self._unreadable,
            }

    def _spend_without_room(self, budget: Budget, account: Account | None, at_ns: int, cost_units: int) -> None:
        """Count it with others of its kind, and for itself where it is judged by what this process spends."""
        self._over_limit_units += cost_units
        self._account_of_all(budget, "", at_ns).own += cost_units
        if account is not None:
            account.spend_untold(cost_units)

    def _account(self, budget: Budget, key: str, at_ns: int) -> Account | None:
        if key not in self._accounts[budget.name]:
            key = encodable(key)
            if key not in self._accounts[budget.name] and self._apart(budget) >= self._max_keys:
                return None
        return self._account_of_all(budget, key, at_ns)

    def _account_of_all(self, budget: Budget, key: str, at_ns: int) -> Account:
        """The same, also beyond the limit: what the store has room for is judged."""
        accounts = self._accounts[budget.name].setdefault(key, {})
        began_ns, _ = self._period(budget, at_ns)
        account = accounts.get(began_ns)
        if account is None:
            account = accounts[began_ns] = Account()
            for old_ns in sorted(accounts)[:-_KEPT_PERIODS]:
                if not (self._shared and accounts[old_ns].untold):
                    del accounts[old_ns]
        return account

    def _apart(self, budget: Budget) -> int:
        """How many agents, users or sessions are counted apart."""
        keys = self._accounts[budget.name]
        return len(keys) - (budget.per != "all" and "" in keys)

    def _period(self, budget: Budget, at_ns: int) -> tuple[int, int]:
        """The period of a moment: mostly that of the last one that was asked for."""
        known = self._periods.get(budget.name)
        if known is None or not known[0] <= at_ns < known[1]:
            known = self._periods[budget.name] = period_of(budget.period, budget.zone, at_ns)
        return known

    def _judge(self, budget: Budget, key: str, accounts: dict[int, Account], now_ns: int) -> Iterator[Raised]:
        began_ns, ends_ns = self._period(budget, now_ns)
        told = not (self._shared and any(one.untold for one in accounts.values()))
        if told and max(accounts) < began_ns - (ends_ns - began_ns) * _KEPT_PERIODS:
            del self._accounts[budget.name][key]  # long silent
            self._changes += 1
            return
        account = accounts.get(began_ns)
        if account is None or not (key or budget.per == "all"):
            return
        reached = reached_of(budget, account)
        if reached > account.passed:
            # Of several that were passed at once only the highest is news.
            account.passed = reached
            account.raised[reached] = now_ns
            self._changes += 1
        for percent, since_ns in account.raised.items():
            yield raised_of(budget, key, account, (percent, since_ns))

    def _to_section(self) -> dict[str, Any]:
        section: dict[str, Any] = {
            self._budgets[name].identity: {
                key: {str(began_ns): one.to_record() for began_ns, one in accounts.items()}
                for key, accounts in keys.items()
            }
            for name, keys in self._accounts.items()
        }
        return section | {_SHARED: True} if self._shared else section

    def _records(self, section: Mapping[str, Any]) -> Iterator[tuple[Budget, str, int, Account]]:
        """What a section has of these budgets; what cannot be read is counted."""
        for name, keys in section.items():
            budget = self._by_identity.get(name) or self._budgets.get(name)  # by its name: as it was written before
            if budget is None or not isinstance(keys, dict):
                continue
            for key, accounts in keys.items():
                for began, record in accounts.items() if isinstance(accounts, dict) else ():
                    try:
                        found = budget, str(key), int(began), Account.of_record(record)
                    except (ValueError, TypeError, AttributeError):
                        self._unreadable += 1
                    else:
                        yield found

    def _restore(self, section: Mapping[str, Any]) -> None:
        for budget, key, began_ns, record in self._records(section):
            account = self._accounts[budget.name].setdefault(key, {}).setdefault(began_ns, Account())
            account.passed, account.raised = record.passed, record.raised
            if self._shared and section.get(_SHARED):  # a sum of all, as the store knows it
                account.settle(max(account.known, record.own), account.told)
            elif not self._took_over:  # of one process, of before it had a store
                account.own += record.own
            take_back(budget, account)
