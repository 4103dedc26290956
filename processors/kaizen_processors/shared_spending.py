"""What budgets and a store say to each other, so that several processes spend of one budget. Money is in 1e-24 USD."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class SpentKey(NamedTuple):
    """Of which budget, by whom, in the period that began then (Unix nanoseconds).

    `budget` says how it counts, too (`Budget.identity`): two that count otherwise have nothing to add up. `whose` is
    empty for all of them, and where each has its own limit for those that there is no room for.
    """

    budget: str
    whose: str
    began_ns: int

    def of_those_without_room(self) -> SpentKey:
        """Where it counts when there is no room for it."""
        return self._replace(whose="")


class Part(NamedTuple):
    """What this process has spent and not told yet, and the sum of all processes that it knows of before that.

    `own` is all that this process has spent: when it was told, so much is.
    """

    added: int
    known: int
    own: int


class Purse(Protocol):
    """Who counts what this process spends: the budgets."""

    def parts(self) -> Mapping[SpentKey, Part]:
        """What was spent and not told yet, in 1e-24 USD."""
        ...

    def retell(self) -> None:
        """Give all that is known with the next parts: the store lost it, or the last parts did not arrive."""
        ...

    def settle(self, sums: Mapping[SpentKey, int], told: Mapping[SpentKey, Part]) -> None:
        """Learn the sums of all processes, with what was told among them. To hear the same twice changes nothing.

        What was told and has no sum found no room: it counts with others of its kind.
        """
        ...
