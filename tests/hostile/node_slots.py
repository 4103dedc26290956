"""Slots of nodes that run by themselves, and of the bridges from sync code to coroutines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from tests.hostile.stage import Stage

SLOTS = Slots()
NODE = "kailash.nodes.base:Node.execute"
ASYNC_NODE = "kailash.nodes.base_async:AsyncNode.execute_async"
IN_THREAD = "kailash.nodes.base_async:AsyncNode._execute_in_thread"
IN_SYNC = "kaizen.nodes.ai.llm_agent:LLMAgentNode._run_async_in_sync_context"
EMBED_COROUTINE = "kaizen.nodes.ai.embedding_generator:EmbeddingGeneratorNode._run_embed_coro"
ATTEMPTS = "kailash.runtime.local:LocalRuntime.execute_node_with_enterprise_features"
LLM_NODE = "kaizen.llm.client:LlmClient.complete"


@SLOTS.add(NODE)
def node_output(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.scripted(stage, key="result")
    return fakes.OddNode().execute()


@SLOTS.add(NODE)
def node_result(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.scripted(stage)
    return fakes.OddNode().execute()


@SLOTS.add(NODE)
def node_input(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.Script.run = staticmethod(lambda: {"result": 1})
    return fakes.OddNode().execute(given=stage.value, conversation_id=stage.value)


@SLOTS.add(NODE, takes="error outside a loop")
def node_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.failing(stage)
    return fakes.OddNode().execute()


@SLOTS.add(ASYNC_NODE)
def async_node_output(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.scripted(stage, key="result")
    return stage.run(fakes.OddAsyncNode().execute_async())


@SLOTS.add(ASYNC_NODE)
def async_node_input(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.Script.run = staticmethod(lambda: {"result": 1})
    return stage.run(fakes.OddAsyncNode().execute_async(given=stage.value))


@SLOTS.add(ASYNC_NODE, takes="error")
def async_node_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.failing(stage)
    return stage.run(fakes.OddAsyncNode().execute_async())


def _attempted(stage: Stage, node: Any, **inputs: Any) -> Any:
    """One attempt: a policy with a second one would wait for it."""
    from tests.hostile import fakes

    policy = {"default_strategy": {"type": "fixed_delay", "max_attempts": 1, "delay": 0.0}}
    with fakes.quiet_runtime(retry_policy_config=policy) as runtime:
        result = stage.run(runtime.execute_node_with_enterprise_features(node, "n", inputs))
        return result.success, result.value, type(result.final_exception).__name__


@SLOTS.add(ATTEMPTS)
def attempt_output(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.scripted(stage)
    return _attempted(stage, fakes.OddAsyncNode())


@SLOTS.add(ATTEMPTS)
def attempt_input(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.Script.run = staticmethod(lambda: {"result": 1})
    return _attempted(stage, fakes.OddAsyncNode(), given=stage.value, model=stage.value)


@SLOTS.add(ATTEMPTS)
def attempt_of_what_is_no_node(stage: Stage) -> Any:
    stage.reached = True  # behind a stand-in
    return _attempted(stage, stage.value)


@SLOTS.add(ATTEMPTS, takes="error")
def attempt_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.failing(stage)
    return _attempted(stage, fakes.OddAsyncNode())


async def _in_loop(function: Any, *args: Any, **given: Any) -> Any:
    return function(*args, **given)


@SLOTS.add(IN_THREAD)
def async_node_in_a_loop(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.scripted(stage, key="result")
    return stage.run(_in_loop(fakes.OddAsyncNode().execute))


@SLOTS.add(IN_THREAD, takes="error")
def async_node_in_a_loop_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    fakes.failing(stage)
    return stage.run(_in_loop(fakes.OddAsyncNode().execute))


async def _give(stage: Stage) -> Any:
    await asyncio.sleep(0)
    return stage.give()


async def _throw(stage: Stage) -> Any:
    await asyncio.sleep(0)
    return stage.throw()


def _llm_node(**config: Any) -> Any:
    from kaizen.nodes.ai.llm_agent import LLMAgentNode

    return LLMAgentNode(**config)


def _embedding_node() -> Any:
    from kaizen.nodes.ai.embedding_generator import EmbeddingGeneratorNode

    return EmbeddingGeneratorNode()


@SLOTS.add(IN_SYNC)
def coroutine_in_a_thread(stage: Stage) -> Any:
    return stage.run(_in_loop(_llm_node()._run_async_in_sync_context, _give(stage)))


@SLOTS.add(IN_SYNC, takes="error")
def coroutine_raises(stage: Stage) -> Any:
    return _llm_node()._run_async_in_sync_context(_throw(stage))


@SLOTS.add(EMBED_COROUTINE)
def embed_coroutine_in_a_thread(stage: Stage) -> Any:
    return stage.run(_in_loop(_embedding_node()._run_embed_coro, _give(stage)))


@SLOTS.add(EMBED_COROUTINE, takes="error")
def embed_coroutine_raises(stage: Stage) -> Any:
    return _embedding_node()._run_embed_coro(_throw(stage))


# -- LLM nodes ----------------------------------------------------------------------------------------------------


@SLOTS.add(NODE)
def llm_node_messages(stage: Stage) -> Any:
    from tests.hostile import fakes

    with fakes.http_of(fakes.Http()):
        return _llm_node().execute(provider="openai", model="gpt-4o", messages=stage.value)


@SLOTS.add(NODE)
def llm_node_conversation(stage: Stage) -> Any:
    from tests.hostile import fakes

    node = _llm_node()
    node.config = {"conversation_id": stage.value}
    with fakes.http_of(fakes.Http()):
        return node.execute(provider="openai", model="gpt-4o", messages=fakes.MESSAGES, conversation_id=stage.value)


@SLOTS.add(NODE)
def llm_node_answer(stage: Stage) -> Any:
    from kaizen.nodes.ai.llm_agent import LLMAgentNode

    class Answering(LLMAgentNode):
        def run(self, **_: Any) -> Any:
            return {"success": stage.give(), "error": stage.value, "error_type": stage.value, "response": stage.value}

    return Answering().execute(provider="openai", model="gpt-4o")


@SLOTS.add(LLM_NODE, takes="error")
def llm_node_raises(stage: Stage) -> Any:
    from tests.hostile import fakes

    with fakes.http_of(fakes.Http(refuse=stage.throw)):
        return _llm_node().execute(provider="openai", model="gpt-4o", messages=fakes.MESSAGES)
