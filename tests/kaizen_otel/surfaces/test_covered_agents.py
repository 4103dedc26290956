"""What `docs/coverage.md` says of the agents of kaizen_agents: each method goes well, and is refused."""

from __future__ import annotations

import importlib
import itertools
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.kaizen_otel.surfaces.covered import JUDGED, well_and_refused
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

# As in test_delegate.
pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients", "no_own_mcp_servers"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.* is deprecated since v0.9.0:DeprecationWarning"),  # their own agents, in 0.13
    pytest.mark.filterwarnings("ignore:provider_config with 'type' key is deprecated:DeprecationWarning"),
]

ASKED = itertools.count()
ADAPTERS = "kaizen_agents.orchestration.adapters"


def adapter(provider: str) -> Callable[[], Any]:
    async def read() -> None:
        from tests.kaizen_otel.surfaces import delegates

        await delegates.read(delegates.chat_of(provider))

    return read


def blocking(module: str, name: str, model: str) -> Callable[[], Any]:
    def ask() -> None:
        made = getattr(pytest.importorskip(module), name)(model=model)
        made.complete([{"role": "user", "content": "hello"}])

    return ask


def structured(module: str, name: str, model: str) -> Callable[[], Any]:
    def ask() -> None:
        made = getattr(importlib.import_module(module), name)(model=model)
        with suppress(ValueError):  # an answer that is not of the schema's form
            made.complete_structured([{"role": "user", "content": "hello"}], {"type": "object", "properties": {}})

    return ask


async def house() -> None:
    from kaizen_agents import Delegate

    from tests.kaizen_otel.surfaces import delegates

    class House:
        def stream_chat(self, messages: Any, tools: Any = None, **given: Any) -> Any:
            return delegates.adapter("openai").stream_chat(messages, tools, **given)

    await delegates.read(Delegate(model="gpt-4o", adapter=House()).run("hello"))


async def delegate_run() -> None:
    from tests.kaizen_otel.surfaces import delegates

    await delegates.read(delegates.delegate().run("hello"))


def delegate_run_sync() -> None:
    from tests.kaizen_otel.surfaces import delegates

    delegates.delegate().run_sync("hello")


async def loop_run_print() -> None:
    from tests.kaizen_otel.surfaces import delegates

    await delegates.delegate().loop.run_print("hello")


async def loop_run_turn() -> None:
    from tests.kaizen_otel.surfaces import delegates

    await delegates.read(delegates.delegate().loop.run_turn("hello"))


async def loop_agent() -> None:
    from tests.kaizen_otel.surfaces import delegates

    delegates.delegate(budget_usd=5.0).wrapper_stack.run(prompt="hello")


async def print_mode() -> None:
    from kaizen_agents.delegate.config.loader import KzConfig
    from kaizen_agents.delegate.print_mode import run_print_mode

    from tests.kaizen_otel.surfaces import delegates

    await run_print_mode(KzConfig(model="gpt-4o"), delegates.tools(), "hello")


def wrapped(module: str, name: str, *, is_async: bool = False, **given: Any) -> Callable[[], Any]:
    def make() -> Any:
        from tests.kaizen_otel.surfaces import scenes

        agent = scenes.base_agent(agent_id="a", use_async_llm=is_async)
        return getattr(pytest.importorskip(f"kaizen_agents.{module}"), name)(agent, **given)

    def run() -> None:
        make().run(question="x")

    async def run_async() -> None:
        await make().run_async(question="x")

    return run_async if is_async else run


def governed(*, is_async: bool = False) -> Callable[[], Any]:
    def envelope() -> Any:
        from kailash.trust.envelope import ConstraintEnvelope

        return ConstraintEnvelope()

    def run() -> None:
        wrapped("governed_agent", "L3GovernedAgent", envelope=envelope())()

    async def run_async() -> None:
        await wrapped("governed_agent", "L3GovernedAgent", is_async=True, envelope=envelope())()

    return run_async if is_async else run


def special(module: str, name: str, method: str, *args: Any, **given: Any) -> Callable[[], Any]:
    def run() -> None:
        made = getattr(pytest.importorskip(f"kaizen_agents.agents.specialized.{module}"), name)
        getattr(made(llm_provider="openai", model="gpt-4o", mcp_servers=[]), method)(*args, **given)

    return run


def autonomous() -> None:
    from kaizen_agents.agents.autonomous.base import AutonomousConfig, BaseAutonomousAgent

    from tests.kaizen_otel.surfaces import scenes

    config = AutonomousConfig(llm_provider="openai", model="gpt-4o", max_cycles=1, planning_enabled=False)
    BaseAutonomousAgent(config, scenes.Answer(), mcp_servers=[]).run(task="look around")


def function(module: str, name: str, *args: Any, **given: Any) -> Callable[[], Any]:
    """A function that makes an agent and runs it."""

    def run() -> None:
        getattr(importlib.import_module(f"kaizen_agents.agents.specialized.{module}"), name)(*args, **given)

    return run


async def streamed() -> None:
    from kaizen_agents.streaming_agent import StreamingAgent

    from tests.kaizen_otel.surfaces import delegates, scenes

    await delegates.read(StreamingAgent(scenes.base_agent(agent_id="a")).run_stream(question="x"))


def supervised(*, is_async: bool = False) -> Callable[[], Any]:
    def supervisor() -> Any:
        from kaizen_agents.supervisor_wrapper import SupervisorWrapper

        from tests.kaizen_otel.surfaces import scenes

        boss, *workers = (scenes.base_agent(agent_id=name, use_async_llm=is_async) for name in ("boss", "a", "b"))
        return SupervisorWrapper(boss, workers=workers)

    def run() -> None:
        supervisor().run(question=str(next(ASKED)))  # Kaizen keeps which worker suits

    async def run_async() -> None:
        await supervisor().run_async(question=str(next(ASKED)))

    return run_async if is_async else run


def compared() -> None:
    """What the patterns ask a model to compare, in a thread of their own where an event loop runs."""
    from kaizen.nodes.ai.a2a import Capability, CapabilityLevel
    from kaizen_agents.patterns import _reasoning_bridge as bridge

    asked = str(next(ASKED))
    adds = Capability(name="adds", domain="arithmetic", level=CapabilityLevel.EXPERT, description="adds")
    asks: tuple[Callable[[], Any], ...] = (
        lambda: bridge.score_capability_sync(adds, asked),
        lambda: bridge.score_capability_list_sync([adds], asked),
        lambda: bridge.rank_agents_by_capability_sync([("a", SimpleNamespace(primary_capabilities=[adds]))], asked),
    )
    for compare in asks:
        with suppress(Exception):
            compare()


async def fallback_without_a_model() -> None:
    from kaizen_agents.agents.specialized.resilient import query_with_fallback

    await query_with_fallback("x", models=["gpt-4o", "gpt-4o-mini"])


async def scored() -> None:
    from kaizen_agents.patterns.llm_routing import LLMBased

    from tests.kaizen_otel.surfaces import scenes

    await LLMBased().score(str(next(ASKED)), scenes.base_agent(agent_id="a"))


async def resilient() -> None:
    from tests.kaizen_otel.surfaces import test_own_runs

    await test_own_runs.resilient().run_async(query="x")


TRACED: dict[str, Callable[[], Any]] = {
    "kaizen_agents.delegate.adapters.openai_adapter:OpenAIStreamAdapter.stream_chat": adapter("openai"),
    "kaizen_agents.delegate.adapters.anthropic_adapter:AnthropicStreamAdapter.stream_chat": adapter("anthropic"),
    "kaizen_agents.delegate.adapters.google_adapter:GoogleStreamAdapter.stream_chat": adapter("google"),
    "kaizen_agents.llm:LLMClient.complete": blocking("kaizen_agents.llm", "LLMClient", "gpt-4o"),
    "kaizen_agents.orchestration.adapters:OpenAIStructuredAdapter.complete": blocking(
        ADAPTERS, "OpenAIStructuredAdapter", "gpt-4o"
    ),
    "kaizen_agents.orchestration.adapters:AnthropicStructuredAdapter.complete": blocking(
        ADAPTERS, "AnthropicStructuredAdapter", "claude-sonnet-4-5"
    ),
    "kaizen_agents.delegate.delegate:Delegate.run": delegate_run,
    "kaizen_agents.delegate.loop:AgentLoop.run_turn": loop_run_turn,
    "kaizen_agents.agents.specialized.resilient:ResilientAgent.run_async": resilient,
}
UNPRICED: dict[str, Callable[[], Any]] = {
    "kaizen_agents.delegate.adapters.ollama_adapter:OllamaStreamAdapter.stream_chat": adapter("ollama"),
    "kaizen_agents.delegate.loop:AgentLoop._stream_completion": house,
}
BELOW: dict[str, Callable[[], Any]] = {
    "kaizen_agents.delegate.delegate:Delegate.run_sync": delegate_run_sync,
    "kaizen_agents.delegate.loop:AgentLoop.run_print": loop_run_print,
    "kaizen_agents.agents.autonomous.base:BaseAutonomousAgent.run": autonomous,
    "kaizen_agents.delegate.delegate:_LoopAgent.run": loop_agent,
    "kaizen_agents.delegate.print_mode:PrintRunner.run kaizen_agents.delegate.print_mode:run_print_mode": print_mode,
    "kaizen_agents.streaming_agent:StreamingAgent.run": wrapped("streaming_agent", "StreamingAgent"),
    "kaizen_agents.streaming_agent:StreamingAgent.run_async": wrapped(
        "streaming_agent", "StreamingAgent", is_async=True
    ),
    "kaizen_agents.streaming_agent:StreamingAgent.run_stream": streamed,
    "kaizen_agents.monitored_agent:MonitoredAgent.run": wrapped("monitored_agent", "MonitoredAgent", budget_usd=5.0),
    "kaizen_agents.monitored_agent:MonitoredAgent.run_async": wrapped(
        "monitored_agent", "MonitoredAgent", is_async=True, budget_usd=5.0
    ),
    "kaizen_agents.governed_agent:L3GovernedAgent.run": governed(),
    "kaizen_agents.governed_agent:L3GovernedAgent.run_async": governed(is_async=True),
    "kaizen_agents.wrapper_base:WrapperBase.run": wrapped("wrapper_base", "WrapperBase"),
    "kaizen_agents.wrapper_base:WrapperBase.run_async": wrapped("wrapper_base", "WrapperBase", is_async=True),
    "kaizen_agents.supervisor_wrapper:SupervisorWrapper.run "
    "kaizen_agents.patterns.llm_routing:LLMBased.select_best": supervised(),
    "kaizen_agents.patterns.llm_routing:LLMBased.score": scored,
    "kaizen_agents.llm:LLMClient.complete_structured": structured("kaizen_agents.llm", "LLMClient", "gpt-4o"),
    "kaizen_agents.orchestration.adapters:OpenAIStructuredAdapter.complete_structured": structured(
        ADAPTERS, "OpenAIStructuredAdapter", "gpt-4o"
    ),
    "kaizen_agents.orchestration.adapters:AnthropicStructuredAdapter.complete_structured": structured(
        ADAPTERS, "AnthropicStructuredAdapter", "claude-sonnet-4-5"
    ),
    "kaizen_agents.patterns._reasoning_bridge:score_capability_sync "
    "kaizen_agents.patterns._reasoning_bridge:score_capability_list_sync "
    "kaizen_agents.patterns._reasoning_bridge:rank_agents_by_capability_sync": compared,
    "kaizen_agents.supervisor_wrapper:SupervisorWrapper.run_async": supervised(is_async=True),
    "kaizen_agents.agents.specialized.simple_qa:SimpleQAAgent.run "
    "kaizen_agents.agents.specialized.simple_qa:ask": function(
        "simple_qa", "ask", "x", llm_provider="openai", model="gpt-4o"
    ),
    "kaizen_agents.agents.specialized.chain_of_thought:ChainOfThoughtAgent.run "
    "kaizen_agents.agents.specialized.chain_of_thought:solve": function(
        "chain_of_thought", "solve", "x", llm_provider="openai", model="gpt-4o"
    ),
    "kaizen_agents.agents.specialized.react:ReActAgent.run kaizen_agents.agents.specialized.react:solve": function(
        "react", "solve", "x", llm_provider="openai", model="gpt-4o"
    ),
    "kaizen_agents.agents.specialized.pev:PEVAgent.run "
    "kaizen_agents.agents.specialized.pev:verify_and_refine": function(
        "pev", "verify_and_refine", "x", max_iterations=1, llm_provider="openai", model="gpt-4o"
    ),
    "kaizen_agents.agents.specialized.planning:PlanningAgent.run "
    "kaizen_agents.agents.specialized.planning:plan_and_execute": function(
        "planning", "plan_and_execute", "x", llm_provider="openai", model="gpt-4o"
    ),
    "kaizen_agents.agents.specialized.tree_of_thoughts:ToTAgent.run "
    "kaizen_agents.agents.specialized.tree_of_thoughts:explore_paths": function(
        "tree_of_thoughts", "explore_paths", "x", num_paths=1, llm_provider="openai", model="gpt-4o"
    ),
    "kaizen_agents.agents.specialized.self_reflection:SelfReflectionAgent.run "
    "kaizen_agents.agents.specialized.self_reflection:reflect_and_improve": function(
        "self_reflection",
        "reflect_and_improve",
        "x",
        max_cycles=1,
        llm_provider="openai",
        model="gpt-4o",
    ),
    "kaizen_agents.agents.specialized.memory_agent:MemoryAgent.run "
    "kaizen_agents.agents.specialized.memory_agent:chat": function(
        "memory_agent", "chat", "x", llm_provider="openai", model="gpt-4o"
    ),
    "kaizen_agents.agents.specialized.memory_agent:MemoryAgent.chat": special(
        "memory_agent", "MemoryAgent", "chat", "x"
    ),
    "kaizen_agents.agents.specialized.code_generation:CodeGenerationAgent.run "
    "kaizen_agents.agents.specialized.code_generation:generate_code_quick": function(
        "code_generation", "generate_code_quick", "x"
    ),
    "kaizen_agents.agents.specialized.code_generation:CodeGenerationAgent.generate_code": special(
        "code_generation", "CodeGenerationAgent", "generate_code", "x"
    ),
    "kaizen_agents.agents.specialized.code_generation:CodeGenerationAgent.generate_tests": special(
        "code_generation", "CodeGenerationAgent", "generate_tests", "x"
    ),
    "kaizen_agents.agents.specialized.code_generation:CodeGenerationAgent.explain_code": special(
        "code_generation", "CodeGenerationAgent", "explain_code", "x"
    ),
    "kaizen_agents.agents.specialized.code_generation:CodeGenerationAgent.refactor_code": special(
        "code_generation", "CodeGenerationAgent", "refactor_code", "x", "y"
    ),
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An autonomous agent leaves its checkpoints where it runs; what compares asks a model that is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("DEFAULT_LLM_MODEL", "gpt-4o")


@pytest.mark.covers_each("method", "traced", "tokens", "cost", "error", "context")
@pytest.mark.parametrize("method", TRACED)
def test_a_method(method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    well_and_refused(TRACED[method], kaizen_offline, kaizen_telemetry)


@pytest.mark.kaizen_otel(stream_usage=True)
@pytest.mark.covers_each("methods", "tokens", "cost", "error", "context")
@pytest.mark.parametrize("methods", BELOW)
def test_methods_that_hand_on(methods: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    well_and_refused(BELOW[methods], kaizen_offline, kaizen_telemetry, **JUDGED)


@pytest.mark.covers_each("method", "traced", "tokens", "error", "context")
@pytest.mark.parametrize("method", UNPRICED)
def test_a_method_whose_price_nobody_knows(
    method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    well_and_refused(UNPRICED[method], kaizen_offline, kaizen_telemetry)


@pytest.mark.covers("kaizen_agents.agents.specialized.resilient:query_with_fallback", "error", "context")
def test_a_function_whose_agent_asks_no_model(kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    scenes.play_under_caller(kaizen_telemetry, fallback_without_a_model)
    assert kaizen_telemetry.calls == []
