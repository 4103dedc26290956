"""What agents remember and look up: the memories and the vector store of Kaizen, which block their caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel.invocations.scope import current_scope
from kaizen_otel.invocations.store import StoreInvocation
from kaizen_otel.invocations.values import bounded_text, entry_of
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.switch import active
from kaizen_processors.values import type_name
from kaizen_semconv.attributes import KaizenMemoryOperation

if TYPE_CHECKING:
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
        patcher.wrap(memory, "load_context", load_context)
        patcher.wrap(memory, "save_turn", save_turn)

    return Surface(f"kaizen.memory.{module_name}", apply_to)


def apply_vector_store(patcher: Patcher, module: Any) -> None:
    """`SimpleVectorStore`: needs numpy, and a model for the embeddings."""
    patcher.wrap(module.SimpleVectorStore, "search", search)


SURFACES = (
    *(_memory_surface(module, name) for module, name in MEMORIES.items()),
    Surface("kaizen.retrieval.vector_store", apply_vector_store),
)


def load_context(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`load_context(session_id)`."""
    return _memory(KaizenMemoryOperation.LOAD, wrapped, instance, args, kwargs)


def save_turn(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`save_turn(session_id, turn)`."""
    return _memory(KaizenMemoryOperation.SAVE, wrapped, instance, args, kwargs)


def _memory(
    operation: KaizenMemoryOperation, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    telemetry = active()
    if telemetry is None:
        return wrapped(*args, **kwargs)
    session = args[0] if args else kwargs.get("session_id")
    with telemetry.store(lambda: describe(telemetry, instance, operation, session)) as access:
        result = wrapped(*args, **kwargs)
        access.observe(lambda access: observe_turns(access, result))
    return result


def search(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`search(query, top_k, similarity_threshold)`."""
    telemetry = active()
    if telemetry is None:
        return wrapped(*args, **kwargs)
    with telemetry.store(lambda: describe(telemetry, instance)) as access:
        result = wrapped(*args, **kwargs)
        access.observe(lambda access: observe_documents(access, result))
    return result


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
