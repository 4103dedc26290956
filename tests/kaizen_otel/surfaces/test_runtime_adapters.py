"""kaizen_agents' runtime adapters: a task handed to Codex, Gemini, Claude Code or the local loop is one execution."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.demo.model_server import Reply, ReplyUsage, Rule
from kaizen_otel.patches.runtime_adapters import Closing
from tests.kaizen_otel.surfaces.trees import assert_one_trace
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

pytestmark = [
    needs("delegate"),
    pytest.mark.usefixtures("forgotten_clients"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings(
        "ignore:Inheritance class AiohttpClientSession:DeprecationWarning"
    ),  # as in test_delegate
]

USAGE = ReplyUsage(input_tokens=1_000, output_tokens=100, cache_read_tokens=400, reasoning_tokens=60)
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "the weather", "parameters": {"type": "object", "properties": {}}},
}


def codex(**given: Any) -> Any:
    from kaizen_agents.runtime_adapters.openai_codex import OpenAICodexAdapter

    return OpenAICodexAdapter(**{"model": "gpt-4o", "temperature": 0.2, "max_completion_tokens": 64, **given})


def gemini() -> Any:
    from kaizen_agents.runtime_adapters.gemini_cli import GeminiCLIAdapter

    return GeminiCLIAdapter(model="gemini-2.5-flash", temperature=0.2, max_output_tokens=64)


def claude(folder: Path) -> Any:
    from kaizen_agents.runtime_adapters.claude_code import ClaudeCodeAdapter

    return ClaudeCodeAdapter(working_directory=str(folder), model="claude-sonnet-4-5")


def local(*answers: dict[str, Any], **given: Any) -> Any:
    from kaizen_agents.runtime_adapters import LocalKaizenAdapter

    return LocalKaizenAdapter(llm_provider=Provider(answers), **given)


class Provider:
    """A provider of the application's own, as the local adapter asks one."""

    def __init__(self, answers: tuple[dict[str, Any], ...]) -> None:
        self._answers = list(answers)

    async def chat_async(self, **_: Any) -> dict[str, Any]:
        answer = self._answers.pop(0)
        return {"usage": {"prompt_tokens": 1_000, "completion_tokens": 100}, **answer}


class Refusing(Provider):
    """One that refuses."""

    async def chat_async(self, **_: Any) -> dict[str, Any]:
        raise PermissionError("no")


def task(text: str = "hello", **given: Any) -> Any:
    from kaizen.runtime.context import ExecutionContext

    return ExecutionContext(task=text, session_id="s1", **given)


def execute(captured: Captured, adapter: Any, **given: Any) -> Any:
    async def run() -> Any:
        return await adapter.execute(task(**given))

    with captured.tracer_provider.get_tracer("app").start_as_current_span("caller"):
        return asyncio.run(run())


def read(captured: Captured, adapter: Any) -> list[str]:
    async def run() -> list[str]:
        return [text async for text in adapter.stream(task())]

    with captured.tracer_provider.get_tracer("app").start_as_current_span("caller"):
        return asyncio.run(run())


VENDORS: dict[str, Callable[[], Any]] = {"OpenAICodexAdapter": codex, "GeminiCLIAdapter": gemini}
RUNS: dict[str, tuple[Callable[[], Any], Callable[[Captured, Any], Any]]] = {
    "kaizen_agents.runtime_adapters.openai_codex:OpenAICodexAdapter.execute": (codex, execute),
    "kaizen_agents.runtime_adapters.openai_codex:OpenAICodexAdapter.stream": (codex, read),
    "kaizen_agents.runtime_adapters.gemini_cli:GeminiCLIAdapter.execute": (gemini, execute),
    "kaizen_agents.runtime_adapters.gemini_cli:GeminiCLIAdapter.stream": (gemini, read),
}


@pytest.mark.parametrize("method", RUNS)
@pytest.mark.covers_each("method", "traced", "tokens", "cost", "context")
def test_a_run_is_one_execution_with_the_chat_that_the_vendor_was_asked(
    method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Reply(text="one two", usage=USAGE)])
    make, run = RUNS[method]
    adapter = make()
    run(kaizen_telemetry, adapter)

    name = type(adapter).__name__
    model = adapter.model
    assert kaizen_telemetry.tree() == f"caller\n  invoke_agent {name}\n    chat {model}"
    chat, agent = kaizen_telemetry.span("chat"), kaizen_telemetry.span("invoke_agent")
    assert (chat.kind, chat.status) == ("CLIENT", "UNSET")
    assert chat["gen_ai.provider.name"] == ("openai" if name == "OpenAICodexAdapter" else "gcp.gemini")
    assert chat["gen_ai.response.model"] == chat["gen_ai.request.model"] == model
    assert chat["gen_ai.response.id"] == "resp_1"
    assert chat["gen_ai.response.finish_reasons"] == ("stop",)
    assert (chat["gen_ai.request.temperature"], chat["gen_ai.request.max_tokens"]) == (0.2, 64)
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (1_000, 100)
    assert chat["gen_ai.usage.cache_read.input_tokens"] == 400
    assert chat["gen_ai.usage.reasoning.output_tokens"] == 60
    assert chat["server.address"] == "localhost"
    assert ("gen_ai.response.time_to_first_chunk" in chat.attributes) == (run is read)
    assert agent["session.id"] == "s1"
    (execution,) = kaizen_telemetry.executions
    assert (execution.agent_name, execution.model, execution.tokens_input) == (name, model, 1_000)
    assert execution.cost_usd == pytest.approx(chat["kaizen.usage.cost.amount"])
    assert len(kaizen_offline.requests) == len(kaizen_telemetry.calls) == 1


@pytest.mark.parametrize("method", RUNS)
@pytest.mark.covers_each("method", "error")
def test_a_refused_request_is_an_error_whether_the_adapter_returns_or_raises_it(
    method: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Rule(replies=Reply(status=400))])
    make, run = RUNS[method]
    if run is read:
        with pytest.raises(Exception, match="400"):
            run(kaizen_telemetry, make())
    else:
        assert run(kaizen_telemetry, make()).status.value == "error"

    for span in (kaizen_telemetry.span("chat"), kaizen_telemetry.span("invoke_agent")):
        assert (span.status, span["http.response.status_code"]) == ("ERROR", 400)
        assert span["error.type"] in {"openai.BadRequestError", "google.genai.errors.ClientError"}
    assert kaizen_telemetry.executions[0].status == "error"


@pytest.mark.parametrize("adapter", VENDORS)
def test_a_stream_that_its_reader_leaves_is_cancelled_and_its_call_closed(
    adapter: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Reply.call("weather", finish_reason="stop") if adapter == "OpenAICodexAdapter" else Reply()])

    async def read_one() -> None:
        async with aclosing(VENDORS[adapter]().stream(task())) as texts:
            await anext(texts, None)

    asyncio.run(read_one())

    (call,) = kaizen_telemetry.calls
    (execution,) = kaizen_telemetry.executions
    if adapter == "OpenAICodexAdapter":  # it passes no text on: its reader has waited for the end (0.13)
        assert (execution.status, call.usage.output_tokens) == ("success", 20)
    else:
        assert (execution.status, call.price.missing) == ("cancelled", "usage")
        assert kaizen_telemetry.span("chat")["kaizen.call.outcome"] == "closed"


@pytest.mark.kaizen_otel(content="span")
@pytest.mark.parametrize("run", [execute, read])
def test_tools_are_offered_and_asked_for(
    run: Callable[..., Any], kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Reply.call("weather", {"city": "Oslo"}, usage=USAGE)])
    run(kaizen_telemetry, codex(custom_tools=[WEATHER]))

    chat: Any = kaizen_telemetry.span("chat")
    assert chat["gen_ai.response.finish_reasons"] == ("tool_calls",)
    offered = json.loads(chat["gen_ai.tool.definitions"])
    assert [(tool["type"], tool["name"]) for tool in offered] == [
        ("code_interpreter", "code_interpreter"),
        ("function", "weather"),
    ]
    assert json.loads(chat["gen_ai.input.messages"])[0]["parts"][0]["content"] == "hello"
    (said,) = json.loads(chat["gen_ai.output.messages"])
    assert {"type": "tool_call", "id": "call_1_1", "name": "weather", "arguments": {"city": "Oslo"}} in said["parts"]


@pytest.mark.kaizen_otel(content="span")
@pytest.mark.parametrize("adapter", VENDORS)
@pytest.mark.parametrize("run", [execute, read])
def test_what_was_said_is_recorded_where_that_is_asked_for(
    run: Callable[..., Any], adapter: str, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Reply(text="one two three")])
    run(kaizen_telemetry, VENDORS[adapter]())
    chat: Any = kaizen_telemetry.span("chat")
    assert json.loads(chat["gen_ai.input.messages"])[0]["parts"][0]["content"] == "hello"
    assert "one two three" in chat["gen_ai.output.messages"]


@pytest.mark.parametrize("run", [execute, read])
def test_a_response_that_is_cut_off_names_why(
    run: Callable[..., Any], kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Reply(text="one", finish_reason="max_output_tokens", usage=USAGE)])
    run(kaizen_telemetry, codex())
    chat = kaizen_telemetry.span("chat")
    assert (chat["gen_ai.response.finish_reasons"], chat.status) == (("length",), "UNSET")
    assert chat["gen_ai.usage.output_tokens"] == 100


@pytest.mark.parametrize("run", [execute, read])
def test_a_response_that_the_provider_gave_up_on_is_an_error_though_the_adapter_calls_it_complete(
    run: Callable[..., Any], kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script([Reply(finish_reason="failed", usage=USAGE)])
    result = run(kaizen_telemetry, codex())

    chat, agent = kaizen_telemetry.span("chat"), kaizen_telemetry.span("invoke_agent")
    assert (chat.status, chat["error.type"], chat["gen_ai.usage.input_tokens"]) == ("ERROR", "server_error", 1_000)
    if run is execute:
        assert result.status.value == "complete"
    assert (agent.status, agent["error.type"]) == ("ERROR", "server_error")


def test_a_request_that_is_called_off_is_cancelled(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    kaizen_offline.script([Reply(delay_s=10)])

    async def run() -> None:
        running = asyncio.create_task(codex().execute(task()))
        async with asyncio.timeout(10):
            while not kaizen_offline.requests:  # noqa: ASYNC110 - the server's thread has no event of the loop's
                await asyncio.sleep(0.001)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(run())
    assert kaizen_telemetry.span("chat")["kaizen.call.outcome"] == "cancelled"
    assert kaizen_telemetry.executions[0].status == "cancelled"


# -- Claude Code --------------------------------------------------------------------------------------------------


def as_program(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a program called `claude` in the path: the vendor's own cannot be had without its network."""
    program = folder / "claude"
    program.write_text(f"#!{sys.executable}\nimport sys\n{body}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


CLAUDE: dict[str, Callable[..., Any]] = {
    "kaizen_agents.runtime_adapters.claude_code:ClaudeCodeAdapter.execute": execute,
    "kaizen_agents.runtime_adapters.claude_code:ClaudeCodeAdapter.stream": read,
}


@pytest.mark.parametrize("method", CLAUDE)
@pytest.mark.covers_each("method", "traced", "context")
def test_claude_code_tells_no_usage_and_the_run_says_so(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kaizen_telemetry: Captured
) -> None:
    as_program(tmp_path, monkeypatch, "print('done')")
    CLAUDE[method](kaizen_telemetry, claude(tmp_path))

    assert kaizen_telemetry.tree() == "caller\n  invoke_agent ClaudeCodeAdapter"
    agent = kaizen_telemetry.span("invoke_agent")
    assert (agent["gen_ai.request.model"], agent["gen_ai.provider.name"]) == ("claude-sonnet-4-5", "anthropic")
    assert agent["kaizen.usage.missing.reason"] == "usage"
    assert (agent["kaizen.execution.cost.complete"], agent["kaizen.execution.model_calls"]) == (False, 0)
    assert agent.status == "UNSET"
    assert kaizen_otel.stats()["missing"] == {("claude-sonnet-4-5", "usage"): 1}
    assert kaizen_telemetry.executions[0].model == "claude-sonnet-4-5"


@pytest.mark.covers("kaizen_agents.runtime_adapters.claude_code:ClaudeCodeAdapter.execute", "error")
def test_claude_code_that_refuses_an_option_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kaizen_telemetry: Captured
) -> None:
    as_program(tmp_path, monkeypatch, "sys.exit(\"error: unknown option '--max-tokens'\")")  # what 2.1 answers
    result = execute(kaizen_telemetry, claude(tmp_path))

    assert result.status.value == "error"
    agent = kaizen_telemetry.span("invoke_agent")
    assert (agent.status, agent["error.type"]) == ("ERROR", "ClaudeCodeError")


@pytest.mark.covers("kaizen_agents.runtime_adapters.claude_code:ClaudeCodeAdapter.stream", "error")
def test_a_claude_code_that_is_not_there_is_an_error_of_its_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kaizen_telemetry: Captured
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        read(kaizen_telemetry, claude(tmp_path))
    assert kaizen_telemetry.span("invoke_agent")["error.type"] == "FileNotFoundError"


# -- the local loop -----------------------------------------------------------------------------------------------


@pytest.mark.covers(
    "kaizen_agents.runtime_adapters.kaizen_local:LocalKaizenAdapter.execute", "traced", "tokens", "cost", "context"
)
def test_the_local_loop_asks_the_applications_own_provider_in_one_execution(kaizen_telemetry: Captured) -> None:
    from kaizen_agents.runtime_adapters import AutonomousConfig, PlanningStrategy

    config = AutonomousConfig(model="gpt-4o", planning_strategy=PlanningStrategy.PEV)
    plan, answer = {"content": "1. look\n2. answer"}, {"content": "Paris.", "finish_reason": "stop"}
    result = execute(kaizen_telemetry, local(plan, answer, config=config))

    assert result.output == "Paris."
    assert kaizen_telemetry.tree() == "caller\n  invoke_agent LocalKaizenAdapter\n    chat gpt-4o\n    chat gpt-4o"
    (execution,) = kaizen_telemetry.executions
    assert (execution.model_calls, execution.tokens_input, execution.tokens_output) == (2, 2_000, 200)
    assert execution.cost_usd == pytest.approx(0.007)


@pytest.mark.covers(
    "kaizen_agents.runtime_adapters.kaizen_local:LocalKaizenAdapter.stream", "traced", "tokens", "cost", "context"
)
@pytest.mark.filterwarnings("ignore:coroutine .*progress_callback:RuntimeWarning")  # nobody awaits it: no texts (0.13)
def test_a_stream_of_the_local_loop_is_one_execution_though_it_runs_in_a_task(kaizen_telemetry: Captured) -> None:
    read(kaizen_telemetry, local({"content": "Paris."}))
    assert_one_trace(kaizen_telemetry)
    assert [one.agent_name for one in kaizen_telemetry.executions] == ["LocalKaizenAdapter"]
    assert len(kaizen_telemetry.calls) == 1


LOCAL: dict[str, Callable[..., Any]] = {
    "kaizen_agents.runtime_adapters.kaizen_local:LocalKaizenAdapter.execute": execute,
    "kaizen_agents.runtime_adapters.kaizen_local:LocalKaizenAdapter.stream": read,
}


@pytest.mark.filterwarnings("ignore:coroutine .*progress_callback:RuntimeWarning")  # as above
@pytest.mark.parametrize("method", LOCAL)
@pytest.mark.covers_each("method", "error")
def test_a_provider_that_refuses_the_local_loop_is_the_cause_of_its_error(
    method: str, kaizen_telemetry: Captured
) -> None:
    from kaizen_agents.runtime_adapters import LocalKaizenAdapter

    LOCAL[method](kaizen_telemetry, LocalKaizenAdapter(llm_provider=Refusing(())))

    agent = kaizen_telemetry.span("invoke_agent")
    assert (agent.status, agent["error.type"]) == ("ERROR", "PermissionError")


def test_an_interrupted_run_of_the_local_loop_is_cancelled(kaizen_telemetry: Captured) -> None:
    adapter = local({"content": "", "tool_calls": [{"id": "1", "name": "look", "arguments": {}}]}, {"content": "x"})
    ask = adapter._llm_provider.chat_async

    async def interrupted(**given: Any) -> Any:
        adapter._current_state.interrupt()
        return await ask(**given)

    adapter._llm_provider.chat_async = interrupted
    assert execute(kaizen_telemetry, adapter).status.value == "interrupted"
    assert kaizen_telemetry.executions[0].status == "cancelled"


def test_a_stream_that_cannot_be_closed_is_no_matter_of_the_readers() -> None:
    closed: list[str] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        async def aclose(self) -> None:
            closed.append(self.name)
            if self.name != "texts":
                raise ConnectionError(self.name)

        asend = athrow = None

    asyncio.run(Closing(Stream("texts"), [Stream("one"), Stream("two")]).aclose())
    assert closed == ["texts", "one", "two"]
