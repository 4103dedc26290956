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

    Fails = Callable[[Any], bool]
    """Whether a member's answer stands for its failure."""

UNSUCCESSFUL = "unsuccessful"
"""`error.type` of a run whose result says that it failed, and nobody was seen to fail."""

MAX_ANSWERS = 10_000
"""Answers of members that are looked at."""

_CAUGHT = frozenset({"failed", "synthesis_failed"})
"""`status` of what a pipeline answers in the place of an agent that raised."""


def when(says_failed: Callable[[Any, Fails], bool]) -> Observe:
    """Note the failure of a member as the group's, where the answer says that nothing else came of it.

    A member that is a group itself hands its own answer on: where that said that the inner group failed, it is known by
    identity.
    """

    def observe(group: GroupInvocation, answer: Any) -> None:
        if group.member_failure is None:
            return
        if says_failed(answer, lambda member: is_failure(member) or group.is_failed_answer(member)):
            group.answered_failure(answer, UNSUCCESSFUL)

    return observe


def observe_parallel(group: GroupInvocation, answer: Any) -> None:
    """`ParallelPipeline`: as above; and all its members may have had no time to fail, or to answer."""
    _MEMBERS_FAILED(group, answer)
    if group.failure is None and attribute_of(group.subject, "timeout"):
        answers = entry_of(answer, "results")
        if are_failures(answers, lambda member: is_failure(member) or is_timeout(member)):
            group.answered_failure(answer, "TimeoutError")


def observe_plan(group: GroupInvocation, result: Any) -> None:
    """`GovernedSupervisor` and `PlanMonitor` say whether the plan succeeded."""
    if type_name(result) in {"SupervisorResult", "PlanResult"} and attribute_of(result, "success") is False:
        group.failed_with(UNSUCCESSFUL)


def observe_tasks(group: GroupInvocation, result: Any) -> None:
    """kaizen_agents' `OrchestrationRuntime` counts the tasks that were carried out, and those that were not."""
    if entry_of(result, "completed_tasks") == 0 and entry_of(result, "failed_tasks"):
        group.failed_with(UNSUCCESSFUL)


def is_failure(answer: Any) -> bool:
    """Whether it stands in the place of an answer: an agent's own error, or what a pipeline caught."""
    return is_error(answer) or (
        type(entry_of(answer, "error")) is str
        and type(entry_of(answer, "traceback")) is str
        and bounded_text(entry_of(answer, "status")) in _CAUGHT
    )


def is_timeout(answer: Any) -> bool:
    """Whether it is what a pipeline answers in the place of an agent that it did not wait for any longer."""
    return (
        type(answer) is dict
        and set(answer) == {"error", "status"}
        and bounded_text(answer["status"]) == "timeout"
        and bounded_text(answer["error"]) == "Execution timeout"
    )


def are_failures(answers: Any, fails: Fails) -> bool:
    """Whether there are answers and each one is a failure."""
    return type(answers) is list and bool(answers) and all(map(fails, entries_of(answers, MAX_ANSWERS)))


def itself_failed(answer: Any, fails: Fails) -> bool:
    """`EnsemblePipeline`, `MetaControllerPipeline`: one agent's answer is the pipeline's."""
    return fails(answer)


def last_failed(answer: Any, fails: Fails) -> bool:
    """`SequentialPipeline`: what the last agent said is the pipeline's answer."""
    return fails(entry_of(answer, "final_output"))


def all_failed(answer: Any, fails: Fails) -> bool:
    """`ParallelPipeline`: every agent's answer. An aggregator of the application's makes what it likes of them."""
    return are_failures(entry_of(answer, "results"), fails)


_MEMBERS_FAILED = when(all_failed)


def nothing_on_blackboard(answer: Any, fails: Fails) -> bool:
    """`BlackboardPipeline`: it stopped without its controller's word, and no specialist has contributed."""
    stopped = entry_of(answer, "controller_error") is not None or entry_of(answer, "max_iterations_reached") is True
    insights = entry_of(answer, "insights")
    return stopped and type(insights) is list and (not insights or are_failures(insights, fails))


def all_orchestrated_failed(result: Any, fails: Fails) -> bool:
    """`OrchestrationRuntime`: the answers of its agents by name."""
    return are_failures(list(mapping(attribute_of(result, "agent_results")).values()), fails)
