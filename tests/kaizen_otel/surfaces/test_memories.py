"""Memories of entries, values and turns: one span for one operation, whatever the memory is made of."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


def said(spans: Any) -> list[tuple[str, Any, Any]]:
    """Name, store and number of results of each."""
    return [(span.name, span["kaizen.store.type"], span.attributes.get("kaizen.store.results")) for span in spans]


def typed_memory(kind: str, folder: Path) -> Any:
    from kaizen.memory.long_term import LongTermMemory
    from kaizen.memory.semantic import SemanticMemory
    from kaizen.memory.short_term import ShortTermMemory
    from kaizen.memory.storage.file_storage import FileStorage

    classes = {"ShortTermMemory": ShortTermMemory, "LongTermMemory": LongTermMemory, "SemanticMemory": SemanticMemory}
    embed = {"embedding_function": lambda _: [0.5, 0.5]} if kind == "SemanticMemory" else {}
    # Its SQLiteStorage closes no connection, of which Python 3.13 warns.
    return classes[kind](FileStorage(str(folder / "memory.jsonl")), **embed)


LISTS = {"ShortTermMemory": "get_recent", "LongTermMemory": "get_important", "SemanticMemory": "get_concepts"}


@pytest.mark.parametrize("kind", LISTS)
def test_every_kind_of_entry_is_seen_saved_loaded_and_searched(
    kind: str, tmp_path: Path, kaizen_telemetry: Captured
) -> None:
    memory = typed_memory(kind, tmp_path)
    key = memory.store("Paris is the capital")
    assert memory.retrieve(key).content == "Paris is the capital"
    assert memory.retrieve("nothing") is None
    assert len(memory.search("Paris")) == 1
    assert len(getattr(memory, LISTS[kind])()) == 1

    assert said(kaizen_telemetry.spans) == [
        ("memory save", kind, None),
        ("memory load", kind, 1),
        ("memory load", kind, 0),
        ("memory search", kind, 1),
        ("memory load", kind, 1),
    ]
    assert kaizen_telemetry.spans[3]["kaizen.memory.operation"] == "search"


def test_what_is_like_an_entry_is_one_search(tmp_path: Path, kaizen_telemetry: Captured) -> None:
    memory = typed_memory("SemanticMemory", tmp_path)
    key = memory.store("Paris")
    memory.store("Lyon")
    assert len(memory.find_similar("France")) == 2
    assert len(memory.find_related(key)) == 1  # asks `find_similar` itself

    assert said(kaizen_telemetry.spans_named("memory search")) == [
        ("memory search", "SemanticMemory", 2),
        ("memory search", "SemanticMemory", 1),
    ]


def provider(kind: str) -> Any:
    from kaizen.memory.providers.buffer_adapter import BufferMemoryAdapter
    from kaizen.memory.providers.hierarchical import HierarchicalMemory

    return {"BufferMemoryAdapter": BufferMemoryAdapter, "HierarchicalMemory": HierarchicalMemory}[kind]()


@pytest.mark.parametrize("kind", ["BufferMemoryAdapter", "HierarchicalMemory"])
def test_a_provider_of_memory_is_one_span_for_each_operation(kind: str, kaizen_telemetry: Captured) -> None:
    from kaizen.memory.providers.types import MemoryEntry

    async def use() -> None:
        memory = provider(kind)
        key = await memory.store(MemoryEntry(content="Paris", session_id="s-1"))
        assert (await memory.get(key)).content == "Paris"
        assert len(await memory.recall("Paris", "s-1")) == 1
        assert len((await memory.build_context(session_id="s-1")).entries) == 1

    asyncio.run(use())

    assert said(kaizen_telemetry.spans) == [
        ("memory save", kind, None),
        ("memory load", kind, 1),
        ("memory search", kind, 1),
        ("memory load", kind, 1),
    ]
    sessions = [span.attributes.get("session.id") for span in kaizen_telemetry.spans]
    assert sessions == ["s-1", None, "s-1", "s-1"]


@asynccontextmanager
async def enterprise(folder: Path) -> AsyncIterator[Any]:
    from kaizen.memory.enterprise import EnterpriseMemorySystem

    system = EnterpriseMemorySystem(
        {
            "warm_storage_path": str(folder / "warm.db"),
            "cold_storage_path": str(folder / "cold"),
            "multi_tenant_enabled": False,
        }
    )
    try:
        yield system
    finally:
        await system.warm_tier.close()
        await system.cold_tier.close()


def test_a_system_of_tiers_is_one_span_for_each_operation(tmp_path: Path, kaizen_telemetry: Captured) -> None:
    async def use() -> None:
        async with enterprise(tmp_path) as system:
            for hint in ("hot", "warm", "cold"):
                assert await system.put(hint, {"tier": hint}, tier_hint=hint)
                assert await system.get(hint) == {"tier": hint}
            assert await system.get("nothing") is None

    asyncio.run(use())

    kind = "EnterpriseMemorySystem"
    assert said(kaizen_telemetry.spans) == [
        *[("memory save", kind, None), ("memory load", kind, 1)] * 3,
        ("memory load", kind, 0),
    ]


def test_a_tier_by_itself_is_a_memory(tmp_path: Path, kaizen_telemetry: Captured) -> None:
    async def use() -> None:
        async with enterprise(tmp_path) as system:
            for tier in (system.hot_tier, system.warm_tier, system.cold_tier):
                assert await tier.put("a", 1)
                assert await tier.get("a") == 1

    asyncio.run(use())

    tiers = ("HotMemoryTier", "WarmMemoryTier", "ColdMemoryTier")
    assert said(kaizen_telemetry.spans) == [
        pair for tier in tiers for pair in (("memory save", tier, None), ("memory load", tier, 1))
    ]


def test_a_value_that_could_not_be_saved_is_an_error(tmp_path: Path, kaizen_telemetry: Captured) -> None:
    async def use() -> bool:
        async with enterprise(tmp_path) as system:
            await system.warm_tier.close()
            return bool(await system.put("a", 1, tier_hint="warm"))

    assert asyncio.run(use()) is False

    span = kaizen_telemetry.span("memory save")
    assert (span.status, span["error.type"]) == ("ERROR", "memory_error")


def test_cached_results_of_signatures_are_a_memory(tmp_path: Path, kaizen_telemetry: Captured) -> None:
    from kaizen.memory.signature_integration import SignatureMemoryIntegration
    from kaizen.signatures import InputField, OutputField, Signature

    class Question(Signature):
        question: str = InputField(desc="q")
        answer: str = OutputField(desc="a")

    async def use() -> None:
        async with enterprise(tmp_path) as system:
            cache = SignatureMemoryIntegration(system)
            await cache.cache_signature_result(Question(), {"question": "x"}, {"answer": "y"}, strategy="exact")
            await cache.get_cached_result(Question(), {"question": "x"}, strategy="exact")

    asyncio.run(use())

    names = [(span.name, span["kaizen.store.type"]) for span in kaizen_telemetry.spans]
    kind = "SignatureMemoryIntegration"
    assert names == [("memory save", kind), ("memory load", kind)]


def test_what_agents_share_is_a_memory(kaizen_telemetry: Captured) -> None:
    from kaizen.memory.shared_memory import SharedMemoryPool

    pool = SharedMemoryPool()
    pool.write_insight(
        {"agent_id": "a", "content": "x", "tags": ["t"], "importance": 0.5, "segment": "s", "metadata": {}}
    )
    assert len(pool.read_all()) == len(pool.read_relevant(tags=["t"])) == 1

    assert said(kaizen_telemetry.spans) == [
        ("memory save", "SharedMemoryPool", None),
        ("memory load", "SharedMemoryPool", 1),
        ("memory search", "SharedMemoryPool", 1),
    ]


@needs("delegate")  # kaizen_agents
def test_a_memory_agents_turns_are_in_its_own_store(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    from kaizen_agents.agents.specialized.memory_agent import MemoryAgent

    kaizen_offline.script(lambda _: Reply.json({"response": "Hello.", "memory_updated": True}))
    agent = MemoryAgent(llm_provider="openai", model="gpt-4o", mcp_servers=[])
    agent.chat("hello", session_id="s-1")

    accesses = kaizen_telemetry.spans_named("memory")
    assert [span.name for span in accesses] == ["memory load", "memory save", "memory save"]
    assert {span["kaizen.store.type"] for span in accesses} == {"SimpleMemoryStore"}
    assert {span["session.id"] for span in accesses} == {"s-1"}


def test_a_memory_that_raises_fails_its_span_and_its_caller(tmp_path: Path, kaizen_telemetry: Captured) -> None:
    def embed(_: str) -> Any:
        raise LookupError("no model")

    memory = typed_memory("SemanticMemory", tmp_path)
    memory.embedding_function = embed
    with pytest.raises(LookupError, match="no model"):
        memory.store("Paris")

    span = kaizen_telemetry.span("memory save")
    assert (span.status, span["error.type"]) == ("ERROR", "LookupError")


def test_a_memory_asked_in_an_operation_that_has_ended_has_a_span(kaizen_telemetry: Captured) -> None:
    # A task that a memory left behind keeps the context of the operation that started it.
    from kaizen.memory.providers.types import MemoryEntry
    from kaizen.memory.tiers import HotMemoryTier

    later: list[asyncio.Task[Any]] = []

    async def use() -> None:
        done = asyncio.Event()
        tier = HotMemoryTier()

        async def afterwards() -> None:
            await done.wait()
            await tier.put("a", 1)

        memory = provider("HierarchicalMemory")

        def embed(_: str) -> list[float]:
            later.append(asyncio.create_task(afterwards()))
            return [0.5]

        memory._embedding_provider = embed
        await memory.store(MemoryEntry(content="Paris"))
        done.set()
        await later[0]

    asyncio.run(use())

    assert [span["kaizen.store.type"] for span in kaizen_telemetry.spans] == ["HierarchicalMemory", "HotMemoryTier"]
