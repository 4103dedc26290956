"""Model calls: what each tells, streams, embeddings."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kaizen_otel.demo.model_server import Reply, ReplyUsage, Rule
from tests.versions.probes.probing import COST_USD, USAGE, probe, run_llm_node, scenes

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


def provider(name: str) -> Any:
    """One of Kaizen's provider classes."""
    try:
        registry = import_module("kaizen.providers.registry")
    except ModuleNotFoundError:
        registry = import_module("kaizen.nodes.ai.ai_providers")
    return registry.get_provider(name)


@probe
def call_tokens(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(usage=USAGE)])
    run_llm_node()
    chat = seen.span("chat gpt-4o")
    assert (chat["gen_ai.usage.input_tokens"], chat["gen_ai.usage.output_tokens"]) == (1_000, 100)
    assert chat["gen_ai.provider.name"] == "openai"
    assert chat["gen_ai.response.finish_reasons"] == ("stop",)
    assert seen.cost == COST_USD


@probe
def call_parameters(_server: ModelServer, seen: Captured) -> None:
    run_llm_node(generation_config={"temperature": 0.5, "max_completion_tokens": 64, "seed": 7})
    chat = seen.span("chat gpt-4o")
    assert chat["gen_ai.request.temperature"] == 0.5
    assert chat["gen_ai.request.seed"] == 7


@probe
def call_error(server: ModelServer, seen: Captured) -> None:
    server.script([Rule(replies=Reply.server_error(status=403))])
    run_llm_node()
    chat = seen.span("chat gpt-4o")
    assert (chat.status, chat["http.response.status_code"]) == ("ERROR", 403)
    assert chat["error.type"] in {"kaizen.llm.errors.ProviderError", "openai.PermissionDeniedError"}
    (execution,) = seen.executions
    assert (execution.status, execution.error_type) == ("error", chat["error.type"])


@probe
def call_cached_tokens(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(usage=ReplyUsage(input_tokens=1_000, output_tokens=100, cache_read_tokens=400))])
    run_llm_node()
    assert seen.span("chat gpt-4o")["gen_ai.usage.cache_read.input_tokens"] == 400


@probe
def call_server(_server: ModelServer, seen: Captured) -> None:
    run_llm_node()
    assert seen.span("chat gpt-4o")["server.address"] == "localhost"


@probe
def call_mock(server: ModelServer, seen: Captured) -> None:
    run_llm_node(provider="mock")
    assert seen.span("chat gpt-4o")["gen_ai.provider.name"] == "mock"
    assert server.requests == []


@probe
def llm_client(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(usage=USAGE)])
    asyncio.run(scenes().llm_client().complete(scenes().MESSAGES))
    assert seen.tree() == "chat gpt-4o"
    assert seen.cost == COST_USD


@probe
def stream(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(usage=USAGE)])
    asyncio.run(scenes().read_stream())
    assert seen.cost == COST_USD
    assert seen.span("chat gpt-4o")["gen_ai.response.time_to_first_chunk"] > 0


@probe
def stream_of_provider(server: ModelServer, seen: Captured) -> None:
    server.script([Reply(usage=USAGE)])

    async def read() -> list[Any]:
        return [event async for event in provider("openai").stream_chat(scenes().MESSAGES, model="gpt-4o")]

    events = asyncio.run(read())
    assert events[-1].event_type == "done"
    assert seen.tree() == "chat gpt-4o"
    assert seen.cost == COST_USD
    assert seen.span("chat gpt-4o")["gen_ai.response.time_to_first_chunk"] > 0


@probe
def embeddings(_server: ModelServer, seen: Captured) -> None:
    from kaizen.nodes.ai.embedding_generator import EmbeddingGeneratorNode

    EmbeddingGeneratorNode().execute(
        provider="openai", model="text-embedding-3-small", operation="embed_text", input_text="hello"
    )
    assert seen.tree() == "node EmbeddingGeneratorNode\n  embeddings text-embedding-3-small"


@probe
def embeddings_tokens(server: ModelServer, seen: Captured) -> None:
    server.script([Rule(replies=Reply(usage=ReplyUsage(input_tokens=100)))])
    embeddings(server, seen)
    assert seen.span("embeddings")["gen_ai.usage.input_tokens"] == 100
    assert seen.cost > 0


@probe
def embeddings_google(_server: ModelServer, seen: Captured) -> None:
    asyncio.run(scenes().llm_client("google").embed(["one"], model="gemini-embedding-001"))
    assert seen.tree() == "embeddings gemini-embedding-001"
