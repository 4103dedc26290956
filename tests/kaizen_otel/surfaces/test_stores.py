"""Memories, retrieval and native tools: a span each, below the agent that asked."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.demo.model_server import Reply

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


def memory_of(kind: str) -> Any:
    from kaizen.memory.buffer import BufferMemory
    from kaizen.memory.knowledge_graph import KnowledgeGraphMemory
    from kaizen.memory.persistent_buffer import PersistentBufferMemory
    from kaizen.memory.summary import SummaryMemory
    from kaizen.memory.vector import VectorMemory

    return {
        "BufferMemory": BufferMemory,
        "PersistentBufferMemory": PersistentBufferMemory,
        "SummaryMemory": lambda: SummaryMemory(llm_summarizer=lambda _: "short"),
        "VectorMemory": lambda: VectorMemory(embedding_fn=lambda _: [0.5]),
        "KnowledgeGraphMemory": KnowledgeGraphMemory,
    }[kind]()


@pytest.mark.parametrize(
    "kind", ["BufferMemory", "PersistentBufferMemory", "SummaryMemory", "VectorMemory", "KnowledgeGraphMemory"]
)
def test_every_memory_is_seen_saving_and_loading(kind: str, kaizen_telemetry: Captured) -> None:
    memory = memory_of(kind)
    memory.save_turn("s-1", {"user": "hello", "agent": "hi", "timestamp": "2026-01-01T00:00:00"})
    memory.load_context("s-1")

    save, load = kaizen_telemetry.spans
    assert (save.name, load.name) == ("memory save", "memory load")
    assert (load["kaizen.memory.operation"], load["kaizen.store.type"]) == ("load", kind)
    assert load["session.id"] == save["session.id"] == "s-1"
    assert load.attributes.get("kaizen.store.results") == (
        None if kind == "KnowledgeGraphMemory" else 1
    )  # has no turns
    assert load.kind == "INTERNAL"


def test_an_agents_memory_is_in_the_agents_tree(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen.core.base_agent import BaseAgent
    from kaizen.core.config import BaseAgentConfig

    from tests.kaizen_otel.surfaces import scenes

    kaizen_offline.script(lambda _: Reply.json({"answer": "Paris."}))
    config = BaseAgentConfig(llm_provider="openai", model="gpt-4o")
    agent = BaseAgent(config, scenes.Answer(), memory=memory_of("BufferMemory"), agent_id="clerk", mcp_servers=[])
    agent.run(question="x", session_id="s-1")

    agent_span = kaizen_telemetry.span("invoke_agent clerk")
    accesses = kaizen_telemetry.spans_named("memory")
    assert [span.name for span in accesses] == ["memory load", "memory save"]
    assert {span.parent_id for span in accesses} == {agent_span.span_id}


def test_a_memory_that_raises_fails_its_span_and_its_caller(kaizen_telemetry: Captured) -> None:
    from kaizen.memory.vector import VectorMemory

    def embed(_: str) -> Any:
        raise LookupError("no model")

    with pytest.raises(LookupError, match="no model"):
        VectorMemory(embedding_fn=embed).save_turn("s-1", {"user": "a", "agent": "b"})

    span = kaizen_telemetry.span("memory save")
    assert (span.status, span["error.type"]) == ("ERROR", "LookupError")


def vector_store() -> Any:
    import numpy as np
    from kaizen.retrieval.vector_store import SimpleVectorStore

    store = SimpleVectorStore()
    # The model that makes the vectors would be downloaded.
    store.embeddings_model = SimpleNamespace(encode=lambda texts, **_: np.ones((len(texts), 2)))
    store.add_documents([{"id": str(n), "title": "t", "content": "c"} for n in range(5)])
    return store


def test_a_search_whose_model_fails_fails_its_span_and_its_caller(kaizen_telemetry: Captured) -> None:
    from kaizen.llm.errors import ProviderError

    def encode(*_: Any, **__: Any) -> Any:
        raise ProviderError(503, "busy")

    store = vector_store()
    store.embeddings_model = SimpleNamespace(encode=encode)
    with pytest.raises(ProviderError):
        store.search("c")

    span = kaizen_telemetry.span("retrieval")
    assert (span.status, span["error.type"]) == ("ERROR", "kaizen.llm.errors.ProviderError")
    assert span["http.response.status_code"] == 503


def test_stores_say_who_they_were_asked_for(kaizen_telemetry: Captured) -> None:
    store = vector_store()
    with kaizen_otel.attributes(user_id="u-1", session_id="s-1", conversation_id="c-1", tags=["beta"]):
        memory_of("BufferMemory").load_context("other")
        store.search("c")

    for name, session in (("memory load", "other"), ("retrieval", "s-1")):  # a memory knows whose it is
        span = kaizen_telemetry.span(name)
        assert (span["user.id"], span["session.id"]) == ("u-1", session)
        assert (span["gen_ai.conversation.id"], span["kaizen.tags"]) == ("c-1", ("beta",))


def test_a_search_tells_how_much_it_found(kaizen_telemetry: Captured) -> None:
    assert len(vector_store().search("c", top_k=2)) == 2

    span = kaizen_telemetry.span("retrieval")
    assert (span["gen_ai.operation.name"], span["kaizen.store.results"]) == ("retrieval", 2)
    assert span["kaizen.store.type"] == "SimpleVectorStore"


@pytest.mark.kaizen_otel(monitoring_level="basic")
def test_below_standard_stores_have_no_spans(kaizen_telemetry: Captured) -> None:
    memory_of("BufferMemory").load_context("s-1")

    assert kaizen_telemetry.spans == []


def test_a_native_tool_is_a_span_and_its_error_an_error(tmp_path: Path, kaizen_telemetry: Captured) -> None:
    from kaizen.tools.native.registry import KaizenToolRegistry

    registry = KaizenToolRegistry()
    registry.register_defaults(["file"])
    path = tmp_path / "note.txt"
    path.write_text("hello", encoding="utf-8")
    good = asyncio.run(registry.execute("read_file", {"path": str(path)}))
    bad = asyncio.run(registry.execute("read_file", {"path": str(tmp_path / "nowhere")}))
    unknown = asyncio.run(registry.execute("fly", {}))

    assert (good.success, bad.success, unknown.success) == (True, False, False)
    spans = kaizen_telemetry.spans
    assert [span.name for span in spans] == ["execute_tool read_file", "execute_tool read_file", "execute_tool fly"]
    assert [span.status for span in spans] == ["UNSET", "ERROR", "ERROR"]
    assert spans[2]["error.type"] == "tool_error"
    assert {span["gen_ai.tool.type"] for span in spans} == {"function"}
