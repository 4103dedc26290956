"""Slots of kaizen_agents' runtime adapters, and of the agent that would run by them: what they ask and answer."""

from __future__ import annotations

import copy
import functools
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.hostile.stage import Stage

SLOTS = Slots()
ADAPTERS = "kaizen_agents.runtime_adapters"
CODEX = f"{ADAPTERS}.openai_codex:OpenAICodexAdapter"
GEMINI = f"{ADAPTERS}.gemini_cli:GeminiCLIAdapter"
CLAUDE = f"{ADAPTERS}.claude_code:ClaudeCodeAdapter"
API_AGENT = "kaizen_agents.api.agent:Agent"
LOCAL = f"{ADAPTERS}.kaizen_local:LocalKaizenAdapter"
URL = "http://localhost:9"


@functools.cache
def _made(module: str, name: str, **given: Any) -> Any:
    made = getattr(__import__(f"{ADAPTERS}.{module}", fromlist=[name]), name)(**given)
    made._initialized = True
    return made


def _task() -> Any:
    return SimpleNamespace(task="x", session_id="s1", tools=[])


def _asked(answer: Callable[[], Any]) -> Any:
    async def create(**_: Any) -> Any:
        return answer()

    return create


def _events(*answers: Callable[[], Any]) -> Any:
    async def events() -> AsyncIterator[Any]:
        for answer in answers:
            yield answer()

    return _asked(events)


def _codex(create: Any) -> Any:
    adapter = copy.copy(_made("openai_codex", "OpenAICodexAdapter", model="gpt-4o"))
    adapter._client = SimpleNamespace(base_url=URL, responses=SimpleNamespace(create=create))
    return adapter


def _gemini(answer: Callable[[], Any], create: Any = None) -> Any:
    adapter = copy.copy(_made("gemini_cli", "GeminiCLIAdapter", model="gemini-2.5-flash"))
    models = SimpleNamespace(generate_content=lambda **_: answer())
    aio = SimpleNamespace(models=SimpleNamespace(generate_content_stream=create))
    adapter._client = SimpleNamespace(models=models, aio=aio)
    adapter._types = SimpleNamespace(GenerateContentConfig=lambda **_: None)
    return adapter


def _claude(answer: Callable[[], Any]) -> Any:
    adapter = copy.copy(_made("claude_code", "ClaudeCodeAdapter"))

    async def program(*_: Any, **__: Any) -> Any:
        return answer(), "", 0

    adapter._run_claude_code = program
    return adapter


def _local(answer: Callable[[], Any]) -> Any:
    adapter = copy.copy(_made("kaizen_local", "LocalKaizenAdapter"))
    adapter._llm_provider = SimpleNamespace(chat_async=_asked(answer))
    return adapter


async def _read(texts: Any) -> list[Any]:
    return [text async for text in texts]


# -- Codex --------------------------------------------------------------------------------------------------------


@SLOTS.add(f"{CODEX}.execute")
def codex_context(stage: Stage) -> Any:
    return stage.run(_codex(_asked(lambda: SimpleNamespace(output=[]))).execute(stage.value))


@SLOTS.add(f"{CODEX}.execute")
def codex_answer(stage: Stage) -> Any:
    return stage.run(_codex(_asked(stage.give)).execute(_task())).status


@SLOTS.add(f"{CODEX}.execute")
def codex_answer_fields(stage: Stage) -> Any:
    def answer() -> Any:
        item = SimpleNamespace(type="function_call", call_id=stage.give(), name=stage.value, arguments=stage.value)
        usage = SimpleNamespace(input_tokens=stage.value, output_tokens=stage.value, input_tokens_details=stage.value)
        said = SimpleNamespace(type="message", text="", content=[SimpleNamespace(text=stage.value)])
        return SimpleNamespace(
            id=stage.value, model=stage.value, status="failed", error=stage.value, usage=usage, output=[item, said]
        )

    return stage.run(_codex(_asked(answer)).execute(_task())).status


@SLOTS.add(f"{CODEX}.execute", takes="error")
def codex_raises(stage: Stage) -> Any:
    return stage.run(_codex(_asked(stage.throw)).execute(_task()))


@SLOTS.add(f"{CODEX}.stream")
def codex_event(stage: Stage) -> Any:
    return stage.run(_read(_codex(_events(stage.give)).stream(_task())))


@SLOTS.add(f"{CODEX}.stream")
def codex_event_fields(stage: Stage) -> Any:
    def event(kind: str) -> Callable[[], Any]:
        return lambda: SimpleNamespace(type=kind, delta=stage.give(), response=stage.value, code=stage.value)

    events = (event(kind) for kind in ("response.output_text.delta", "response.completed", "error"))
    return stage.run(_read(_codex(_events(*events)).stream(_task())))


@SLOTS.add(f"{CODEX}.stream", takes="error")
def codex_stream_raises(stage: Stage) -> Any:
    return stage.run(_read(_codex(_events(stage.throw)).stream(_task())))


# -- Gemini -------------------------------------------------------------------------------------------------------


@SLOTS.add(f"{GEMINI}.execute")
def gemini_answer(stage: Stage) -> Any:
    return stage.run(_gemini(stage.give).execute(_task())).status


@SLOTS.add(f"{GEMINI}.execute", takes="error", without=("stop_iteration",))  # a future refuses it
def gemini_raises(stage: Stage) -> Any:
    return stage.run(_gemini(stage.throw).execute(_task()))


@SLOTS.add(f"{GEMINI}.stream")
def gemini_chunk(stage: Stage) -> Any:
    def chunk() -> Any:
        content = SimpleNamespace(parts=[SimpleNamespace(text=stage.give())])
        return SimpleNamespace(text="one", candidates=[SimpleNamespace(content=content, finish_reason=stage.value)])

    return stage.run(_read(_gemini(dict, _events(stage.give, chunk)).stream(_task())))


# -- Claude Code --------------------------------------------------------------------------------------------------


@SLOTS.add(f"{CLAUDE}.execute")
def claude_output(stage: Stage) -> Any:
    return stage.run(_claude(stage.give).execute(_task()))


@SLOTS.add(f"{CLAUDE}.execute", takes="error")
def claude_raises(stage: Stage) -> Any:
    return stage.run(_claude(stage.throw).execute(_task()))


@SLOTS.add(f"{CLAUDE}.stream")
def claude_context(stage: Stage) -> Any:
    return stage.run(_read(_claude(dict).stream(stage.value)))


# -- the local loop -----------------------------------------------------------------------------------------------


@SLOTS.add(f"{LOCAL}.execute")
def local_context(stage: Stage) -> Any:
    return stage.run(_local(lambda: {"content": "a"}).execute(stage.value))


@SLOTS.add(f"{LOCAL}._think_phase")
def local_answer(stage: Stage) -> Any:
    return stage.run(_local(stage.give).execute(_task()))


@SLOTS.add(f"{LOCAL}._think_phase")
def local_answer_fields(stage: Stage) -> Any:
    def answer() -> Any:
        return {"content": stage.give(), "id": stage.value, "model": stage.value, "finish_reason": stage.value}

    return stage.run(_local(answer).execute(_task())).status


@SLOTS.add(f"{LOCAL}._think_phase", takes="error")
def local_raises(stage: Stage) -> Any:
    return stage.run(_local(stage.throw).execute(_task()))


@SLOTS.add(f"{LOCAL}._create_plan")
def local_plan(stage: Stage) -> Any:
    from kaizen_agents.runtime_adapters.types import ExecutionState

    return stage.run(_local(stage.give)._create_plan(ExecutionState(task="x", session_id="s1")))


@SLOTS.add(f"{LOCAL}.stream")
def local_stream_context(stage: Stage) -> Any:
    return stage.run(_read(_local(lambda: {"content": "a"}).stream(stage.value)))


# -- the deprecated agent that would run by them ------------------------------------------------------------------


@SLOTS.add(f"{API_AGENT}.run_sync")
def api_agent_task(stage: Stage) -> Any:
    """It cannot run anything in 0.13 (Kaizen refuses its arguments); that must stay as it is."""
    return type(_api_agent().run_sync(stage.value)).__name__


def _api_agent() -> Any:
    from kaizen_agents.api.agent import Agent

    return Agent(model="gpt-4o")


@SLOTS.add(f"{API_AGENT}.run")
def api_agent_run(stage: Stage) -> Any:
    agent = _api_agent()
    agent._session_id = agent._system_prompt = stage.value
    return stage.run(agent.run(stage.value)).text


@SLOTS.add(f"{API_AGENT}.run")
def api_agent_result(stage: Stage) -> Any:
    agent = _api_agent()

    async def answer(*_: Any) -> Any:
        from kaizen_agents.api.result import AgentResult

        result = AgentResult.success(text=stage.give())
        result.error = result.error_type = stage.value
        return result

    agent._runtime, agent._execute_single = object(), answer
    return type(stage.run(agent.run("x"))).__name__


@SLOTS.add(f"{API_AGENT}.run", takes="error")
def api_agent_raises(stage: Stage) -> Any:
    agent = _api_agent()
    agent._build_execution_context = lambda *_args, **_given: stage.throw()
    return type(stage.run(agent.run("x"))).__name__
