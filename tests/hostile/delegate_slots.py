"""Slots of kaizen_agents' Delegate, its loop, its tools and its adapters."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.stage import Stage

SLOTS = Slots()
RUN = "kaizen_agents.delegate.delegate:Delegate.run"
BRIDGE = "kaizen_agents.delegate.delegate:_LoopAgent.run"
LOOP = "kaizen_agents.delegate.loop:AgentLoop"
REGISTRY = "kaizen_agents.delegate.loop:ToolRegistry.execute"
ADAPTERS = "kaizen_agents.delegate.adapters"
OPENAI = f"{ADAPTERS}.openai_adapter:OpenAIStreamAdapter.stream_chat"
ANTHROPIC = f"{ADAPTERS}.anthropic_adapter:AnthropicStreamAdapter.stream_chat"
GOOGLE = f"{ADAPTERS}.google_adapter:GoogleStreamAdapter.stream_chat"
OLLAMA = f"{ADAPTERS}.ollama_adapter:OllamaStreamAdapter.stream_chat"


HELLO = [{"role": "user", "content": "hello"}]


def _chat(stage: Stage, provider: str, chunk: Callable[[], Any], messages: Any = HELLO, **given: Any) -> Any:
    from tests.hostile import sdk_fakes

    return stage.run(sdk_fakes.read(sdk_fakes.adapter(provider, chunk).stream_chat(messages, **given)))


def _turn(stage: Stage, event: Callable[[], Any], *, prompt: Any = "hello", runner: str = "run") -> Any:
    from tests.hostile import sdk_fakes

    delegate = sdk_fakes.delegate(sdk_fakes.House(event))
    if runner == "run":
        return stage.run(sdk_fakes.read(delegate.run(prompt)))
    return stage.run(sdk_fakes.read(delegate.loop.run_turn(prompt)))


# -- adapters -----------------------------------------------------------------------------------------------------


@SLOTS.add(OPENAI)
def openai_chunk(stage: Stage) -> Any:
    return _chat(stage, "openai", stage.give)


@SLOTS.add(OPENAI)
def openai_chunk_fields(stage: Stage) -> Any:
    choice = SimpleNamespace(delta=SimpleNamespace(content="a", tool_calls=None), finish_reason=stage.value)
    usage = SimpleNamespace(
        prompt_tokens=stage.value,
        completion_tokens=stage.value,
        total_tokens=stage.value,
        prompt_tokens_details=stage.value,
        completion_tokens_details=SimpleNamespace(reasoning_tokens=stage.value),
    )
    chunk = SimpleNamespace(id=stage.value, model="gpt-4o", choices=[choice], usage=usage)
    return _chat(stage, "openai", lambda: (stage.give(), chunk)[1])


@SLOTS.add(OPENAI)
def openai_last_chunk_usage(stage: Stage) -> Any:
    return _chat(stage, "openai", lambda: SimpleNamespace(id="1", model="m", choices=[], usage=stage.give()))


@SLOTS.add(OPENAI)
def openai_adapter_messages(stage: Stage) -> Any:
    return _chat(stage, "openai", lambda: SimpleNamespace(choices=[], usage=None), stage.value, tools=stage.value)


@SLOTS.add(OPENAI)
def openai_adapter_arguments(stage: Stage) -> Any:
    chunk = SimpleNamespace(choices=[], usage=None)
    return _chat(stage, "openai", lambda: chunk, temperature=stage.value, max_tokens=stage.value, seed=stage.value)


@SLOTS.add(OPENAI, takes="error")
def openai_adapter_raises(stage: Stage) -> Any:
    return _chat(stage, "openai", stage.throw)


@SLOTS.add(ANTHROPIC)
def anthropic_event(stage: Stage) -> Any:
    return _chat(stage, "anthropic", stage.give)


@SLOTS.add(ANTHROPIC)
def anthropic_message_start(stage: Stage) -> Any:
    return _chat(stage, "anthropic", lambda: SimpleNamespace(type="message_start", message=stage.give()))


@SLOTS.add(ANTHROPIC)
def anthropic_message_delta(stage: Stage) -> Any:
    usage = SimpleNamespace(output_tokens=stage.value, input_tokens=stage.value, cache_read_input_tokens=stage.value)
    delta = SimpleNamespace(stop_reason="end_turn")
    event = SimpleNamespace(type="message_delta", delta=delta, usage=usage)
    return _chat(stage, "anthropic", lambda: (stage.give(), event)[1])


@SLOTS.add(ANTHROPIC, takes="error")
def anthropic_adapter_raises(stage: Stage) -> Any:
    return _chat(stage, "anthropic", stage.throw)


@SLOTS.add(GOOGLE)
def google_chunk(stage: Stage) -> Any:
    return _chat(stage, "google", stage.give)


@SLOTS.add(GOOGLE)
def google_chunk_fields(stage: Stage) -> Any:
    usage = SimpleNamespace(prompt_token_count=1, thoughts_token_count=stage.value)
    chunk = SimpleNamespace(response_id=stage.value, model_version=stage.value, usage_metadata=usage)
    return _chat(stage, "google", lambda: (stage.give(), chunk)[1])


@SLOTS.add(GOOGLE, takes="error")
def google_adapter_raises(stage: Stage) -> Any:
    return _chat(stage, "google", stage.throw)


@SLOTS.add(OLLAMA)
def ollama_adapter_messages(stage: Stage) -> Any:
    """Nobody listens there: the answer is a refused connection, whatever is asked."""
    return _chat(stage, "ollama", lambda: None, stage.value)


@SLOTS.add(OLLAMA, takes="error")
def ollama_adapter_raises(stage: Stage) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "kaizen_agents.delegate.adapters.ollama_adapter._convert_messages_for_ollama", lambda _: stage.throw()
        )
        return _chat(stage, "ollama", lambda: None)


# -- the Delegate and its loop ------------------------------------------------------------------------------------


@SLOTS.add(RUN)
def delegate_prompt(stage: Stage) -> Any:
    from tests.hostile import sdk_fakes

    return _turn(stage, sdk_fakes.done, prompt=stage.value)


@SLOTS.add(RUN)
def delegate_text(stage: Stage) -> Any:
    from tests.hostile import sdk_fakes

    return _turn(stage, lambda: sdk_fakes.done(stage.give(), event_type="text_delta"))


@SLOTS.add(RUN, takes="error")
def delegate_raises(stage: Stage) -> Any:
    return _turn(stage, stage.throw)


@SLOTS.add(f"{LOOP}.run_turn")
def loop_prompt(stage: Stage) -> Any:
    from tests.hostile import sdk_fakes

    return _turn(stage, sdk_fakes.done, prompt=stage.value, runner="loop")


@SLOTS.add(f"{LOOP}.run_turn", takes="error")
def loop_raises(stage: Stage) -> Any:
    return _turn(stage, stage.throw, runner="loop")


@SLOTS.add(f"{LOOP}._stream_completion")
def house_event(stage: Stage) -> Any:
    return _turn(stage, stage.give)


@SLOTS.add(f"{LOOP}._stream_completion")
def house_done(stage: Stage) -> Any:
    from tests.hostile import sdk_fakes

    return _turn(
        stage,
        lambda: sdk_fakes.done(stage.value, usage=stage.give(), model=stage.value, finish_reason=stage.value),
        runner="loop",
    )


@SLOTS.add(f"{LOOP}._stream_completion", takes="error")
def house_raises(stage: Stage) -> Any:
    return _turn(stage, stage.throw)


@SLOTS.add(BRIDGE)
def bridge_prompt(stage: Stage) -> Any:
    from tests.hostile import sdk_fakes

    delegate = sdk_fakes.delegate(sdk_fakes.House(sdk_fakes.done))
    return delegate.core_agent.run(prompt=stage.value)


# -- tools --------------------------------------------------------------------------------------------------------


def _with_tool(stage: Stage, executor: Any, *, spare: int = 0) -> Any:
    """A model asks for the tool, and has its answer."""
    from tests.hostile import sdk_fakes

    delegate = sdk_fakes.delegate(None, sdk_fakes.registry(executor, spare))
    call = sdk_fakes.asks_for("tool").tool_calls
    return stage.run(delegate.loop._execute_tool_calls(call)), delegate.loop.conversation.messages[-1]


@SLOTS.add(REGISTRY)
def delegate_tool_answer(stage: Stage) -> Any:
    async def executor() -> Any:
        return stage.give()

    return _with_tool(stage, executor)


@SLOTS.add(REGISTRY)
def delegate_tool_name(stage: Stage) -> Any:
    from tests.hostile import sdk_fakes

    return stage.run(sdk_fakes.registry(None).execute(stage.value, {}))


@SLOTS.add(REGISTRY)
def delegate_tool_arguments(stage: Stage) -> Any:
    from tests.hostile import sdk_fakes

    async def executor(**_: Any) -> str:
        return "fine"

    return stage.run(sdk_fakes.registry(executor).execute("tool", stage.value))


@SLOTS.add(REGISTRY, takes="error")
def delegate_tool_raises(stage: Stage) -> Any:
    async def executor() -> Any:
        return stage.throw()

    return _with_tool(stage, executor)


@SLOTS.add(f"{LOOP}._execute_tool_calls")
def hydrated_tool_answer(stage: Stage) -> Any:
    async def executor() -> Any:
        return stage.give()

    return _with_tool(stage, executor, spare=60)


@SLOTS.add(f"{LOOP}._execute_tool_calls")
def hydrated_tool_is_no_coroutine(stage: Stage) -> Any:
    return _with_tool(stage, stage.give, spare=60)


@SLOTS.add(f"{LOOP}._execute_tool_calls", takes="error")
def hydrated_tool_raises(stage: Stage) -> Any:
    async def executor() -> Any:
        return stage.throw()

    return _with_tool(stage, executor, spare=60)
