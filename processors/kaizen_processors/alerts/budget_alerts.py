"""What one key has spent in one period of a budget, how much of the limit that is, and the alert that says so.

What several processes spend is added up by a store. A process knows the sum that it said last, how much of what it
spent itself is in that, and what it spent since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.alerts.alert import Alert
from kaizen_processors.alerts.kept import Raised, StandingKey
from kaizen_processors.alerts.values import Group
from kaizen_processors.money import format_usd, to_float

if TYPE_CHECKING:
    from kaizen_processors.alerts.budget import Budget

_LABELS: Final = {"agent": "agent_name", "user": "user", "session": "session"}
_CRITICAL_FROM: Final = 100
_WARNING_FROM: Final = 90


class Account:
    """What one key has spent in one period, and at which percentages an alert was raised, when."""

    __slots__ = ("over", "own", "passed", "raised", "settled")

    def __init__(self, own: int = 0) -> None:
        """Start with what this process has spent."""
        self.own = own
        """What this process has spent."""
        self.settled = (0, 0)
        """What a store knows of, the sum of all processes, and how much of `own` is in it. Changed at once."""
        self.over = False
        """Whether the store had no room for it: then it is the sum of this process alone."""
        self.passed = 0
        """The highest percentage that needs no alert any more."""
        self.raised: dict[int, int] = {}

    @property
    def known(self) -> int:
        """What a store knows of."""
        return self.settled[0]

    @property
    def told(self) -> int:
        """How much of what this process has spent a store knows of."""
        return self.settled[1]

    @property
    def untold(self) -> int:
        """How much it does not."""
        return self.own - self.settled[1]

    @property
    def units(self) -> int:
        """What was spent, as far as is known here."""
        known, told = self.settled
        return known + self.own - told

    def spend_untold(self, units: int) -> None:
        """Count money that this process spends and a store is told of elsewhere."""
        known, told = self.settled
        self.own += units
        self.settled = known + units, told + units

    def to_record(self) -> list[Any]:
        """What has to be kept of it."""
        return [0 if self.over else self.units, self.passed, self.raised]

    @classmethod
    def of_record(cls, record: Any) -> Account:
        """Read it again, as spent by this process; raises `AttributeError`, `TypeError`, `ValueError` for nonsense."""
        units, passed, raised = record
        account = cls(int(units))
        account.passed = int(passed)
        account.raised = {int(percent): int(since_ns) for percent, since_ns in raised.items()}
        return account

    def settle(self, known: int, own: int) -> None:
        """Learn the sum of all processes, which has so much of what this one has spent in it."""
        self.own = max(self.own, own)  # it may have been forgotten meanwhile
        self.settled = known, own


def reached_of(budget: Budget, account: Account) -> int:
    """The highest of its percentages that is spent."""
    return max((one for one in budget.at if account.units * 100 >= budget.limit_units * one), default=0)


def take_back(budget: Budget, account: Account) -> None:
    """Forget what was told of a lower limit: it is to be told when that much of this one is spent."""
    reached = reached_of(budget, account)
    account.passed = min(account.passed, reached)
    account.raised = {percent: since_ns for percent, since_ns in account.raised.items() if percent <= reached}


def raised_of(budget: Budget, key: str, account: Account, reached: tuple[int, int]) -> Raised:
    """The alert of one percentage, and when it was reached: `reached`."""
    percent, since_ns = reached
    severity = "critical" if percent >= _CRITICAL_FROM else "warning" if percent >= _WARNING_FROM else "info"
    of_whom = f" of {budget.per} {key}" if key else ""
    spent, limit = format_usd(account.units), format_usd(budget.limit_units)
    labels = {"alertname": budget.name, "severity": severity, "budget": f"{budget.period} {percent}%"}
    if key:
        labels[_LABELS[budget.per]] = key
    alert = Alert(
        type=budget.name,
        severity=severity,
        measure="",
        message=f"{percent}% of the {budget.period} budget{of_whom} is spent: {spent} of {limit}",
        value=to_float(account.units),
        threshold=to_float(budget.limit_units * percent) / 100,
        status="firing",
        labels=labels,
        starts_at_ns=since_ns,
    )
    return Raised(StandingKey(f"budget/{budget.name}/{percent}", Group("none", key)), alert, budget.channels)
