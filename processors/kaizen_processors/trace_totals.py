"""What a set of spans adds up to: tokens, cost and errors of a trace, and the same by agent.

Money here is a **sum of displayed values**: the doubles that the spans carry, added as decimals. The exact integers are
in the ledger of the process that made the spans; a file of spans does not have them.

Tokens and cost of an execution are its own (`kaizen.execution.own.*`), plus its model calls that ended after it and so
could not be on its span. An execution without those attributes, another library's, is the sum of its model calls. A
model call is accounted to the execution above it, or to the agent that it names when that is another one (an
evaluator), or to `none`.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from kaizen_semconv import attributes as ka
from kaizen_semconv import gen_ai

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

from kaizen_processors.trace_tree import SpanNode, walk

NO_AGENT: Final = "none"
USD: Final = "USD"


class Cost:
    """Money by currency, and whether it is all of it.

    `complete` is `False` when a call below has no known price or usage: the true cost is at least the amount.
    """

    __slots__ = ("amounts", "complete")

    def __init__(self) -> None:
        """Start with nothing spent, completely known."""
        self.amounts: dict[str, Decimal] = {}
        self.complete = True

    def add(self, amount: float, currency: str = USD) -> None:
        """Add a displayed amount; `amount` is finite."""
        self.amounts[currency] = self.amounts.get(currency, Decimal(0)) + Decimal(repr(amount))

    def merge(self, other: Cost) -> None:
        """Add another cost to this one."""
        for currency, amount in other.amounts.items():
            self.amounts[currency] = self.amounts.get(currency, Decimal(0)) + amount
        self.complete = self.complete and other.complete

    @property
    def usd(self) -> Decimal:
        """The dollars of it."""
        return self.amounts.get(USD, Decimal(0))


class Totals:
    """Sums over executions and model calls. What had not ended is in `running` and in no other count."""

    __slots__ = (
        "cache_read_tokens",
        "cancelled",
        "cost",
        "durations_ns",
        "errors",
        "executions",
        "failed_calls",
        "input_tokens",
        "model_calls",
        "output_tokens",
        "running",
        "scores",
    )

    def __init__(self) -> None:
        """Start with nothing."""
        self.executions = 0
        self.running = 0
        self.errors = 0
        self.cancelled = 0
        self.model_calls = 0
        self.failed_calls = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.cache_read_tokens = 0
        self.cost = Cost()
        self.durations_ns: list[int] = []
        self.scores: list[float] = []

    def merge(self, other: Totals) -> None:
        """Add the sums of another set."""
        for name in self.__slots__:
            if name != "cost":
                setattr(self, name, getattr(self, name) + getattr(other, name))
        self.cost.merge(other.cost)

    @property
    def p95_ns(self) -> int | None:
        """The 95th percentile of the executions' durations: the smallest that 95% do not exceed."""
        if not self.durations_ns:
            return None
        return sorted(self.durations_ns)[math.ceil(0.95 * len(self.durations_ns)) - 1]

    @property
    def quality(self) -> float | None:
        """The mean quality score of the executions that have one."""
        return math.fsum(self.scores) / len(self.scores) if self.scores else None


def totals_by_agent(roots: Sequence[SpanNode]) -> dict[str, Totals]:
    """Sums for each agent name, the most expensive first; model calls without an agent under `none`."""
    agents: dict[str, Totals] = {}
    owners: dict[int, SpanNode | None] = {}
    own_calls: dict[int, list[SpanNode]] = {}
    executions: list[SpanNode] = []
    for node, owner in _owned(roots, owners):
        if node.is_execution:
            executions.append(node)
        if not node.is_model_call or node.pending:
            continue
        if owner is None or (node.agent_name or owner.agent_name) != owner.agent_name:
            _add_calls(agents.setdefault(node.agent_name or NO_AGENT, Totals()), [node], sums=True)
        else:
            own_calls.setdefault(id(owner), []).append(node)
    incomplete_below = {id(owners[id(node)]) for node in executions if not _complete(node)}
    for node in executions:
        agent = agents.setdefault(node.agent_name or NO_AGENT, Totals())
        _add_execution(agent, node, own_calls.get(id(node), []), blamed=id(node) not in incomplete_below)
    return dict(sorted(agents.items(), key=lambda item: (-item[1].cost.usd, -item[1].executions, item[0])))


def totals_of(roots: Sequence[SpanNode]) -> Totals:
    """Sums over everything below `roots`."""
    return sum_totals(totals_by_agent(roots).values())


def sum_totals(parts: Iterable[Totals]) -> Totals:
    """Add up."""
    total = Totals()
    for part in parts:
        total.merge(part)
    return total


def _owned(roots: Sequence[SpanNode], owners: dict[int, SpanNode | None]) -> Iterator[tuple[SpanNode, SpanNode | None]]:
    """Every node with the nearest execution above it; `owners` is filled on the way."""
    inherited: dict[int, SpanNode | None] = {}
    for node, _ in walk(roots):
        owner = owners[id(node)] = inherited.get(id(node))
        for child in node.children:
            inherited[id(child)] = node if node.is_execution else owner
        yield node, owner


def _complete(execution: SpanNode) -> bool:
    return execution.flag(ka.KAIZEN_EXECUTION_COST_COMPLETE) is not False


def _add_execution(agent: Totals, node: SpanNode, calls: list[SpanNode], *, blamed: bool) -> None:
    """Add one execution.

    Args:
        agent: What to add to.
        node: The execution's span.
        calls: Its own model calls.
        blamed: No execution below says that its cost is incomplete; so what is missing is missing here.
    """
    if node.pending:
        agent.running += 1
        _add_calls(agent, calls, sums=True)
        agent.cost.complete = False
        return
    agent.executions += 1
    agent.cancelled += node.cancelled
    agent.errors += not node.cancelled and (node.failed or node.text(ka.KAIZEN_EXECUTION_STATUS) == "error")
    if node.duration_ns is not None:
        agent.durations_ns.append(node.duration_ns)
    score = node.number(ka.KAIZEN_QUALITY_SCORE)
    if score is not None:
        agent.scores.append(float(score))
    input_tokens = node.count(ka.KAIZEN_EXECUTION_OWN_INPUT_TOKENS)
    output_tokens = node.count(ka.KAIZEN_EXECUTION_OWN_OUTPUT_TOKENS)
    if input_tokens is None and output_tokens is None:
        _add_calls(agent, calls, sums=True)
        return
    agent.input_tokens += input_tokens or 0
    agent.output_tokens += output_tokens or 0
    amount = node.number(ka.KAIZEN_EXECUTION_OWN_COST_AMOUNT)
    if amount is not None:
        agent.cost.add(amount)
    late = {id(call): call for call in calls if node.end_ns and call.end_ns and call.end_ns > node.end_ns}
    _add_calls(agent, late.values(), sums=True)
    _add_calls(agent, [call for call in calls if id(call) not in late], sums=False)
    if blamed and not _complete(node) and not _explained_by(late.values(), node, calls):
        agent.cost.complete = False


def _explained_by(late: Collection[SpanNode], node: SpanNode, calls: list[SpanNode]) -> bool:
    """Whether an execution's cost was incomplete only because of late calls, and these are here now."""
    expected = node.count(ka.KAIZEN_EXECUTION_LATE_CALLS) or 0
    return 0 < expected <= len(late) and all(call_cost(call).complete for call in calls)


def _add_calls(agent: Totals, calls: Iterable[SpanNode], *, sums: bool) -> None:
    """Count model calls; with `sums` also add their tokens and cost, which an execution's own attributes lack."""
    for call in calls:
        agent.model_calls += 1
        agent.failed_calls += call.failed
        agent.cache_read_tokens += call.count(gen_ai.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS) or 0
        cost = call_cost(call)
        if sums:
            agent.input_tokens += call.count(gen_ai.GEN_AI_USAGE_INPUT_TOKENS) or 0
            agent.output_tokens += call.count(gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS) or 0
        else:
            cost.amounts.pop(USD, None)  # in the execution's own amount, which is dollars only
        agent.cost.merge(cost)


def call_cost(call: SpanNode) -> Cost:
    """What one model call cost. A failed call that says nothing of money cost nothing that is known to be missing."""
    cost = Cost()
    amount = call.number(ka.KAIZEN_USAGE_COST_AMOUNT)
    if amount is not None:
        cost.add(amount, call.text(ka.KAIZEN_USAGE_COST_CURRENCY) or USD)
    missing = ka.KAIZEN_USAGE_MISSING_REASON in call.attributes
    cost.complete = not missing and (amount is not None or call.failed)
    return cost
