"""What the evaluator asks of whoever keeps the numbers: two questions, and a third that may go unanswered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GroupBy = Literal["none", "agent", "model"]
GROUPINGS: Final[tuple[GroupBy, ...]] = ("none", "agent", "model")
LABEL_OF: Final = {"agent": "agent_name", "model": "model"}
"""The label that carries a group's key: the same as on the metrics."""


class Group(NamedTuple):
    """What a rule is judged for: everything together, one agent, or one model."""

    by: GroupBy
    key: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """The labels of an alert of this group."""
        return {} if self.by == "none" else {LABEL_OF[self.by]: self.key}


EVERYTHING: Final = Group("none")


class WorstExecution(NamedTuple):
    """One of the executions that an alert is about.

    Attributes:
        execution_id: its identity.
        trace_id: 32 hexadecimal digits; empty where it has no trace.
        agent_name: who ran.
        value: what makes it bad, in the unit of the condition that it was asked for; None where that is not known.
        status: `success`, `error` or `cancelled`.
        cost_complete: whether the cost of each of its calls is known; else a value in dollars is a lower bound.
    """

    execution_id: str
    trace_id: str
    agent_name: str
    value: float | None
    status: str
    cost_complete: bool = True


class Values(Protocol):
    """The numbers of the last while."""

    def value(self, condition: str, group: Group, window_s: float) -> float | None:
        """Give a measure of the vocabulary over the last `window_s` seconds; None when there is no data."""
        ...

    def groups(self, by: GroupBy, window_s: float) -> Iterable[Group]:
        """Give the agents or models that were seen in the last `window_s` seconds."""
        ...


@runtime_checkable
class ExecutionRanking(Protocol):
    """What `Values` may offer besides: which executions were the worst."""

    def worst(self, condition: str, group: Group, window_s: float, limit: int) -> Sequence[WorstExecution]:
        """Give at most `limit` executions of the last `window_s` seconds, the worst by this measure first."""
        ...
