"""What the answer of a group says of it: whether the group itself failed (shapes of kaizen 2.46, kaizen-agents 0.13).

A group goes on without the members that fail. Some hand their errors on in its answer, others answer as if nothing had
happened. Only an answer that says it in so many words makes the group an error, and only where a member was seen to
fail: an application's own value may look alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.values import attribute_of, bounded_text, entry_of, mapping
from kaizen_otel.patches.agents import is_error
from kaizen_processors.values import entries_of, type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.invocations.workflow import GroupInvocation
    from kaizen_otel.patches.watching import Observe

UNSUCCESSFUL = "unsuccessful"
"""`error.type` of a run whose result says that it failed, and nobody was seen to fail."""

MAX_ANSWERS = 10_000
"""Answers of members that are looked at."""

_CAUGHT = frozenset({"failed", "synthesis_failed"})
"""`status` of what a pipeline answers in the place of an agent that raised."""


def when(says_failed: Callable[[Any], bool]) -> Observe:
    """Note the failure of a member as the group's, where the answer says that nothing else came of it."""

    def observe(group: GroupInvocation, answer: Any) -> None:
        if group.member_failure is not None and says_failed(answer):
            group.failed_with(UNSUCCESSFUL)

    return observe


def observe_plan(group: GroupInvocation, result: Any) -> None:
    """`GovernedSupervisor` and `PlanMonitor` say whether the plan succeeded."""
    if type_name(result) in {"SupervisorResult", "PlanResult"} and attribute_of(result, "success") is False:
        group.failed_with(UNSUCCESSFUL)


def is_failure(answer: Any) -> bool:
    """Whether it stands in the place of an answer: an agent's own error, or what a pipeline caught."""
    return is_error(answer) or (
        type(entry_of(answer, "error")) is str
        and type(entry_of(answer, "traceback")) is str
        and bounded_text(entry_of(answer, "status")) in _CAUGHT
    )


def are_failures(answers: Any) -> bool:
    """Whether there are answers and each one is a failure."""
    return type(answers) is list and bool(answers) and all(map(is_failure, entries_of(answers, MAX_ANSWERS)))


def last_failed(answer: Any) -> bool:
    """`SequentialPipeline`: what the last agent said is the pipeline's answer."""
    return is_failure(entry_of(answer, "final_output"))


def all_failed(answer: Any) -> bool:
    """`ParallelPipeline`: every agent's answer. An aggregator of the application's makes what it likes of them."""
    return are_failures(entry_of(answer, "results"))


def nothing_on_blackboard(answer: Any) -> bool:
    """`BlackboardPipeline`: it stopped without its controller's word, and no specialist has contributed."""
    stopped = entry_of(answer, "controller_error") is not None or entry_of(answer, "max_iterations_reached") is True
    insights = entry_of(answer, "insights")
    return stopped and type(insights) is list and (not insights or are_failures(insights))


def all_orchestrated_failed(result: Any) -> bool:
    """`OrchestrationRuntime`: the answers of its agents by name."""
    return are_failures(list(mapping(attribute_of(result, "agent_results")).values()))
