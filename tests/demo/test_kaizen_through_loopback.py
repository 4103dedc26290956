"""Kaizen's own client through the lifted loopback guard, and the guard put back afterwards."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kaizen_otel.demo.loopback import lift_loopback_guard
from kaizen_otel.demo.model_server import Reply, ReplyUsage, Rule

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer

MODELS = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-sonnet-4-5",
    "google": "gemini-2.5-flash",
    "ollama": "llama3.2",
}
PROVIDERS = sorted(MODELS)
USER = [{"role": "user", "content": "hi"}]
TOOL = {
    "type": "function",
    "function": {"name": "lookup", "description": "Finds", "parameters": {"type": "object", "properties": {}}},
}
USAGE = ReplyUsage(input_tokens=120, output_tokens=45)


def client_of(provider: str) -> Any:
    from kaizen.llm import LlmClient, resolve_deployment_for

    return LlmClient.from_deployment_sync(resolve_deployment_for(provider, MODELS[provider]))


def complete(provider: str, **options: Any) -> Any:
    return asyncio.run(client_of(provider).complete(USER, **options))


def stream(provider: str) -> list[Any]:
    async def collect() -> list[Any]:
        return [chunk async for chunk in client_of(provider).stream(USER)]

    return asyncio.run(collect())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_kaizen_completes(kaizen_offline: ModelServer, provider: str) -> None:
    kaizen_offline.script([Reply(text="Hello there", usage=USAGE)])
    answer = complete(provider)
    assert (answer["text"], answer["model"]) == ("Hello there", MODELS[provider])
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]) == (120, 45)
    assert kaizen_offline.requests[0].provider == provider


@pytest.mark.parametrize("provider", PROVIDERS)
def test_kaizen_gets_tool_calls(kaizen_offline: ModelServer, provider: str) -> None:
    kaizen_offline.script([Rule(has_tools=True, replies=Reply.call("lookup", {"order": "A-17"}))])
    calls = complete(provider, tools=[TOOL])["tool_calls"]
    assert [call["function"] for call in calls] == [{"name": "lookup", "arguments": '{"order": "A-17"}'}]


def test_kaizen_streams_openai_word_by_word(kaizen_offline: ModelServer) -> None:
    kaizen_offline.script([Reply(text="one two three")])
    assert [chunk["text"] for chunk in stream("openai") if chunk["text"]] == ["one ", "two ", "three"]


def test_kaizen_streams_ollama_with_usage_in_the_last_chunk(kaizen_offline: ModelServer) -> None:
    kaizen_offline.script([Reply(text="one two", usage=USAGE)])
    chunks = stream("ollama")
    assert [chunk["text"] for chunk in chunks] == ["one ", "two", ""]
    assert chunks[-1]["usage"] == {"input_tokens": 120, "output_tokens": 45}


def test_kaizen_streams_anthropic_with_usage_but_reads_no_text(kaizen_offline: ModelServer) -> None:
    """As of kaizen 2.46 the shaper does not know the text_delta events: the provider's protocol is what we speak."""
    kaizen_offline.script([Reply(text="one two", usage=USAGE)])
    chunks = stream("anthropic")
    assert "".join(chunk["text"] for chunk in chunks) == ""
    assert [chunk["usage"]["output_tokens"] for chunk in chunks if chunk["usage"]["output_tokens"]] == [45]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_kaizen_raises_its_errors(kaizen_offline: ModelServer, provider: str) -> None:
    from kaizen.llm.errors import InvalidResponse, ProviderError, RateLimited

    kaizen_offline.script([Reply.rate_limited(retry_after_s=2), Reply.server_error(), Reply.unauthorized()])
    with pytest.raises(RateLimited) as limited:
        complete(provider)
    assert limited.value.retry_after == 2
    for status in (500, 401):
        with pytest.raises(ProviderError) as refused:
            complete(provider)
        assert refused.value.status == status
    kaizen_offline.script([Reply.bad_json(), Reply.dropped()])
    with pytest.raises(InvalidResponse):
        complete(provider)
    with pytest.raises(httpx.RemoteProtocolError):
        complete(provider)


def test_kaizen_sees_a_stream_break_in_the_middle(kaizen_offline: ModelServer) -> None:
    kaizen_offline.script([Reply.dropped(after_chunks=2, text="one two three")])
    with pytest.raises(httpx.RemoteProtocolError):
        stream("openai")


@pytest.mark.parametrize("provider", ["openai", "google", "ollama"])
def test_kaizen_embeds(kaizen_offline: ModelServer, provider: str) -> None:
    kaizen_offline.script([Reply(vectors_of=(0.0, 1.0))])
    assert asyncio.run(client_of(provider).embed(["a", "b"])) == [[0.0, 1.0], [0.0, 1.0]]


def guarded_objects() -> list[Any]:
    from kaizen.llm import http_client, presets

    return [
        http_client.SafeDnsResolver.__dict__["check_host"],
        presets.openai_preset.__kwdefaults__,
        presets.anthropic_preset.__kwdefaults__,
        presets.google_preset.__kwdefaults__,
    ]


def test_lift_puts_back_the_very_same_objects_and_environment(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    before, environment = guarded_objects(), dict(os.environ)

    def fail_inside() -> None:
        with lift_loopback_guard(model_server.url):
            assert all(now is not then for now, then in zip(guarded_objects(), before, strict=True))
            assert os.environ["OPENAI_API_KEY"] != "sk-real"
            assert os.environ["ANTHROPIC_API_KEY"]
            raise KeyError("from the block")

    with pytest.raises(KeyError, match="from the block"):
        fail_inside()
    assert all(now is then for now, then in zip(guarded_objects(), before, strict=True))
    assert dict(os.environ) == environment


def test_guard_still_refuses_every_other_private_address(kaizen_offline: ModelServer) -> None:
    from kaizen.llm.errors import InvalidEndpoint
    from kaizen.llm.http_client import SafeDnsResolver

    assert kaizen_offline.url
    for host in ("169.254.169.254", "10.0.0.1"):
        with pytest.raises(InvalidEndpoint):
            SafeDnsResolver().check_host(host)


def test_explicit_base_url_is_kept(kaizen_offline: ModelServer) -> None:
    from kaizen.llm import resolve_deployment_for

    deployment = resolve_deployment_for("openai", "gpt-4o", base_url="http://localhost:9")
    assert str(deployment.endpoint.base_url).rstrip("/") == "http://localhost:9"
    assert kaizen_offline.requests == []


def test_deployments_made_in_other_ways_are_redirected_too(kaizen_offline: ModelServer) -> None:
    from kaizen.llm import LlmClient, LlmDeployment

    client = LlmClient.from_deployment_sync(LlmDeployment.openai("sk-any", model="gpt-4o"))
    assert asyncio.run(client.complete(USER))["text"] == Reply().text
    assert len(kaizen_offline.requests) == 1


def test_lift_is_for_loopback_only() -> None:
    with pytest.raises(ValueError, match="not a loopback URL"), lift_loopback_guard("https://models.example.com"):
        pass
