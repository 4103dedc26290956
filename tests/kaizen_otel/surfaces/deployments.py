"""Kaizen's own deployments of providers that the model server does not speak, up to the wire. Imported in tests only.

What stands in is the provider's HTTP answer, and what comes before it on a network: the name server that Kaizen's
guard asks about the host, and Google's token. URL, body, headers and `LlmHttpClient` are Kaizen's.
"""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from kaizen.llm import presets
from kaizen.llm.auth.azure import AzureEntra
from kaizen.llm.auth.bearer import ApiKey, ApiKeyBearer, ApiKeyHeaderKind
from kaizen.llm.client import LlmClient
from kaizen.llm.http_client import LlmHttpClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MESSAGES = [{"role": "user", "content": "hello"}]

PUBLIC_ADDRESS = "8.8.8.8"
"""What every host name resolves to: nothing is sent there."""


class _Token(ApiKeyBearer):
    """In the place of Google's OAuth, whose library is an extra of Kaizen's: a token that nobody had to ask for."""

    def __init__(self, **_: Any) -> None:
        """Take what `GcpOauth` takes."""
        super().__init__(kind=ApiKeyHeaderKind.Authorization_Bearer, key=ApiKey("t"))


def _vertex(preset: Callable[..., Any], model: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presets, "GcpOauth", _Token)
        return preset(None, "my-project", "us-central1", model)


DEPLOYMENTS: dict[str, Callable[[], Any]] = {
    "cohere v1": lambda: presets.cohere_preset("k", "command-r", path_prefix="/v1"),
    "cohere v2": lambda: presets.cohere_preset("k", "command-r"),
    "huggingface": lambda: presets.huggingface_preset("k", "meta-llama/Llama-3.1-8B-Instruct"),
    "huggingface chat": lambda: presets.huggingface_chat_preset("k", "meta-llama/Llama-3.1-8B-Instruct"),
    "bedrock claude": lambda: presets.bedrock_claude_preset("k", "us-east-1", "claude-sonnet-4-6"),
    "bedrock llama": lambda: presets.bedrock_llama_preset("k", "us-east-1", "meta.llama3-1-8b-instruct-v1:0"),
    "bedrock titan": lambda: presets.bedrock_titan_preset("k", "us-east-1", "amazon.titan-text-express-v1"),
    "bedrock mistral": lambda: presets.bedrock_mistral_preset("k", "us-east-1", "mistral.mistral-7b-instruct-v0:2"),
    "bedrock cohere": lambda: presets.bedrock_cohere_preset("k", "us-east-1", "cohere.command-text-v14"),
    "azure openai": lambda: presets.azure_openai_preset("acme", "our-gpt", AzureEntra(api_key="k")),
    "vertex gemini": lambda: _vertex(presets.vertex_gemini_preset, "gemini-2.5-flash"),
    "vertex claude": lambda: _vertex(presets.vertex_claude_preset, "claude-sonnet-4-6"),
}


class Provider:
    """Answers one call of Kaizen's client, and keeps the request that it was sent."""

    def __init__(self, name: str, answer: Any, headers: Mapping[str, str] | None = None) -> None:
        """Answer with this: JSON, or the lines of a stream."""
        self._client = LlmClient.from_deployment_sync(DEPLOYMENTS[name]())
        self._answer = "".join(answer) if isinstance(answer, tuple) else json.dumps(answer)
        self._headers = headers
        self.requests: list[httpx.Request] = []

    async def complete(self) -> Any:
        """What `LlmClient.complete` gives its caller."""
        async with LlmHttpClient() as http:
            await self._stand_in(http)
            return await self._client.complete(MESSAGES, http_client=http)

    async def stream(self) -> list[Any]:
        """The chunks of `LlmClient.stream`."""
        async with LlmHttpClient() as http:
            await self._stand_in(http)
            return [chunk async for chunk in self._client.stream(MESSAGES, http_client=http)]

    async def embed(self, texts: list[str], model: str) -> Any:
        """The vectors of `LlmClient.embed`."""
        async with LlmHttpClient() as http:
            await self._stand_in(http)
            return await self._client.embed(texts, model=model, http_client=http)

    async def _stand_in(self, http: Any) -> None:
        await http._client.aclose()
        http._client = httpx.AsyncClient(transport=httpx.MockTransport(self._respond))

    def _respond(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, content=self._answer, headers=dict(self._headers or {}))


def resolve_every_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Kaizen's guard find a public address for each host that it asks about."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (PUBLIC_ADDRESS, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
