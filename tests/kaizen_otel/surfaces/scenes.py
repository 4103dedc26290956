"""Real Kaizen objects that the tests of the surfaces run: nodes, workflows, agents. Imported inside tests only."""

from __future__ import annotations

import asyncio
import inspect
import os
from typing import TYPE_CHECKING, Any

from kailash.nodes.base import Node, NodeParameter, register_node
from kailash.nodes.base_async import AsyncNode
from kailash.security import get_security_config
from kailash.workflow.builder import WorkflowBuilder
from kaizen.core.base_agent import BaseAgent
from kaizen.core.config import BaseAgentConfig
from kaizen.nodes.ai.llm_agent import LLMAgentNode
from kaizen.signatures import InputField, OutputField, Signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.testing import Captured

# A `PythonCodeNode` of an older Kailash (seen in 2.50) takes address space from the whole process, down to what this
# says, for good: soon after no thread can start.
get_security_config().memory_limit = 1 << 46

MODEL = "gpt-4o"
MESSAGES = [{"role": "user", "content": "hello"}]
LLM_CONFIG = {"provider": "openai", "model": MODEL, "messages": MESSAGES}


class _Plain(Node):
    def get_parameters(self) -> dict[str, Any]:
        # `before` takes whatever the node in front produced.
        return {"before": NodeParameter(name="before", type=object, required=False, default=None)}


@register_node()
class SyncProbe(_Plain):
    def run(self, **_: Any) -> dict[str, Any]:
        return {"result": []}


@register_node()
class AsyncProbe(AsyncNode):
    def get_parameters(self) -> dict[str, Any]:
        return {"before": NodeParameter(name="before", type=object, required=False, default=None)}

    async def async_run(self, **_: Any) -> dict[str, Any]:
        return {"result": []}


@register_node()
class FailingNode(_Plain):
    def run(self, **_: Any) -> dict[str, Any]:
        raise KeyError("no such order")


@register_node()
class FailingAsyncNode(AsyncNode):
    def get_parameters(self) -> dict[str, Any]:
        return {}

    async def async_run(self, **_: Any) -> dict[str, Any]:
        raise KeyError("no such order")


@register_node()
class ErrorReportNode(_Plain):
    """Returns what looks like a failure and is none: a report about errors."""

    def run(self, **_: Any) -> dict[str, Any]:
        return {"error": "3 lines rejected", "failed": True, "status": "failed", "error_type": "Rejected", "result": 1}


@register_node()
class UnsuccessfulNode(_Plain):
    """Says in so many words that it had no success."""

    def run(self, **_: Any) -> dict[str, Any]:
        return {"success": False, "error": "nobody won", "result": 1}


class LenientLlmNode(LLMAgentNode):
    """Swallows the error, so that the node answers with Kaizen's `success: False` dictionary."""

    def _on_error_hook(self, error: Exception, context: dict[str, Any]) -> Exception:
        del context
        return error


class Answer(Signature):
    question: str = InputField(desc="what to answer")
    answer: str = OutputField(desc="the answer")


def workflow(*kinds: str, name: str | None = None) -> Any:
    """A workflow of nodes in a row: class names, or `llm`; their keys are n0, n1, ..."""
    builder = WorkflowBuilder()
    for index, kind in enumerate(kinds):
        _add(builder, kind, f"n{index}")
        if index:
            target = "mcp_context" if kind == "llm" else "before"
            builder.add_connection(f"n{index - 1}", "result", f"n{index}", target)
    return builder.build(name=name) if name else builder.build()


def parallel_workflow(kind: str, count: int) -> Any:
    """A workflow of `count` unconnected nodes."""
    builder = WorkflowBuilder()
    for index in range(count):
        builder.add_node(
            "LLMAgentNode" if kind == "llm" else kind, f"n{index}", dict(LLM_CONFIG) if kind == "llm" else {}
        )
    return builder.build()


def _add(builder: Any, kind: str, key: str) -> None:
    if kind == "llm":
        builder.add_node("LLMAgentNode", key, dict(LLM_CONFIG))
    else:
        builder.add_node(kind, key, {})


def base_agent(
    cls: type = BaseAgent,
    *,
    strategy: Any = None,
    agent_id: str | None = None,
    mcp_servers: tuple[dict[str, Any], ...] = (),
    **config: Any,
) -> Any:
    """A `BaseAgent` that asks gpt-4o, with no MCP server but those given (Kaizen's default one takes seconds)."""
    given = {"llm_provider": "openai", "model": MODEL, **config}
    extra = {} if strategy is None else {"strategy": strategy}
    if agent_id is not None:
        extra["agent_id"] = agent_id
    return cls(config=BaseAgentConfig(**given), signature=Answer(), mcp_servers=list(mcp_servers), **extra)


def kaizen_agent(name: str = "qa", **config: Any) -> Any:
    """An agent as `Kaizen.create_agent` makes it."""
    from kaizen.core.framework import Kaizen

    given = dict(config)
    signature = given.pop("signature", None)
    extra = {} if signature is None else {"signature": signature}
    return Kaizen().create_agent(name, {"model": MODEL, "provider": "openai", **given}, **extra)


def play(scene: Callable[[], Any]) -> Any:
    """Run a function, or a coroutine function in a loop of its own."""
    return asyncio.run(scene()) if inspect.iscoroutinefunction(scene) else scene()


def play_under_caller(captured: Captured, scene: Callable[[], Any]) -> Any:
    """Run a scene inside a span of the application, named `caller`."""
    with captured.tracer_provider.get_tracer("app").start_as_current_span("caller"):
        return play(scene)


MODELS = {
    "openai": MODEL,
    "anthropic": "claude-sonnet-4-5",
    "ollama": "llama3.2",
    "google": "gemini-2.5-flash",
}


def llm_client(provider: str = "openai") -> Any:
    """Kaizen's own client, as its LLM node makes it."""
    from kaizen.llm.client import LlmClient
    from kaizen.llm.deployment_resolver import resolve_deployment_for

    # Kaizen 2.34 does not look for Ollama's address itself.
    address = {"base_url": os.environ["OLLAMA_BASE_URL"]} if provider == "ollama" else {}
    return LlmClient.from_deployment_sync(resolve_deployment_for(provider, MODELS[provider], **address))


def stream_of(client: Any, **given: Any) -> Any:
    """A stream of this client, with nothing sent yet."""
    return client.stream(MESSAGES, **given)


async def read_stream(provider: str = "openai") -> list[Any]:
    """Every chunk of one stream."""
    return [chunk async for chunk in stream_of(llm_client(provider))]
