"""What agents remember and look up: the memories and the vector store of Kaizen, which block their caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.store import StoreInvocation
from kaizen_otel.invocations.values import bounded_text, entry_of
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.watching import blocking
from kaizen_processors.values import type_name
from kaizen_semconv.attributes import KaizenMemoryOperation

if TYPE_CHECKING:
    from kaizen_otel.patches.watching import Arguments, Begun, Keywords
    from kaizen_otel.telemetry import Telemetry

MEMORIES = {
    "buffer": "BufferMemory",
    "persistent_buffer": "PersistentBufferMemory",
    "summary": "SummaryMemory",
    "vector": "VectorMemory",
    "knowledge_graph": "KnowledgeGraphMemory",
}
"""By module below `kaizen.memory`. Each defines both methods itself; their base class only names them."""

_FOUND = ("turns", "recent_turns", "all_turns")
"""Under which names the memories give the turns."""


def _memory_surface(module_name: str, class_name: str) -> Surface:
    def apply_to(patcher: Patcher, module: Any) -> None:
        memory = getattr(module, class_name)
        patcher.wrap(memory, "load_context", blocking(begin_load, observe_turns, unless=inside_a_store))
        patcher.wrap(memory, "save_turn", blocking(begin_save, observe_turns, unless=inside_a_store))

    return Surface(f"kaizen.memory.{module_name}", apply_to)


def apply_vector_store(patcher: Patcher, module: Any) -> None:
    """`SimpleVectorStore`: needs numpy, and a model for the embeddings."""
    patcher.wrap(module.SimpleVectorStore, "search", blocking(begin_search, observe_documents))


SURFACES = (
    *(_memory_surface(module, name) for module, name in MEMORIES.items()),
    Surface("kaizen.retrieval.vector_store", apply_vector_store),
)


def begin_memory(telemetry: Telemetry, memory: Any, operation: KaizenMemoryOperation, session: Any) -> Begun:
    """One access to a memory."""
    return telemetry.store(lambda: describe(telemetry, memory, operation, session))


def begin_load(telemetry: Telemetry, memory: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """`load_context(session_id)`."""
    return begin_memory(telemetry, memory, KaizenMemoryOperation.LOAD, args[0] if args else kwargs.get("session_id"))


def begin_save(telemetry: Telemetry, memory: Any, args: Arguments, kwargs: Keywords) -> Begun:
    """`save_turn(session_id, turn)`."""
    return begin_memory(telemetry, memory, KaizenMemoryOperation.SAVE, args[0] if args else kwargs.get("session_id"))


def begin_search(telemetry: Telemetry, store: Any, _args: Arguments, _kwargs: Keywords) -> Begun:
    """`search(query, top_k, similarity_threshold)`."""
    return telemetry.store(lambda: describe(telemetry, store))


def describe(
    telemetry: Telemetry, store: Any, operation: KaizenMemoryOperation | None = None, session: Any = None
) -> StoreInvocation:
    """Which store, asked for what."""
    return StoreInvocation(
        telemetry,
        current_scope(),
        store_type=type_name(store),
        memory_operation=operation,
        session_id=bounded_text(session),
    )


def inside_a_store(_store: Any, _args: Arguments, _kwargs: Keywords) -> bool:
    """Whether this is one part of what was asked of another store: the outermost is the operation."""
    scope = current_scope()
    return isinstance(scope, StoreInvocation) and not scope.ended


def observe_turns(access: StoreInvocation, context: Any) -> None:
    """How many turns a memory gave."""
    for name in _FOUND:
        turns = entry_of(context, name)
        if type(turns) is list:
            access.results = len(turns)
            return


def observe_documents(access: StoreInvocation, documents: Any) -> None:
    """How many documents a search found."""
    if type(documents) is list:
        access.results = len(documents)
