"""What `docs/coverage.md` says of memories, retrieval and tools: each method goes well, and fails."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.kaizen_otel.surfaces.test_memories import enterprise, provider, typed_memory
from tests.kaizen_otel.surfaces.test_stores import memory_of, vector_store
from tests.versions.capabilities import needs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kaizen_otel.testing import Captured

UNHASHABLE: Any = []
"""A key that no memory can look up."""


class Broken:
    """Stands for whatever a memory is made of."""

    def __getattr__(self, name: str) -> Any:
        raise OSError(f"no {name}: the disk is gone")


def turns(kind: str) -> Callable[[Path], None]:
    def scene(_: Path) -> None:
        memory = memory_of(kind)
        memory.save_turn("s-1", {"user": "hello", "agent": "hi", "timestamp": "2026-01-01T00:00:00"})
        memory.load_context("s-1")
        with suppress(Exception):
            memory.save_turn(UNHASHABLE, {"user": "hello", "agent": "hi"})
        with suppress(Exception):
            memory.load_context(UNHASHABLE)

    return scene


def entries(kind: str, *more: str) -> Callable[[Path], None]:
    def scene(folder: Path) -> None:
        memory = typed_memory(kind, folder)
        key = memory.store("Paris")
        given = {
            "retrieve": (key,),
            "find_related": (key,),
            **dict.fromkeys(("store", "search", "find_similar"), ("x",)),
        }
        calls = [(getattr(memory, name), given.get(name, ())) for name in ("store", "retrieve", "search", *more)]
        for call, args in calls:
            call(*args)
        memory.storage = Broken()
        for call, args in calls:
            with suppress(OSError):
                call(*args)

    return scene


def provided(kind: str) -> Callable[[Path], Any]:
    async def scene() -> None:
        from kaizen.memory.providers.types import MemoryEntry

        memory = provider(kind)
        key = await memory.store(MemoryEntry(content="Paris", session_id="s-1"))
        await memory.get(key)
        await memory.recall("Paris", "s-1")
        await memory.build_context(session_id="s-1")
        for name in [name for name, value in vars(memory).items() if not callable(value)]:
            setattr(memory, name, Broken())
        for name, args in (
            ("store", (MemoryEntry(content="Lyon"),)),
            ("get", ("k",)),
            ("recall", ("Paris",)),
            ("build_context", ()),
        ):
            with suppress(Exception):
                await getattr(memory, name)(*args)

    return lambda _: scene()


async def system(folder: Path) -> None:
    async with enterprise(folder) as made:
        await made.put("a", 1)
        await made.get("a")
        await made.put("b", UNHASHABLE, tier_hint=UNHASHABLE)
        await made.warm_tier.close()
        await made.put("a", 1, tier_hint="warm")


async def tiers(folder: Path) -> None:
    async with enterprise(folder) as made:
        for tier in (made.hot_tier, made.warm_tier, made.cold_tier):
            await tier.put("a", 1)
            await tier.get("a")
            await tier.put(UNHASHABLE, lambda: None)
        await made.warm_tier.close()
        await made.warm_tier.put("a", 1)


async def cached(folder: Path) -> None:
    from kaizen.memory.signature_integration import SignatureMemoryIntegration

    from tests.kaizen_otel.surfaces import scenes

    async with enterprise(folder) as made:
        cache = SignatureMemoryIntegration(made)
        await cache.cache_signature_result(scenes.Answer(), {"question": "x"}, {"answer": "y"}, strategy="exact")
        await cache.get_cached_result(scenes.Answer(), {"question": "x"}, strategy="exact")
        cache.memory_system = Broken()
        with suppress(Exception):
            await cache.cache_signature_result(scenes.Answer(), {"question": "x"}, {"answer": "y"}, strategy="exact")
        with suppress(Exception):
            await cache.get_cached_result(scenes.Answer(), {"question": "x"}, strategy="exact")


def shared(_: Path) -> None:
    from kaizen.memory.shared_memory import SharedMemoryPool

    pool = SharedMemoryPool()
    insight = {"agent_id": "a", "content": "x", "tags": ["t"], "importance": 0.5, "segment": "s", "metadata": {}}
    pool.write_insight(insight)
    pool.read_all()
    pool.read_relevant(tags=["t"])
    pool._insights = pool._lock = Broken()
    for call in (lambda: pool.write_insight(insight), pool.read_all, lambda: pool.read_relevant(tags=["t"])):
        with suppress(Exception):
            call()


def turns_of_an_agent(_: Path) -> None:
    from kaizen_agents.agents.specialized.memory_agent import SimpleMemoryStore

    store = SimpleMemoryStore()
    store.add_turn("s-1", "user", "hello")
    store.get_history("s-1")
    with suppress(TypeError):
        store.add_turn(UNHASHABLE, "user", "hello")
    with suppress(TypeError):
        store.get_history(UNHASHABLE)


def vectors(_: Path) -> None:
    store = vector_store()
    store.search("c")
    store.embeddings_model = Broken()
    with suppress(OSError):
        store.search("c")


async def native_tools(folder: Path) -> None:
    from kaizen.tools.native.registry import KaizenToolRegistry

    registry = KaizenToolRegistry()
    registry.register_defaults(["file"])
    await registry.execute("list_directory", {"path": str(folder)})
    await registry.execute("read_file", {"path": str(folder / "nowhere")})


async def delegates_tools(_: Path) -> None:
    from tests.kaizen_otel.surfaces import delegates

    registry = delegates.tools()
    await registry.execute("weather", {"city": "Paris"})
    with suppress(Exception):
        await registry.execute("fly", {})


STORES: dict[str, Callable[[Path], Any]] = {
    "kaizen.memory.buffer:BufferMemory.save_turn kaizen.memory.buffer:BufferMemory.load_context": turns("BufferMemory"),
    "kaizen.memory.persistent_buffer:PersistentBufferMemory.save_turn "
    "kaizen.memory.persistent_buffer:PersistentBufferMemory.load_context": turns("PersistentBufferMemory"),
    "kaizen.memory.summary:SummaryMemory.save_turn kaizen.memory.summary:SummaryMemory.load_context": turns(
        "SummaryMemory"
    ),
    "kaizen.memory.vector:VectorMemory.save_turn kaizen.memory.vector:VectorMemory.load_context": turns("VectorMemory"),
    "kaizen.memory.knowledge_graph:KnowledgeGraphMemory.save_turn "
    "kaizen.memory.knowledge_graph:KnowledgeGraphMemory.load_context": turns("KnowledgeGraphMemory"),
    "kaizen.memory.short_term:ShortTermMemory.store "
    "kaizen.memory.short_term:ShortTermMemory.retrieve "
    "kaizen.memory.short_term:ShortTermMemory.search "
    "kaizen.memory.short_term:ShortTermMemory.get_recent": entries("ShortTermMemory", "get_recent"),
    "kaizen.memory.long_term:LongTermMemory.store "
    "kaizen.memory.long_term:LongTermMemory.retrieve "
    "kaizen.memory.long_term:LongTermMemory.search "
    "kaizen.memory.long_term:LongTermMemory.get_important": entries("LongTermMemory", "get_important"),
    "kaizen.memory.semantic:SemanticMemory.store "
    "kaizen.memory.semantic:SemanticMemory.retrieve "
    "kaizen.memory.semantic:SemanticMemory.search "
    "kaizen.memory.semantic:SemanticMemory.get_concepts "
    "kaizen.memory.semantic:SemanticMemory.find_similar "
    "kaizen.memory.semantic:SemanticMemory.find_related": entries(
        "SemanticMemory", "get_concepts", "find_similar", "find_related"
    ),
    "kaizen.memory.providers.buffer_adapter:BufferMemoryAdapter.store "
    "kaizen.memory.providers.buffer_adapter:BufferMemoryAdapter.get "
    "kaizen.memory.providers.buffer_adapter:BufferMemoryAdapter.recall "
    "kaizen.memory.providers.buffer_adapter:BufferMemoryAdapter.build_context": provided("BufferMemoryAdapter"),
    "kaizen.memory.providers.hierarchical:HierarchicalMemory.store "
    "kaizen.memory.providers.hierarchical:HierarchicalMemory.get "
    "kaizen.memory.providers.hierarchical:HierarchicalMemory.recall "
    "kaizen.memory.providers.hierarchical:HierarchicalMemory.build_context": provided("HierarchicalMemory"),
    "kaizen.memory.enterprise:EnterpriseMemorySystem.put": system,
    "kaizen.memory.tiers:HotMemoryTier.put "
    "kaizen.memory.persistent_tiers:WarmMemoryTier.put "
    "kaizen.memory.persistent_tiers:ColdMemoryTier.put": tiers,
    "kaizen.memory.shared_memory:SharedMemoryPool.write_insight "
    "kaizen.memory.shared_memory:SharedMemoryPool.read_all "
    "kaizen.memory.shared_memory:SharedMemoryPool.read_relevant": shared,
    "kaizen_agents.agents.specialized.memory_agent:SimpleMemoryStore.add_turn "
    "kaizen_agents.agents.specialized.memory_agent:SimpleMemoryStore.get_history": turns_of_an_agent,
    "kaizen.retrieval.vector_store:SimpleVectorStore.search": vectors,
    "kaizen.tools.native.registry:KaizenToolRegistry.execute": native_tools,
    "kaizen_agents.delegate.loop:ToolRegistry.execute": delegates_tools,
}
"""What is held, as in `entries`, to all that a store shows."""

QUIET: dict[str, Callable[[Path], Any]] = {
    "kaizen.memory.enterprise:EnterpriseMemorySystem.get": system,
    "kaizen.memory.tiers:HotMemoryTier.get "
    "kaizen.memory.persistent_tiers:WarmMemoryTier.get "
    "kaizen.memory.persistent_tiers:ColdMemoryTier.get": tiers,
    "kaizen.memory.signature_integration:SignatureMemoryIntegration.cache_signature_result "
    "kaizen.memory.signature_integration:SignatureMemoryIntegration.get_cached_result": cached,
}
"""What Kaizen answers without a word where it fails."""


def play(scene: Callable[[Path], Any], folder: Path, captured: Captured) -> None:
    with captured.tracer_provider.get_tracer("app").start_as_current_span("caller"):
        running = scene(folder)
        if asyncio.iscoroutine(running):
            asyncio.run(running)


@needs("delegate")
@pytest.mark.covers_each("methods", "traced", "error", "context")
@pytest.mark.parametrize("methods", STORES)
def test_what_is_kept_or_looked_up_and_what_fails_at_it(
    methods: str, tmp_path: Path, kaizen_telemetry: Captured
) -> None:
    play(STORES[methods], tmp_path, kaizen_telemetry)
    assert {span.status for span in kaizen_telemetry.spans} >= {"UNSET", "ERROR"}


@pytest.mark.covers_each("methods", "traced", "context")
@pytest.mark.parametrize("methods", QUIET)
def test_a_memory_that_answers_with_nothing_where_it_fails(
    methods: str, tmp_path: Path, kaizen_telemetry: Captured
) -> None:
    play(QUIET[methods], tmp_path, kaizen_telemetry)
    assert kaizen_telemetry.spans
