"""kaizen_agents' agents whose runs go past `AgentLoop` (0.13): each run is one execution all the same.

They ask a provider themselves (images, sounds, documents), run their strategy by hand (fallbacks, batches), or make
their answer up (approvals, the streaming chat): then there is no model call below.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.base import NULL_INVOCATION
from kaizen_otel.invocations.failure import Failure
from kaizen_otel.invocations.stream import watched_generator
from kaizen_otel.invocations.values import bounded_text, entry_of
from kaizen_otel.patches.agents import already_watched, by_itself, describe_base_agent, observe_base_agent
from kaizen_otel.patches.delegate import observe_text
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active
from kaizen_otel.patches.watching import awaited, blocking
from kaizen_processors.values import entries_of

if TYPE_CHECKING:
    from kaizen_otel.invocations.agent import AgentInvocation, AgentRequest
    from kaizen_otel.patches.watching import Arguments, Begun, Keywords
    from kaizen_otel.telemetry import Telemetry

_AGENTS = "kaizen_agents.agents"

RUNS = {
    f"{_AGENTS}.multi_modal.vision_agent": ("VisionAgent", ("run", "describe", "extract_text")),
    f"{_AGENTS}.multi_modal.multi_modal_agent": ("MultiModalAgent", ("run",)),
    f"{_AGENTS}.multi_modal.transcription_agent": ("TranscriptionAgent", ("run",)),
    f"{_AGENTS}.multi_modal.document_extraction_agent": ("DocumentExtractionAgent", ("extract", "extract_async")),
    f"{_AGENTS}.specialized.resilient": ("ResilientAgent", ("run_async",)),
    f"{_AGENTS}.specialized.batch_processing": ("BatchProcessingAgent", ("process_batch",)),
    f"{_AGENTS}.specialized.human_approval": ("HumanApprovalAgent", ("run_async",)),
    f"{_AGENTS}.specialized.streaming_chat": ("StreamingChatAgent", ("stream",)),
}
"""By module: a class, and its methods that are a run each."""

MAX_ITEMS = 10_000
"""Items of a batch that are looked at for an error."""


def _surface(module_name: str, class_name: str, methods: tuple[str, ...]) -> Surface:
    def apply_to(patcher: Patcher, module: Any) -> None:
        owner = getattr(module, class_name)
        for method in methods:
            original = inspect.getattr_static(owner, method, None)
            if inspect.isasyncgenfunction(original):
                patcher.wrap(owner, method, stream)
                continue
            make = awaited if inspect.iscoroutinefunction(original) else blocking
            patcher.wrap(owner, method, make(begin, observe, unless=by_itself))

    return Surface(module_name, apply_to)


def apply_planning(patcher: Patcher, module: Any) -> None:
    """The agent that makes another one for each plan, asks that for it, and makes the plan's execution up.

    Kaizen keeps the bound `run` of an agent that was made before us: of that one each plan is the run, for nothing else
    of it asks a model.
    """
    patcher.wrap(module.PlanningAgent, "run", blocking(begin_planning, observe_planning, unless=by_itself))
    patcher.wrap(module.PlanningAgent, "_generate_plan", blocking(begin_plan, observe_plan, unless=by_itself))


SURFACES = (
    *(_surface(module, *runs) for module, runs in RUNS.items()),
    Surface(f"{_AGENTS}.specialized.planning", apply_planning),
)


def begin_planning(telemetry: Telemetry, agent: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """One run of the planner; the nameless agents that it makes have no executions of their own."""

    def describe() -> AgentRequest:
        request = describe_base_agent(agent, asked_of(args, kwargs))
        request.owns_agents = True
        return request

    return telemetry.agent(describe)


def observe_planning(run: AgentInvocation, result: Any) -> None:
    """It returns a code for what goes wrong; a plan that no model gave is empty, and no error to it."""
    observe(run, result)
    code = bounded_text(entry_of(result, "error"))
    if code:
        reason = bounded_text(entry_of(entry_of(result, "validation_result"), "reason"), 1_024)
        run.failed(code, reason or "")


def begin_plan(telemetry: Telemetry, agent: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """`_generate_plan(task, context)`: only a part of what the planner's signature promises comes out of it."""

    def describe() -> AgentRequest:
        request = describe_base_agent(agent, asked_of(args, kwargs))
        request.owns_agents, request.expected_fields = True, None
        return request

    return telemetry.agent(describe)


def observe_plan(run: AgentInvocation, plan: Any) -> None:
    """A list of steps: empty where no model gave one, which the workflow below knows."""
    observe(run, {"plan": plan})


def begin(telemetry: Telemetry, agent: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """One run of the agent."""
    return telemetry.agent(lambda: describe_base_agent(agent, asked_of(args, kwargs)))


def asked_of(args: Arguments, kwargs: Keywords) -> dict[str, Any]:
    """The inputs by name; the first one has none where it was given by its place."""
    return {"input": args[0], **kwargs} if args else kwargs


def stream(wrapped: Any, instance: Any, args: Arguments, kwargs: Keywords) -> Any:
    """A run that yields its answer piece by piece."""
    telemetry = active()
    texts = wrapped(*args, **kwargs)
    if telemetry is None:
        return texts

    def begin_reading() -> Begun:
        return NULL_INVOCATION if already_watched(instance) else begin(telemetry, instance, args, kwargs)

    return watched_generator(telemetry, texts, begin_reading, observe_text)


def observe(run: AgentInvocation, result: Any) -> None:
    """What came of a run.

    A strategy that is run by hand answers with a placeholder where its workflow failed: the workflow knows better. A
    batch hands out what its items failed with in the place of their answers.
    """
    observe_base_agent(run, result)
    if run.workflow_failure is not None:
        run.failed(run.workflow_failure.error_type)
    if type(result) is list:
        for item in entries_of(result, MAX_ITEMS):
            if issubclass(type(item), Exception):
                failure = Failure.of(item)  # type: ignore[arg-type]  # it is one
                run.failed(failure.error_type, failure.message)
                return
