"""Workflows of Kailash, with and without a model in them."""

from __future__ import annotations

from typing import Any

from kailash.nodes.base import Node, NodeParameter, register_node
from kailash.runtime.async_local import AsyncLocalRuntime
from kailash.runtime.local import LocalRuntime
from kailash.runtime.parallel import ParallelRuntime
from kailash.workflow.builder import WorkflowBuilder

LLM = {"provider": "openai", "model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


@register_node()
class Doubled(Node):
    def get_parameters(self) -> dict[str, Any]:
        return {"number": NodeParameter(name="number", type=int, required=False, default=1)}

    def run(self, **inputs: Any) -> dict[str, Any]:
        print("doubling", inputs["number"])  # noqa: T201 - what a program prints is compared, too
        return {"result": inputs["number"] * 2}


@register_node()
class Broken(Node):
    def get_parameters(self) -> dict[str, Any]:
        return {"number": NodeParameter(name="number", type=int, required=False, default=1)}

    def run(self, **inputs: Any) -> dict[str, Any]:
        raise ValueError(f"no {inputs['number']} here")


def _chain(*kinds: str) -> Any:
    builder = WorkflowBuilder()
    for place, kind in enumerate(kinds):
        builder.add_node(kind, f"n{place}", {"number": 2} if place == 0 else {})
        if place:
            builder.add_connection(f"n{place - 1}", "result", f"n{place}", "number")
    return builder.build()


def two_nodes() -> Any:
    return LocalRuntime().execute(_chain("Doubled", "Doubled"))


def two_nodes_in_a_context() -> Any:
    with LocalRuntime() as runtime:
        return runtime.execute(_chain("Doubled", "Doubled"), parameters={"n0": {"number": 5}})


async def two_nodes_asynchronously() -> Any:
    return await AsyncLocalRuntime().execute_workflow_async(_chain("Doubled", "Doubled"), inputs={})


async def two_nodes_in_parallel() -> Any:
    builder = WorkflowBuilder()
    builder.add_node("Doubled", "a", {"number": 1})
    builder.add_node("Doubled", "b", {"number": 2})
    return await ParallelRuntime().execute(builder.build())


def python_code() -> Any:
    builder = WorkflowBuilder()
    builder.add_node("PythonCodeNode", "code", {"code": "result = {'total': sum(range(10))}"})
    return LocalRuntime().execute(builder.build())


def a_model_in_a_workflow() -> Any:
    builder = WorkflowBuilder()
    builder.add_node("LLMAgentNode", "model", LLM)
    return LocalRuntime().execute(builder.build())


def two_models_side_by_side() -> Any:
    builder = WorkflowBuilder()
    builder.add_node("LLMAgentNode", "first", LLM)
    builder.add_node("LLMAgentNode", "second", LLM)
    return LocalRuntime().execute(builder.build())


def embeddings_in_a_workflow() -> Any:
    builder = WorkflowBuilder()
    given = {"provider": "openai", "model": "text-embedding-3-small", "input_text": "a text", "operation": "embed_text"}
    builder.add_node("EmbeddingGeneratorNode", "vectors", given)
    return LocalRuntime().execute(builder.build())


def the_last_node_fails() -> Any:
    return LocalRuntime().execute(_chain("Doubled", "Broken"))


def a_node_in_front_fails() -> Any:
    return LocalRuntime().execute(_chain("Broken", "Doubled"))


async def a_node_fails_asynchronously() -> Any:
    return await AsyncLocalRuntime().execute_workflow_async(_chain("Broken"), inputs={})


def a_node_by_itself() -> Any:
    return Doubled().execute(number=21)


def a_node_by_itself_fails() -> Any:
    return Broken().execute(number=21)


def a_node_with_a_wrong_parameter() -> Any:
    return Doubled().execute(number="many")


def a_workflow_that_is_none() -> Any:
    return LocalRuntime().execute(None)


def without_keeping_records() -> Any:
    return LocalRuntime(enable_monitoring=False).execute(_chain("Doubled"))
