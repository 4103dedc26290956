"""kaizen_agents' Delegate: a run is one execution, with its true usage, and a tree of its model calls and tools."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, ReplyToolCall, ReplyUsage
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

# kaizen_agents closes none of its SDK clients: their connections go with them, and asyncio says so, with us or without.
pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),  # google-genai 3.4
]

PROVIDERS = ["openai", "anthropic", "google", "ollama"]
USAGE = ReplyUsage(input_tokens=100, output_tokens=20)


def ask(tool: str, usage: ReplyUsage = USAGE) -> Reply:
    return Reply.call(tool, {"city": "Oslo"}, usage=usage)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_run_with_a_tool_is_one_execution_of_two_chats_and_a_tool(
    provider: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script([ask("weather"), Reply(text="It rains.", usage=USAGE)])
    events = delegates.events_of(delegates.delegate(provider, tools=delegates.tools()))

    assert [type(event).__name__ for event in events][-1] == "TurnComplete"
    assert events[-1].text == "It rains."
    model = delegates.MODELS[provider]
    assert kaizen_telemetry.tree() == (f"invoke_agent Delegate\n  chat {model}\n  execute_tool weather\n  chat {model}")
    (execution,) = kaizen_telemetry.executions
    assert (execution.tokens_input, execution.tokens_output) == (200, 40)
    assert (execution.model_calls, execution.tool_calls, execution.status) == (2, 1, "success")
    assert len(kaizen_offline.requests) == 2
    tool = kaizen_telemetry.span("execute_tool")
    assert (tool["gen_ai.tool.type"], tool["gen_ai.agent.name"], tool.status) == ("function", "Delegate", "UNSET")


def test_a_second_run_counts_its_own_tokens_though_kaizens_sums_go_on(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script([Reply(text="one", usage=USAGE), Reply(text="two", usage=USAGE)])
    runner = delegates.delegate()

    async def twice() -> Any:
        await delegates.read(runner.run("hello"))
        return (await delegates.read(runner.run("hello again")))[-1]

    last = asyncio.run(twice())

    assert last.usage["prompt_tokens"] == 200  # Kaizen's sum of the session
    assert [one.tokens_input for one in kaizen_telemetry.executions] == [100, 100]


def test_run_sync_is_one_execution_too(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script([Reply(text="It rains.")])
    assert delegates.delegate().run_sync("How is the weather?") == "It rains."

    assert kaizen_telemetry.tree() == "invoke_agent Delegate\n  chat gpt-4o"


@pytest.mark.parametrize(
    ("tool", "error_type"),
    [
        ("raises", "LookupError"),
        ("refused", "kaizen.llm.errors.ProviderError"),
        ("says_so", "tool_error"),
        ("nowhere", "KeyError"),
    ],
)
@pytest.mark.parametrize("spare", [0, 60], ids=["registry", "hydrator"])
def test_a_tool_that_fails_is_an_error_though_the_model_gets_json(
    tool: str, error_type: str, spare: int, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script([ask(tool), Reply(text="No idea.")])
    runner = delegates.delegate(tools=delegates.tools(spare))
    assert (runner.loop.hydrator is not None) is bool(spare)
    delegates.events_of(runner)

    assert "error" in runner.loop.conversation.messages[-2]["content"]
    if spare and tool == "nowhere":
        assert kaizen_telemetry.spans_named("execute_tool") == []  # the loop finds no function to call
        return
    span = kaizen_telemetry.span(f"execute_tool {tool}")
    assert (span.status, span["error.type"]) == ("ERROR", error_type)
    assert span.attributes.get("http.response.status_code") == (403 if tool == "refused" else None)
    assert kaizen_telemetry.executions[0].status == "success"


def test_tools_that_run_side_by_side_are_siblings(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import delegates

    asked = (ReplyToolCall("weather", {"city": "Oslo"}), ReplyToolCall("weather", {"city": "Rome"}))
    kaizen_offline.script([Reply(text="", tool_calls=asked), Reply(text="Rain.")])
    delegates.events_of(delegates.delegate(tools=delegates.tools()))

    agent = kaizen_telemetry.span("invoke_agent")
    assert [tool.parent_id for tool in kaizen_telemetry.spans_named("execute_tool")] == [agent.span_id] * 2
    assert kaizen_telemetry.executions[0].tool_calls == 2


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google"])
def test_a_provider_that_refuses_fails_the_run_by_its_name(
    provider: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script(lambda _: Reply.unauthorized())
    (event,) = delegates.events_of(delegates.delegate(provider))

    assert type(event).__name__ == "ErrorEvent"
    agent, chat = kaizen_telemetry.span("invoke_agent"), kaizen_telemetry.span("chat")
    assert (agent.status, chat.status) == ("ERROR", "ERROR")
    assert agent["error.type"] == chat["error.type"]
    assert chat["error.type"].endswith(event.details["exception_type"])
    if provider != "google":
        assert chat["http.response.status_code"] == 401
    assert kaizen_telemetry.executions[0].status == "error"


def test_an_empty_prompt_and_an_empty_budget_are_errors_without_a_call(kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import delegates

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-nothing")
        delegates.events_of(delegates.delegate(), "")
        delegates.events_of(delegates.delegate(budget_usd=0.0))

    first, second = kaizen_telemetry.spans_named("invoke_agent")
    assert (first["error.type"], second["error.type"]) == ("ErrorEvent", "BudgetExhausted")
    assert [one.model_calls for one in kaizen_telemetry.executions] == [0, 0]


def test_a_run_that_its_reader_leaves_is_cancelled(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script([Reply(text="one two three four")])

    async def leave() -> None:
        events = delegates.delegate().run("hello")
        await anext(events)
        await events.aclose()

    asyncio.run(leave())

    assert [one.status for one in kaizen_telemetry.executions] == ["cancelled"]
    assert len(kaizen_telemetry.calls) == 1
    assert kaizen_telemetry.span("invoke_agent").status == "UNSET"


def test_runs_side_by_side_keep_their_calls_apart(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script(lambda _: Reply(text="one two three"))

    async def both() -> None:
        runners = [delegates.delegate() for _ in range(4)]
        await asyncio.gather(*(delegates.read(runner.run("hello")) for runner in runners))

    asyncio.run(both())

    assert kaizen_telemetry.tree() == "\n".join(["invoke_agent Delegate\n  chat gpt-4o"] * 4)


def test_a_loop_run_by_itself_is_an_execution(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script([Reply(text="It rains.")])
    assert asyncio.run(delegates.delegate().loop.run_print("hello")) == "It rains."

    assert kaizen_telemetry.tree() == "invoke_agent AgentLoop\n  chat gpt-4o"


def test_the_wrappers_around_a_delegate_run_it_once_inside_a_loop_too(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script(lambda _: Reply(text="It rains."))

    async def call_the_blocking_one() -> Any:
        with kaizen_telemetry.tracer_provider.get_tracer("app").start_as_current_span("caller"):
            return delegates.delegate(budget_usd=5.0).wrapper_stack.run(prompt="hello")

    assert asyncio.run(call_the_blocking_one())["text"] == "It rains."

    assert kaizen_telemetry.tree() == "caller\n  invoke_agent AgentLoop\n    chat gpt-4o"


def test_a_bare_openai_client_is_watched_as_the_adapter_is(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen_agents.delegate.config.loader import KzConfig
    from kaizen_agents.delegate.loop import AgentLoop
    from openai import AsyncOpenAI

    from tests.kaizen_otel.surfaces import delegates

    usage = ReplyUsage(input_tokens=100, output_tokens=20, cache_read_tokens=30)
    kaizen_offline.script([Reply(text="It rains.", usage=usage)])
    loop = AgentLoop(KzConfig(model="gpt-4o"), delegates.tools(), client=AsyncOpenAI())
    assert asyncio.run(loop.run_print("hello")) == "It rains."

    chat = kaizen_telemetry.span("chat gpt-4o")
    assert (chat["gen_ai.provider.name"], chat["server.address"]) == ("openai", "localhost")
    assert chat["gen_ai.usage.cache_read.input_tokens"] == 30
    assert chat["gen_ai.response.id"] == "chatcmpl-1"


def test_an_adapter_of_the_applications_own_is_watched_at_the_loop(kaizen_telemetry: Captured) -> None:
    from kaizen_agents import Delegate
    from kaizen_agents.delegate.adapters.protocol import StreamEvent

    from tests.kaizen_otel.surfaces import delegates

    class House:
        async def stream_chat(self, messages: Any, tools: Any = None, **_: Any) -> Any:
            del messages, tools
            yield StreamEvent("text_delta", content="hi", delta_text="hi", model="house-1")
            yield StreamEvent(
                "done",
                content="hi",
                model="house-1",
                finish_reason="stop",
                usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
            )

    delegates.events_of(Delegate(model="house-1", adapter=House()))

    assert kaizen_telemetry.tree() == "invoke_agent Delegate\n  chat house-1"
    (execution,) = kaizen_telemetry.executions
    assert (execution.tokens_input, execution.tokens_output) == (7, 3)


def test_an_adapter_around_an_adapter_is_one_call(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen_agents import Delegate

    from tests.kaizen_otel.surfaces import delegates

    kaizen_offline.script([Reply(text="It rains.", usage=USAGE)])

    class Around:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def stream_chat(self, messages: Any, tools: Any = None, **given: Any) -> Any:
            async for event in self.inner.stream_chat(messages, tools, **given):
                yield event

    delegates.events_of(Delegate(model="gpt-4o", adapter=Around(delegates.adapter("openai"))))

    assert kaizen_telemetry.tree() == "invoke_agent Delegate\n  chat gpt-4o"
    assert kaizen_telemetry.executions[0].tokens_input == 100


def test_a_delegate_made_before_is_seen_and_left_as_it_was() -> None:
    from kaizen_agents import Delegate

    from kaizen_otel.demo.loopback import lift_loopback_guard
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import capture
    from tests.kaizen_otel.surfaces import delegates

    raw = inspect.getattr_static(Delegate, "run")
    with ModelServer() as server, lift_loopback_guard(server.url):
        server.script(lambda _: Reply(text="It rains."))
        runner = delegates.delegate()
        with capture() as captured:
            run = runner.run("hello")
            assert inspect.isasyncgen(run)
            assert inspect.isasyncgenfunction(runner.run)
            asyncio.run(delegates.read(run))
        delegates.events_of(runner)
        assert captured.tree() == "invoke_agent Delegate\n  chat gpt-4o"
    assert inspect.getattr_static(Delegate, "run") is raw
