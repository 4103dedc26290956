"""What `docs/coverage.md` says of kaizen_agents: each method run well, and with a provider that refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kaizen_otel.surfaces.test_covered_kaizen import goes_well, is_refused
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
]

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


async def print_runner() -> None:
    from kaizen_agents.delegate.config.loader import KzConfig
    from kaizen_agents.delegate.print_mode import PrintRunner

    from tests.kaizen_otel.surfaces import delegates

    await PrintRunner(KzConfig(model="gpt-4o"), delegates.tools()).run("hello")


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
    def run() -> Any:
        from kailash.trust.envelope import ConstraintEnvelope

        return wrapped("governed_agent", "L3GovernedAgent", is_async=is_async, envelope=ConstraintEnvelope())()

    return run


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
    "kaizen_agents.delegate.print_mode:PrintRunner.run": print_runner,
    "kaizen_agents.streaming_agent:StreamingAgent.run": wrapped("streaming_agent", "StreamingAgent"),
    "kaizen_agents.streaming_agent:StreamingAgent.run_async": wrapped(
        "streaming_agent", "StreamingAgent", is_async=True
    ),
    "kaizen_agents.monitored_agent:MonitoredAgent.run": wrapped("monitored_agent", "MonitoredAgent", budget_usd=5.0),
    "kaizen_agents.monitored_agent:MonitoredAgent.run_async": wrapped(
        "monitored_agent", "MonitoredAgent", is_async=True, budget_usd=5.0
    ),
    "kaizen_agents.governed_agent:L3GovernedAgent.run": governed(),
    "kaizen_agents.wrapper_base:WrapperBase.run": wrapped("wrapper_base", "WrapperBase"),
    "kaizen_agents.wrapper_base:WrapperBase.run_async": wrapped("wrapper_base", "WrapperBase", is_async=True),
    "kaizen_agents.agents.specialized.simple_qa:SimpleQAAgent.run": special("simple_qa", "SimpleQAAgent", "run", "x"),
    "kaizen_agents.agents.specialized.chain_of_thought:ChainOfThoughtAgent.run": special(
        "chain_of_thought", "ChainOfThoughtAgent", "run", "x"
    ),
    "kaizen_agents.agents.specialized.code_generation:CodeGenerationAgent.run": special(
        "code_generation", "CodeGenerationAgent", "run", "x"
    ),
    "kaizen_agents.agents.specialized.memory_agent:MemoryAgent.run": special("memory_agent", "MemoryAgent", "run", "x"),
    "kaizen_agents.agents.specialized.memory_agent:MemoryAgent.chat": special(
        "memory_agent", "MemoryAgent", "chat", "x"
    ),
    "kaizen_agents.agents.specialized.self_reflection:SelfReflectionAgent.run": special(
        "self_reflection", "SelfReflectionAgent", "run", "x"
    ),
    "kaizen_agents.agents.specialized.react:ReActAgent.run": special("react", "ReActAgent", "run", "x"),
    "kaizen_agents.agents.specialized.pev:PEVAgent.run": special("pev", "PEVAgent", "run", "x"),
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An autonomous agent leaves its checkpoints where it runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.mark.covers_each("method", "traced", "tokens", "cost", "context")
@pytest.mark.parametrize("method", TRACED)
def test_a_method_that_goes_well(method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    goes_well(TRACED[method], kaizen_offline, kaizen_telemetry)


@pytest.mark.covers_each("method", "error")
@pytest.mark.parametrize("method", TRACED)
def test_a_method_whose_provider_refuses(method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    is_refused(TRACED[method], kaizen_offline, kaizen_telemetry)


@pytest.mark.kaizen_otel(stream_usage=True)
@pytest.mark.covers_each("method", "tokens", "cost", "context")
@pytest.mark.parametrize("method", BELOW)
def test_a_method_that_hands_on_and_goes_well(
    method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    goes_well(BELOW[method], kaizen_offline, kaizen_telemetry)


@pytest.mark.covers_each("method", "error")
@pytest.mark.parametrize("method", BELOW)
def test_a_method_that_hands_on_and_whose_provider_refuses(
    method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    is_refused(BELOW[method], kaizen_offline, kaizen_telemetry)


@pytest.mark.parametrize("method", UNPRICED)
@pytest.mark.covers_each("method", "traced", "tokens", "context")
def test_a_method_whose_price_nobody_knows(
    method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    goes_well(UNPRICED[method], kaizen_offline, kaizen_telemetry)


@pytest.mark.parametrize("method", UNPRICED)
@pytest.mark.covers_each("method", "error")
def test_a_method_whose_price_nobody_knows_and_whose_provider_refuses(
    method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    is_refused(UNPRICED[method], kaizen_offline, kaizen_telemetry)
