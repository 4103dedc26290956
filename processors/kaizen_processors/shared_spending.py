"""What budgets and a store say to each other, so that several processes spend of one budget. Money is in 1e-24 USD."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class SpentKey(NamedTuple):
    """Of which budget, by whom (empty: by all), in the period that began then (Unix nanoseconds)."""

    budget: str
    whose: str
    began_ns: int


class Part(NamedTuple):
    """What this process has spent and not told yet, and the sum of all processes that it knows of before that."""

    added: int
    known: int


class Purse(Protocol):
    """Who counts what this process spends: the budgets."""

    def parts(self) -> Mapping[SpentKey, Part]:
        """What was spent and not told yet, in 1e-24 USD."""
        ...

    def retell(self) -> None:
        """Give all that is known with the next parts: the store lost it, or the last parts did not arrive."""
        ...

    def settle(self, sums: Mapping[SpentKey, int], told: Mapping[SpentKey, Part]) -> None:
        """Learn the sums of all processes, with what was told among them."""
        ...
