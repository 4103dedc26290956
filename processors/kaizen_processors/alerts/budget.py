"""One budget: what an hour, a day or a month may cost, for everything or for each agent, user or session."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo

from kaizen_processors.alerts.periods import PERIODS, PeriodKind
from kaizen_processors.alerts.rules import NAME, RuleError
from kaizen_processors.money import from_decimal

if TYPE_CHECKING:
    from collections.abc import Iterator

Per = Literal["all", "agent", "user", "session"]
PER: Final[tuple[Per, ...]] = ("all", "agent", "user", "session")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a period may cost.

    Attributes:
        name: of the budget and its alerts.
        limit_usd: dollars; a text or `Decimal` is exact.
        period: `hourly`, `daily` or `monthly`, by the clock of `timezone`.
        timezone: an IANA name such as `Europe/Berlin`.
        per: one limit for `all`, or the same for each `agent`, `user` or `session`.
        at: percentages at which an alert is raised.
        channels: names of the channels that get it; empty for all.

    Raises:
        RuleError: a field is not what it may be.
    """

    name: str
    limit_usd: Decimal | str | int
    period: PeriodKind = "daily"
    timezone: str = "UTC"
    per: Per = "all"
    at: tuple[int, ...] = (80, 95, 100)
    channels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise RuleError(tuple(f"budget {self.name!r}: {key}: {what}" for key, what in problems))

    @cached_property
    def limit_units(self) -> int:
        """The limit in 1e-24 dollars."""
        return from_decimal(Decimal(self.limit_usd))

    @cached_property
    def identity(self) -> str:
        """Its name, and how it counts: a budget that counts otherwise begins with nothing spent."""
        return f"{self.name}/{self.per}/{self.period}/{self.timezone}"

    @cached_property
    def zone(self) -> ZoneInfo:
        """The timezone."""
        return ZoneInfo(self.timezone)

    def _problems(self) -> Iterator[tuple[str, str]]:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            yield "name", "allowed: letters, digits and _, no digit first, at most 100"
        if not self._has_limit():
            yield "limit_usd", f"cannot be {self.limit_usd!r:.60}; allowed: dollars above 0 as text, Decimal or integer"
        if self.period not in PERIODS:
            yield "period", f"cannot be {self.period!r:.60}; allowed: {', '.join(PERIODS)}"
        if self.per not in PER:
            yield "per", f"cannot be {self.per!r:.60}; allowed: {', '.join(PER)}"
        if not self._has_zone():
            yield "timezone", f"{self.timezone!r:.60} is unknown; allowed: an IANA name such as Europe/Berlin, UTC"
        if not self.at or any(type(one) is not int or not 0 < one <= 1_000 for one in self.at):  # noqa: PLR2004 - percent
            yield "at", f"cannot be {self.at!r:.60}; allowed: whole percentages above 0"
        elif list(self.at) != sorted(set(self.at)):
            yield "at", "must ascend"

    def _has_limit(self) -> bool:
        if isinstance(self.limit_usd, bool) or not isinstance(self.limit_usd, Decimal | str | int):
            return False
        try:
            return self.limit_units > 0
        except (ValueError, InvalidOperation):
            return False

    def _has_zone(self) -> bool:
        try:
            return isinstance(self.timezone, str) and self.zone is not None
        except (ValueError, OSError, KeyError):  # not there, not a name, or a folder of the database
            return False
