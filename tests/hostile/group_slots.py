"""Slots of what runs several agents, of what asks the vendors' SDKs and waits, and of where threads carry contexts."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.stage import Stage

SLOTS = Slots()
PATTERNS = "kaizen_agents.patterns.patterns"
STREAMING = "kaizen_agents.streaming_agent:StreamingAgent"


class _Agent:
    """An agent of the application's own, that answers one thing."""

    agent_id = "a"
    stage_name = "stage"

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer

    def run(self, **_: Any) -> Any:
        return self._answer()

    async def run_async(self, **_: Any) -> Any:
        return self._answer()

    def anything(self, *_: Any, **__: Any) -> Any:
        return self._answer()

    construct_argument = create_proposal = evaluate_task = judge_debate = process_stage = anything
    delegate = vote = aggregate_votes = anything


def _orchestration(stage: Stage, answer: Callable[[], Any], prompt: Any = "x") -> Any:
    from kaizen.orchestration.runtime import OrchestrationRuntime, OrchestrationStrategy

    runtime = OrchestrationRuntime(OrchestrationStrategy.sequential())
    runtime.add_agent("a", _Agent(answer))
    return stage.run(runtime.run(prompt))


@SLOTS.add("kaizen.orchestration.runtime:OrchestrationRuntime.run")
def orchestration_input(stage: Stage) -> Any:
    return _orchestration(stage, lambda: {"output": "fine"}, stage.value)


@SLOTS.add("kaizen.orchestration.runtime:OrchestrationRuntime.run")
def orchestration_answer(stage: Stage) -> Any:
    return _orchestration(stage, stage.give)


@SLOTS.add("kaizen.orchestration.runtime:OrchestrationRuntime.run", takes="error")
def orchestration_raises(stage: Stage) -> Any:
    return _orchestration(stage, stage.throw)


@SLOTS.add("kaizen_agents.patterns.pipeline:SequentialPipeline.run")
def pipeline_answer(stage: Stage) -> Any:
    from kaizen_agents.patterns.pipeline import SequentialPipeline

    return SequentialPipeline([_Agent(stage.give)]).run(question=stage.value)


@SLOTS.add("kaizen_agents.patterns.pipeline:SequentialPipeline.run", takes="error outside a loop")
def pipeline_raises(stage: Stage) -> Any:
    from kaizen_agents.patterns.pipeline import SequentialPipeline

    return SequentialPipeline([_Agent(stage.throw)]).run(question="x")


def _parallel(stage: Stage) -> Any:
    from kaizen_agents.patterns.patterns.parallel import ParallelPipeline

    return ParallelPipeline([_Agent(stage.give)])


@SLOTS.add(f"{PATTERNS}.parallel:ParallelPipeline.run")
def parallel_pipeline_answer(stage: Stage) -> Any:
    return _parallel(stage).run(question=stage.value)


@SLOTS.add(f"{PATTERNS}.parallel:ParallelPipeline._execute_agent_async")
def parallel_pipeline_in_the_pool(stage: Stage) -> Any:
    return _parallel(stage).run(question=stage.value)


@SLOTS.add(f"{PATTERNS}.parallel:ParallelPipeline._execute_parallel_sync")
def parallel_pipeline_in_threads(stage: Stage) -> Any:
    return _parallel(stage)._execute_parallel_sync({"question": stage.value})


@SLOTS.add(f"{PATTERNS}.ensemble:EnsemblePipeline.run")
def ensemble_answer(stage: Stage) -> Any:
    from kaizen_agents.patterns.patterns.ensemble import EnsemblePipeline

    agent = _Agent(stage.give)
    return EnsemblePipeline([agent], agent, discovery_mode="all").run(question=stage.value)


@SLOTS.add(f"{PATTERNS}.blackboard:BlackboardPipeline.run")
def blackboard_answer(stage: Stage) -> Any:
    from kaizen_agents.patterns.patterns.blackboard import BlackboardPipeline

    return BlackboardPipeline([_Agent(stage.give)], _Agent(lambda: {"is_complete": True})).run(question=stage.value)


@SLOTS.add(f"{PATTERNS}.meta_controller:MetaControllerPipeline.run")
def meta_controller_answer(stage: Stage) -> Any:
    from kaizen_agents.patterns.patterns.meta_controller import MetaControllerPipeline

    return MetaControllerPipeline([_Agent(stage.give)], "round-robin").run(question=stage.value)


@SLOTS.add(f"{PATTERNS}.sequential:SequentialPipelinePattern.execute_pipeline")
def stages_answer(stage: Stage) -> Any:
    from kaizen_agents.patterns.patterns.sequential import SequentialPipelinePattern

    answer = {"stage_status": "success", "stage_output": "fine"}
    pattern = SequentialPipelinePattern(shared_memory=None, stages=[_Agent(lambda: answer)])
    return _without_id(pattern.execute_pipeline("x", context=stage.value))


@SLOTS.add(f"{PATTERNS}.handoff:HandoffPattern.execute_with_handoff")
def handoff_context(stage: Stage) -> Any:
    from kaizen_agents.patterns.patterns.handoff import HandoffPattern

    agent = _Agent(lambda: {"can_handle": "no"})
    agent.execute_task = lambda *_: {"result": stage.give()}  # type: ignore[attr-defined]  # asked at the last tier
    pattern = HandoffPattern(shared_memory=None, tiers={1: agent})
    return _without_id(pattern.execute_with_handoff("x", stage.value, max_tier=1))


def _debate(stage: Stage) -> Any:
    from kaizen_agents.patterns.patterns.debate import DebatePattern

    return DebatePattern(None, _Agent(dict), _Agent(dict), _Agent(stage.give))


@SLOTS.add(f"{PATTERNS}.debate:DebatePattern.debate")
def debate_judgment(stage: Stage) -> Any:
    return _without_id(_debate(stage).debate(stage.value))


@SLOTS.add(f"{PATTERNS}.debate:DebatePattern.execute_async")
def debate_async_judgment(stage: Stage) -> Any:
    return _without_id(stage.run(_debate(stage).execute_async(stage.value)))


@SLOTS.add(f"{PATTERNS}.consensus:ConsensusPattern.execute_async")
def consensus_answer(stage: Stage) -> Any:
    from kaizen_agents.patterns.patterns.consensus import ConsensusPattern

    proposer = _Agent(lambda: {"proposal_id": "p1"})
    pattern = ConsensusPattern(None, proposer, [_Agent(dict)], _Agent(stage.give))
    return stage.run(pattern.execute_async(stage.value))


@SLOTS.add(f"{PATTERNS}.supervisor_worker:SupervisorWorkerPattern.execute_async")
def supervisor_answer(stage: Stage) -> Any:
    from kaizen_agents.patterns.patterns.supervisor_worker import SupervisorWorkerPattern

    nobody = _Agent(list)
    return stage.run(SupervisorWorkerPattern(None, nobody, [], nobody).execute_async(stage.value))


def _without_id(answer: Any) -> Any:
    return {name: value for name, value in answer.items() if not name.endswith("_id")}


def _supervised(stage: Stage, method: str, answer: Callable[[], Any]) -> Any:
    from kaizen_agents.supervisor import GovernedSupervisor

    async def execute(*_: Any) -> Any:
        return answer()

    supervisor = GovernedSupervisor("gpt-4o")
    first = "why?" if method == "run" else supervisor._build_trivial_plan("why?", {})
    result = stage.run(getattr(supervisor, method)(first, execute_node=execute))
    return result.success, list(result.results.values()), [node.error for node in result.plan.nodes.values()]


@SLOTS.add("kaizen_agents.supervisor:GovernedSupervisor.run")
def supervised_answer(stage: Stage) -> Any:
    return _supervised(stage, "run", stage.give)


@SLOTS.add("kaizen_agents.supervisor:GovernedSupervisor.run", takes="error")
def supervised_raises(stage: Stage) -> Any:
    return _supervised(stage, "run", stage.throw)


@SLOTS.add("kaizen_agents.supervisor:GovernedSupervisor.run_plan")
def supervised_plan_answer(stage: Stage) -> Any:
    return _supervised(stage, "run_plan", lambda: {"result": stage.give()})


# -- clients that wait --------------------------------------------------------------------------------------------


@functools.cache
def _client(name: str) -> Any:
    from kaizen_agents.llm import LLMClient
    from kaizen_agents.orchestration.adapters import AnthropicStructuredAdapter, OpenAIStructuredAdapter

    made = {
        "LLMClient": LLMClient,
        "OpenAIStructuredAdapter": OpenAIStructuredAdapter,
        "AnthropicStructuredAdapter": AnthropicStructuredAdapter,
    }[name]
    return made(model="gpt-4o")


def _complete(name: str, answer: Callable[[], Any], messages: Any = (), **given: Any) -> Any:
    client = _client(name)
    function = SimpleNamespace(create=lambda **_: answer())
    client._client = SimpleNamespace(
        base_url="http://localhost:9", messages=function, chat=SimpleNamespace(completions=function)
    )
    return client.complete(messages, **given)


def _openai_answer(**fields: Any) -> Any:
    choice = SimpleNamespace(message=SimpleNamespace(content="a", tool_calls=None), finish_reason="stop")
    return SimpleNamespace(**{"choices": [choice], "usage": None, "model": "m", "id": "1", **fields})


@SLOTS.add("kaizen_agents.llm:LLMClient.complete")
def llm_client_answer(stage: Stage) -> Any:
    return _complete("LLMClient", stage.give)


@SLOTS.add("kaizen_agents.llm:LLMClient.complete")
def llm_client_arguments(stage: Stage) -> Any:
    answer = _complete(
        "LLMClient",
        _openai_answer,
        stage.value,
        tools=stage.value,
        response_format=stage.value,
        temperature=stage.value,
    )
    return answer.content


@SLOTS.add("kaizen_agents.llm:LLMClient.complete", takes="error")
def llm_client_raises(stage: Stage) -> Any:
    return _complete("LLMClient", stage.throw)


@SLOTS.add("kaizen_agents.orchestration.adapters:OpenAIStructuredAdapter.complete")
def structured_openai_answer(stage: Stage) -> Any:
    answer = _complete("OpenAIStructuredAdapter", lambda: _openai_answer(model=stage.give(), id=stage.value))
    return answer.model


@SLOTS.add("kaizen_agents.orchestration.adapters:OpenAIStructuredAdapter.complete", takes="error")
def structured_openai_raises(stage: Stage) -> Any:
    return _complete("OpenAIStructuredAdapter", stage.throw)


@SLOTS.add("kaizen_agents.orchestration.adapters:AnthropicStructuredAdapter.complete")
def structured_anthropic_answer(stage: Stage) -> Any:
    def answer() -> Any:
        return SimpleNamespace(type="message", content=[], usage=None, model=stage.give(), id=stage.value)

    return _complete("AnthropicStructuredAdapter", answer).model


# -- threads ------------------------------------------------------------------------------------------------------


@SLOTS.add("kaizen_agents.patterns._reasoning_bridge:_run_coroutine")
def reasoning_answer(stage: Stage) -> Any:
    from kaizen_agents.patterns import _reasoning_bridge

    async def ask() -> Any:
        return stage.give()

    return _reasoning_bridge._run_coroutine(ask())


@SLOTS.add("kaizen_agents.supervisor_wrapper:SupervisorWrapper._select_worker_sync")
def selected_worker(stage: Stage) -> Any:
    from kaizen_agents.supervisor_wrapper import SupervisorWrapper

    class Routing:
        async def select_best(self, *_: Any, **__: Any) -> Any:
            return stage.give()

    wrapper = SupervisorWrapper.__new__(SupervisorWrapper)
    wrapper._routing, wrapper._workers = Routing(), []
    return wrapper._select_worker_sync(stage.value, "c1")


@SLOTS.add("kaizen_agents.agents.autonomous.base:BaseAutonomousAgent._autonomous_loop")
def autonomous_answer(stage: Stage) -> Any:
    from kaizen_agents.agents.autonomous.base import AutonomousConfig, BaseAutonomousAgent

    from tests.hostile import fakes

    class Once(BaseAutonomousAgent):
        def _check_convergence(self, _: Any) -> bool:
            return True

    config = AutonomousConfig(llm_provider="mock", model="gpt-4o", max_cycles=1, planning_enabled=False)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
    ):  # it leaves its checkpoints where it is made
        agent = Once(config, fakes.Answer(), mcp_servers=[])
        agent.strategy = SimpleNamespace(execute=lambda *_: stage.give())
        stage.run(agent._autonomous_loop("look around"))


def _streaming() -> Any:
    from kaizen_agents.streaming_agent import StreamingAgent

    from tests.hostile import fakes

    return StreamingAgent(fakes.base_agent(dict))


class _Client:
    def __init__(self, chunk: Callable[[], Any]) -> None:
        self._chunk = chunk

    async def stream(self, *_: Any, **__: Any) -> Any:
        yield self._chunk()


async def _read(items: Any) -> list[Any]:
    return [type(item).__name__ async for item in items]


@SLOTS.add(f"{STREAMING}._stream_with_client")
def streaming_agent_chunk(stage: Stage) -> Any:
    return stage.run(_read(_streaming()._stream_with_client(_Client(stage.give), question="x")))


@SLOTS.add(f"{STREAMING}._stream_with_client")
def streaming_agent_inputs(stage: Stage) -> Any:
    return stage.run(_read(_streaming()._stream_with_client(_Client(dict), question=stage.value)))


@SLOTS.add(f"{STREAMING}._stream_with_client", takes="error")
def streaming_agent_raises(stage: Stage) -> Any:
    return stage.run(_read(_streaming()._stream_with_client(_Client(stage.throw), question="x")))


@SLOTS.add(f"{STREAMING}.run")
def streaming_agent_blocking(stage: Stage) -> Any:
    agent = _streaming()
    agent._stream_with_client = lambda *_, **__: _Client(dict).stream()
    return agent.run(question=stage.value)
