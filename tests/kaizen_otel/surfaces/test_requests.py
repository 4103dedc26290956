"""What is said of a request: parameters, provider, server."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


def test_what_was_asked_for_is_on_the_span_from_its_start(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    client = scenes.llm_client()
    asyncio.run(
        client.complete(
            scenes.MESSAGES,
            model="gpt-4o-mini",
            temperature=0,
            top_p=0.5,
            max_tokens=10,
            stop=["END"],
            seed=7,
            frequency_penalty=0.1,
            presence_penalty=0.2,
            n=1,
            response_format={"type": "json_object"},
        )
    )

    chat = kaizen_telemetry.span("chat gpt-4o-mini")
    port = int(kaizen_offline.url.rsplit(":", 1)[1])
    asked = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "server.address": "localhost",
        "server.port": port,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.max_tokens": 10,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.seed": 7,
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": 0.2,
        "gen_ai.output.type": "json",
    }
    for key, value in asked.items():
        assert chat.attributes[key] == value, key
        assert type(chat.attributes[key]) is type(value), key
    assert chat.kind == "CLIENT"
    assert "gen_ai.request.choice.count" not in chat.attributes


@pytest.mark.parametrize("dimensions", [None, 256])
def test_an_embedding_says_how_many_dimensions_were_asked_for(
    dimensions: int | None, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from kaizen.llm.deployment import EmbedOptions

    from tests.kaizen_otel.surfaces import scenes

    options = None if dimensions is None else EmbedOptions(dimensions=dimensions)
    asyncio.run(scenes.llm_client().embed(["one"], model="text-embedding-3-small", options=options))

    assert kaizen_offline.requests[0].body.get("dimensions") == dimensions
    span = kaizen_telemetry.span("embeddings text-embedding-3-small")
    assert span.attributes.get("gen_ai.embeddings.dimension.count") == dimensions


@pytest.mark.parametrize(
    ("provider", "of_body"),
    [
        ("anthropic", lambda body: body["top_k"]),
        ("google", lambda body: body["generationConfig"]["topK"]),
        ("ollama", lambda body: body["options"]["top_k"]),
    ],
)
def test_top_k_is_a_double_in_the_tagged_conventions(
    provider: str, of_body: Any, kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    asyncio.run(scenes.llm_client(provider).complete(scenes.MESSAGES, top_k=40))

    assert of_body(kaizen_offline.requests[0].body) == 40
    asked = kaizen_telemetry.span("chat")["gen_ai.request.top_k"]
    assert (asked, type(asked)) == (40.0, float)


@pytest.mark.kaizen_otel(conventions=42)
def test_the_later_conventions_have_a_whole_top_k(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from tests.kaizen_otel.surfaces import scenes

    asyncio.run(scenes.llm_client("anthropic").complete(scenes.MESSAGES, top_k=40))

    assert kaizen_offline.requests[0].body["top_k"] == 40
    asked = kaizen_telemetry.span("chat")["gen_ai.request.top_k"]
    assert (asked, type(asked)) == (40, int)


def test_kaizens_mock_provider_has_a_chat_of_the_model_asked_for(kaizen_telemetry: Captured) -> None:
    from kaizen.nodes.ai.llm_agent import LLMAgentNode

    from tests.kaizen_otel.surfaces import scenes

    LLMAgentNode().execute(provider="mock", model="gpt-4.1", messages=scenes.MESSAGES)

    chat = kaizen_telemetry.span("chat gpt-4.1")
    assert (chat["gen_ai.provider.name"], chat["gen_ai.response.model"]) == ("mock", "mock-model")
    assert kaizen_telemetry.tree() == "invoke_agent LLMAgentNode\n  chat gpt-4.1"


def test_providers_are_called_as_the_conventions_call_them(kaizen_offline: ModelServer) -> None:
    from kaizen.llm import presets

    from kaizen_otel.patches.llm_client import provider_of, server_of

    named = {
        "openai": presets.openai_preset,
        "anthropic": presets.anthropic_preset,
        "gcp.gemini": presets.google_preset,
        "mistral_ai": presets.mistral_preset,
        "cohere": presets.cohere_preset,
        "groq": presets.groq_preset,
        "deepseek": presets.deepseek_preset,
        "perplexity": presets.perplexity_preset,
    }
    made = {name: preset("k", "m", base_url=kaizen_offline.url) for name, preset in named.items()}
    made["ollama"] = presets.ollama_preset(kaizen_offline.url, "m")

    assert {name: provider_of(deployment) for name, deployment in made.items()} == {name: name for name in made}
    by_prefix = {"vertex_gemini": "gcp.vertex_ai", "vertex_claude": "gcp.vertex_ai", "bedrock_titan": "aws.bedrock"}
    assert {name: provider_of(SimpleNamespace(preset_name=name)) for name in by_prefix} == by_prefix
    assert server_of(made["groq"]) == ("localhost", int(kaizen_offline.url.rsplit(":", 1)[1]))
    # Kaizen looks every host up, so the public ones are told without it.
    for url, server in (("https://api.openai.com", ("api.openai.com", 443)), ("http://models", ("models", 80))):
        assert server_of(SimpleNamespace(endpoint=SimpleNamespace(base_url=url))) == server


def test_a_deployment_without_a_preset_is_known_by_its_wire() -> None:
    from kaizen.llm.client import _COMPLETE_DISPATCH

    from kaizen_otel.patches.llm_client import provider_of

    found = {wire.name: provider_of(SimpleNamespace(preset_name=None, wire=wire)) for wire in _COMPLETE_DISPATCH}
    assert None not in found.values()
    assert (found["AnthropicMessages"], found["VertexGenerateContent"]) == ("anthropic", "gcp.vertex_ai")
    assert provider_of(SimpleNamespace(preset_name=None, wire=None)) is None
