"""Slots of the memories, the vector store and the native tools."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.stage import Stage

SLOTS = Slots()
MEMORY = "kaizen.memory"
NATIVE = "kaizen.tools.native.registry:KaizenToolRegistry.execute"


class _Backend:
    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    def load_turns(self, *_: Any, **__: Any) -> Any:
        return self._load()

    def save_turn(self, *_: Any, **__: Any) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@SLOTS.add(f"{MEMORY}.buffer:BufferMemory.load_context")
def buffer_session(stage: Stage) -> Any:
    from kaizen.memory.buffer import BufferMemory

    return BufferMemory().load_context(stage.value)


@SLOTS.add(f"{MEMORY}.buffer:BufferMemory.save_turn")
def buffer_turn(stage: Stage) -> Any:
    from kaizen.memory.buffer import BufferMemory

    memory = BufferMemory()
    memory.save_turn("s", stage.value)
    return memory.load_context("s")


@SLOTS.add(f"{MEMORY}.persistent_buffer:PersistentBufferMemory.load_context")
def persistent_turns(stage: Stage) -> Any:
    from kaizen.memory.persistent_buffer import PersistentBufferMemory

    return PersistentBufferMemory(backend=_Backend(stage.give)).load_context("s")


@SLOTS.add(f"{MEMORY}.persistent_buffer:PersistentBufferMemory.save_turn")
def persistent_turn(stage: Stage) -> Any:
    from kaizen.memory.persistent_buffer import PersistentBufferMemory

    return PersistentBufferMemory(backend=_Backend(list)).save_turn("s", stage.value)


@SLOTS.add(f"{MEMORY}.summary:SummaryMemory.load_context")
def summary_session(stage: Stage) -> Any:
    from kaizen.memory.summary import SummaryMemory

    return SummaryMemory(llm_summarizer=lambda _: "short").load_context(stage.value)


@SLOTS.add(f"{MEMORY}.summary:SummaryMemory.save_turn")
def summary_turn(stage: Stage) -> Any:
    from kaizen.memory.summary import SummaryMemory

    return SummaryMemory(llm_summarizer=lambda _: "short").save_turn("s", stage.value)


@SLOTS.add(f"{MEMORY}.vector:VectorMemory.load_context")
def vector_query(stage: Stage) -> Any:
    from kaizen.memory.vector import VectorMemory

    memory = VectorMemory(embedding_fn=lambda _: [0.5])
    memory.save_turn("s", {"user": "a", "agent": "b"})
    return memory.load_context("s", stage.value)


@SLOTS.add(f"{MEMORY}.vector:VectorMemory.save_turn", takes="error outside a loop")
def vector_raises(stage: Stage) -> Any:
    from kaizen.memory.vector import VectorMemory

    return VectorMemory(embedding_fn=lambda _: stage.throw()).save_turn("s", {"user": "a", "agent": "b"})


@SLOTS.add(f"{MEMORY}.vector:VectorMemory.save_turn")
def vector_turn(stage: Stage) -> Any:
    from kaizen.memory.vector import VectorMemory

    return VectorMemory(embedding_fn=lambda _: [0.5]).save_turn("s", stage.value)


@SLOTS.add(f"{MEMORY}.knowledge_graph:KnowledgeGraphMemory.load_context")
def graph_session(stage: Stage) -> Any:
    from kaizen.memory.knowledge_graph import KnowledgeGraphMemory

    return KnowledgeGraphMemory().load_context(stage.value)


@SLOTS.add(f"{MEMORY}.knowledge_graph:KnowledgeGraphMemory.save_turn")
def graph_turn(stage: Stage) -> Any:
    from kaizen.memory.knowledge_graph import KnowledgeGraphMemory

    return KnowledgeGraphMemory().save_turn("s", stage.value)


@SLOTS.add("kaizen.retrieval.vector_store:SimpleVectorStore.search")
def vector_store_query(stage: Stage) -> Any:
    import numpy as np
    from kaizen.retrieval.vector_store import SimpleVectorStore

    store = SimpleVectorStore()
    store.embeddings_model = SimpleNamespace(encode=lambda texts, **_: np.ones((len(texts), 2)))
    store.add_documents([{"id": "1", "title": "t", "content": "c"}])
    return store.search(stage.value)


def _native(stage: Stage, execute: Callable[[], Any], name: Any = "tool", params: Any = None) -> Any:
    from kaizen.tools.native.registry import KaizenToolRegistry

    class Tool:
        async def execute_with_timing(self, **_: Any) -> Any:
            return execute()

    registry = KaizenToolRegistry()
    registry._tools["tool"] = Tool()
    return stage.run(registry.execute(name, {} if params is None else params))


@SLOTS.add(NATIVE)
def native_tool_answer(stage: Stage) -> Any:
    return _native(stage, lambda: SimpleNamespace(success=False, output=stage.give(), error=stage.value, metadata={}))


@SLOTS.add(NATIVE)
def native_tool_name(stage: Stage) -> Any:
    return _native(stage, lambda: None, stage.value)


@SLOTS.add(NATIVE)
def native_tool_params(stage: Stage) -> Any:
    return _native(stage, lambda: SimpleNamespace(success=True), params={"a": stage.value})


@SLOTS.add(NATIVE, takes="error")
def native_tool_raises(stage: Stage) -> Any:
    return _native(stage, stage.throw)
