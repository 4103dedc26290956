"""What one key has spent in one period of a budget, how much of the limit that is, and the alert that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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

    __slots__ = ("known", "passed", "raised", "units")

    def __init__(self, units: int = 0) -> None:
        self.units = units
        self.known = 0
        """How much of it a store knows of: the sum of all processes."""
        self.passed = 0
        """The highest percentage that needs no alert any more."""
        self.raised: dict[int, int] = {}


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
