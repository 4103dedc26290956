"""Memories that keep entries, values or insights: of agents, of groups of agents, of applications.

One operation is one span. Most of these are made of others (a hierarchy of tiers, an adapter of a buffer): what a
memory asks of those below it is part of its own operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen_otel.invocations.values import attribute_of, bounded_text
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.stores import describe, inside_a_store
from kaizen_otel.patches.watching import awaited, blocking, nothing
from kaizen_semconv.attributes import KaizenMemoryOperation

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_otel.invocations.store import StoreInvocation
    from kaizen_otel.patches.watching import Arguments, Begin, Begun, Keywords, Observe
    from kaizen_otel.telemetry import Telemetry

    SessionOf = Callable[[Arguments, Keywords], Any]

MEMORY_ERROR = "memory_error"
"""`error.type` of what a memory says that it did not save: Kaizen logs the reason and returns `False`."""


def _no_session(_args: Arguments, _kwargs: Keywords) -> Any:
    """The memory is not divided by session."""
    return None


def _session_at(position: int) -> SessionOf:
    return lambda args, kwargs: args[position] if len(args) > position else kwargs.get("session_id")


def _session_of_entry(args: Arguments, kwargs: Keywords) -> Any:
    """`store(entry)`."""
    return attribute_of(args[0] if args else kwargs.get("entry"), "session_id")


def count_entries(access: StoreInvocation, entries: Any) -> None:
    """How many were given."""
    if type(entries) is list:
        access.results = len(entries)


def count_context(access: StoreInvocation, context: Any) -> None:
    """How many entries a context is made of."""
    count_entries(access, attribute_of(context, "entries"))


def count_one(access: StoreInvocation, found: Any) -> None:
    """Whether there was something under the key."""
    access.results = 0 if found is None else 1


def note_unsaved(access: StoreInvocation, saved: Any) -> None:
    """A memory that logs why it could not save, and says only that it did not."""
    if saved is False:
        access.failed_with(MEMORY_ERROR)


class Access(NamedTuple):
    """One method of a memory."""

    operation: KaizenMemoryOperation
    observe: Observe = nothing
    session: SessionOf = _no_session

    def begin(self) -> Begin:
        """Begin an operation for each call."""
        operation, session = self.operation, self.session

        def begin(telemetry: Telemetry, memory: Any, args: Arguments, kwargs: Keywords) -> Begun:
            return telemetry.store(
                lambda: describe(telemetry, memory, operation, bounded_text(session(args, kwargs)) or None)
            )

        return begin


_LOAD, _SAVE, _SEARCH = KaizenMemoryOperation.LOAD, KaizenMemoryOperation.SAVE, KaizenMemoryOperation.SEARCH

_TYPED = {
    "store": Access(_SAVE),
    "retrieve": Access(_LOAD, count_one),
    "search": Access(_SEARCH, count_entries),
}
"""Short, long and semantic memory, over a storage."""

_PROVIDER = {
    "store": Access(_SAVE, session=_session_of_entry),
    "get": Access(_LOAD, count_one),
    "recall": Access(_SEARCH, count_entries, _session_at(1)),
    "build_context": Access(_LOAD, count_context, _session_at(1)),
}
"""The interface of `MemoryProvider`."""

_KEYED = {"get": Access(_LOAD, count_one), "put": Access(_SAVE, note_unsaved)}
"""Tiers, and the system that is made of them."""

BLOCKING: dict[str, dict[str, dict[str, Access]]] = {
    "kaizen.memory.short_term": {"ShortTermMemory": {**_TYPED, "get_recent": Access(_LOAD, count_entries)}},
    "kaizen.memory.long_term": {"LongTermMemory": {**_TYPED, "get_important": Access(_LOAD, count_entries)}},
    "kaizen.memory.semantic": {
        "SemanticMemory": {
            **_TYPED,
            "get_concepts": Access(_LOAD, count_entries),
            "find_similar": Access(_SEARCH, count_entries),
            "find_related": Access(_SEARCH, count_entries),
        }
    },
    "kaizen.memory.shared_memory": {
        "SharedMemoryPool": {
            "write_insight": Access(_SAVE),
            "read_all": Access(_LOAD, count_entries),
            "read_relevant": Access(_SEARCH, count_entries),
        }
    },
    "kaizen_agents.agents.specialized.memory_agent": {
        "SimpleMemoryStore": {
            "add_turn": Access(_SAVE, session=_session_at(0)),
            "get_history": Access(_LOAD, session=_session_at(0)),
        }
    },
}
"""By module and class: what blocks its caller."""

AWAITED: dict[str, dict[str, dict[str, Access]]] = {
    "kaizen.memory.providers.buffer_adapter": {"BufferMemoryAdapter": _PROVIDER},
    "kaizen.memory.providers.hierarchical": {"HierarchicalMemory": _PROVIDER},
    "kaizen.memory.enterprise": {"EnterpriseMemorySystem": _KEYED},
    "kaizen.memory.tiers": {"HotMemoryTier": _KEYED},
    "kaizen.memory.persistent_tiers": {"WarmMemoryTier": _KEYED, "ColdMemoryTier": _KEYED},
    "kaizen.memory.signature_integration": {
        "SignatureMemoryIntegration": {
            "get_cached_result": Access(_LOAD, count_one),
            "cache_signature_result": Access(_SAVE, note_unsaved),
        }
    },
}
"""By module and class: coroutine functions."""


def _surface(module_name: str, classes: dict[str, dict[str, Access]], watching: Callable[..., Any]) -> Surface:
    def apply_to(patcher: Patcher, module: Any) -> None:
        for class_name, accesses in classes.items():
            for method, access in accesses.items():
                wrapper = watching(access.begin(), access.observe, unless=inside_a_store)
                patcher.wrap(getattr(module, class_name), method, wrapper)

    return Surface(module_name, apply_to)


SURFACES = (
    *(_surface(module, classes, blocking) for module, classes in BLOCKING.items()),
    *(_surface(module, classes, awaited) for module, classes in AWAITED.items()),
)
