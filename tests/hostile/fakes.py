"""Real Kaizen objects with one odd place each. Imported inside tests only: Kaizen is large."""

from __future__ import annotations

import contextlib
import functools
import socket
from typing import TYPE_CHECKING, Any

import pytest
from kailash.nodes.base import Node, NodeParameter, register_node
from kailash.nodes.base_async import AsyncNode
from kailash.runtime.local import LocalRuntime
from kailash.workflow.builder import WorkflowBuilder
from kailash_mcp.client import MCPClient
from kaizen.core.base_agent import BaseAgent
from kaizen.core.config import BaseAgentConfig
from kaizen.core.framework import Kaizen
from kaizen.llm.client import LlmClient
from kaizen.llm.deployment_resolver import resolve_deployment_for
from kaizen.llm.http_client import LlmHttpClient
from kaizen.llm.presets import bedrock_mistral_preset
from kaizen.signatures import InputField, OutputField, Signature

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.hostile.stage import Stage

MODEL = "gpt-4o"
MESSAGES = [{"role": "user", "content": "hello"}]
MODELS = {"openai": MODEL, "anthropic": "claude-sonnet-4-5", "ollama": "llama3.2", "google": "gemini-2.5-flash"}

HEALTHY = {
    "id": "resp-1",
    "model": MODEL,
    "choices": [{"message": {"content": '{"answer": "fine"}'}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 20},
}


class _Response:
    status_code = 200
    headers: Any = {}  # noqa: RUF012 - never changed
    text = ""

    def __init__(self, payload: Callable[[], Any]) -> None:
        self._payload = payload

    def json(self) -> Any:
        return self._payload()


class Http:
    """Stands in for the provider's HTTP answer, which costs money: `LlmHttpClient` as its caller sees it."""

    def __init__(
        self, payload: Callable[[], Any] = lambda: HEALTHY, *, refuse: Callable[[], Any] | None = None
    ) -> None:
        self._payload = payload
        self._refuse = refuse

    async def post(self, *_: Any, **__: Any) -> _Response:
        if self._refuse is not None:
            self._refuse()
        return _Response(self._payload)

    async def stream_lines(self, *_: Any, **__: Any) -> AsyncIterator[str]:
        yield "first"
        if self._refuse is not None:
            self._refuse()
        yield "second"

    async def aclose(self) -> None:
        """Nothing is open."""


def answer(headers: Any) -> Any:
    """An answer of Bedrock's Mistral, with these headers."""
    given = _Response(lambda: {"outputs": [{"text": "fine", "stop_reason": "stop"}]})
    given.headers = headers
    return given


def http_client(respond: Callable[[], Any]) -> Any:
    """Kaizen's own HTTP client, without a network below it."""

    class Unconnected(LlmHttpClient):
        def __init__(self) -> None:
            """Open nothing."""
            self._closed = True

        async def request(self, *_: Any, **__: Any) -> Any:
            return respond()

    return Unconnected()


@functools.cache
def bedrock() -> Any:
    """A deployment of Mistral's at Bedrock, whose host nobody asks for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *_, **__: _ANYWHERE)
        return bedrock_mistral_preset("k", "us-east-1", "mistral.mistral-7b-instruct-v0:2")


_ANYWHERE = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("8.8.8.8", 0))]


def bedrock_client() -> Any:
    return LlmClient.from_deployment_sync(bedrock())


@functools.cache
def deployment(provider: str) -> Any:
    return resolve_deployment_for(provider, MODELS[provider])


def llm_client(provider: str = "openai") -> Any:
    return LlmClient.from_deployment_sync(deployment(provider))


# -- nodes and workflows ------------------------------------------------------------------------------------------


class Script:
    """What the odd nodes of the current run do."""

    run: Callable[[], Any] = staticmethod(lambda: {"result": 1})


@register_node()
class OddNode(Node):
    def get_parameters(self) -> dict[str, Any]:
        return {"given": NodeParameter(name="given", type=object, required=False, default=None)}

    def run(self, **_: Any) -> Any:
        return Script.run()


@register_node()
class OddAsyncNode(AsyncNode):
    def get_parameters(self) -> dict[str, Any]:
        return {"given": NodeParameter(name="given", type=object, required=False, default=None)}

    async def async_run(self, **_: Any) -> Any:
        return Script.run()


def workflow(key: Any = "n0", kind: str = "OddNode", *, followed: bool = False) -> Any:
    """One odd node, with another one behind it when `followed`."""
    builder = WorkflowBuilder()
    builder.add_node(kind, key, {})
    if followed:
        builder.add_node("OddNode", "last", {})
        builder.add_connection(key, "result", "last", "given")
    return builder.build()


def llm_workflow(**config: Any) -> Any:
    builder = WorkflowBuilder()
    builder.add_node("LLMAgentNode", "n0", {"provider": "openai", "model": MODEL, "messages": MESSAGES, **config})
    return builder.build()


quiet_runtime = functools.partial(LocalRuntime, enable_monitoring=False)
"""A `LocalRuntime` that writes no tracking files: the same code path, ten times faster."""


class RuntimeThatAnswers:
    """A base runtime whose result is whatever the current run says."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer

    def execute(self, *_: Any, **__: Any) -> Any:
        return self._answer()


# -- agents -------------------------------------------------------------------------------------------------------


class Answer(Signature):
    question: str = InputField(desc="what to answer")
    answer: str = OutputField(desc="the answer")


def agent(name: str = "qa", **config: Any) -> Any:
    kaizen = Kaizen()
    made = kaizen.create_agent(name, {"model": MODEL, "provider": "openai", **config})
    kaizen._ensure_kailash_sdk_loaded()
    kaizen._LocalRuntime = quiet_runtime
    return made


class StrategyThatAnswers:
    """What a `BaseAgent` does, as the current run says."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer

    def execute(self, _agent: Any, _inputs: Any) -> Any:
        return self._answer()


def base_agent(answer: Callable[[], Any], **given: Any) -> Any:
    config = BaseAgentConfig(llm_provider="openai", model=MODEL, use_async_llm=True)
    return BaseAgent(config=config, signature=Answer(), strategy=StrategyThatAnswers(answer), mcp_servers=[], **given)


class McpThatAnswers(MCPClient):
    """Kaizen's MCP client, whose server answers as the current run says."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        super().__init__()
        self._answer = answer

    async def _call_tool_stdio(self, *_: Any) -> Any:
        return self._answer()


MCP_SERVER = {"name": "orders", "transport": "stdio", "command": "python"}


def scripted(stage: Stage, *, key: str | None = None) -> None:
    """Let the odd nodes return the value, or a dictionary with the value under `key`."""
    Script.run = staticmethod(stage.give if key is None else lambda: {key: stage.give()})


def failing(stage: Stage) -> None:
    """Let the odd nodes raise the value."""
    Script.run = staticmethod(stage.throw)


@contextlib.contextmanager
def http_of(http: Http) -> Iterator[None]:
    """Let clients that Kaizen makes itself send through this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kaizen.llm.client.LlmHttpClient", lambda *_, **__: http)
        yield
