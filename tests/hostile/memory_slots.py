"""Slots of the memories of entries, values and turns."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tests.hostile.slot import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.stage import Stage

SLOTS = Slots()
MEMORY = "kaizen.memory"


class _Storage:
    """A storage that gives whatever a test brings, for every question."""

    def __init__(self, give: Callable[[], Any]) -> None:
        self._give = give

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self._give()


def _add(surface: str, name: str, run: Callable[[Stage], Any], **takes: Any) -> None:
    run.__name__ = name
    SLOTS.add(surface, **takes)(run)


def _typed(module: str, class_name: str, methods: tuple[str, ...]) -> None:
    """Each method with the value as its argument, and with a storage that gives it; and one that raises."""
    surface = f"{MEMORY}.{module}:{class_name}"

    def of(storage: Callable[[], Any]) -> Any:
        return getattr(import_module(f"{MEMORY}.{module}"), class_name)(_Storage(storage))

    def add(method: str) -> None:
        asked = () if method in {"get_recent", "get_important", "get_concepts"} else ("x",)
        _add(f"{surface}.{method}", f"{module}_{method}", lambda stage: getattr(of(list), method)(stage.value))
        _add(f"{surface}.{method}", f"{module}_{method}_given", lambda stage: getattr(of(stage.give), method)(*asked))

    for method in methods:
        add(method)
    _add(f"{surface}.store", f"{module}_raises", lambda stage: of(stage.throw).store("x"), takes="error outside a loop")


_typed("short_term", "ShortTermMemory", ("store", "retrieve", "search", "get_recent"))
_typed("long_term", "LongTermMemory", ("store", "retrieve", "search", "get_important"))
_typed(
    "semantic",
    "SemanticMemory",
    ("store", "retrieve", "search", "get_concepts", "find_similar", "find_related"),
)


def _entry(**fields: Any) -> Any:
    from kaizen.memory.providers.types import MemoryEntry

    return MemoryEntry(**{"content": "x", "session_id": "s", **fields})


def _provider(module: str, class_name: str) -> None:
    surface = f"{MEMORY}.providers.{module}:{class_name}"

    def made() -> Any:
        return getattr(import_module(f"{MEMORY}.providers.{module}"), class_name)()

    async def stored_and(method: str, *args: Any, **kwargs: Any) -> Any:
        memory = made()
        await memory.store(_entry())
        return await getattr(memory, method)(*args, **kwargs)

    _add(f"{surface}.store", f"{module}_entry", lambda stage: stage.run(made().store(stage.value)))
    _add(
        f"{surface}.store",
        f"{module}_session",
        lambda stage: stage.run(made().store(_noted(stage, _entry(session_id=stage.value)))),
    )

    def add(method: str) -> None:
        _add(f"{surface}.{method}", f"{module}_{method}", lambda stage: stage.run(stored_and(method, stage.value)))

    def add_session(method: str) -> None:
        _add(
            f"{surface}.{method}",
            f"{module}_{method}_session",
            lambda stage: stage.run(stored_and(method, session_id=stage.value)),
        )

    for method in ("get", "recall", "build_context"):
        add(method)
    for method in ("recall", "build_context"):
        add_session(method)


def _noted(stage: Stage, entry: Any) -> Any:
    """An entry that holds the value where the stage does not look for it."""
    stage.reached = True
    return entry


_provider("buffer_adapter", "BufferMemoryAdapter")
_provider("hierarchical", "HierarchicalMemory")


def _enterprise(folder: str) -> Any:
    from kaizen.memory.enterprise import EnterpriseMemorySystem

    config = {"warm_storage_path": f"{folder}/warm.db", "cold_storage_path": f"{folder}/cold"}
    return EnterpriseMemorySystem({**config, "multi_tenant_enabled": False})


def _hot(_folder: str) -> Any:
    from kaizen.memory.tiers import HotMemoryTier

    return HotMemoryTier()


def _warm(folder: str) -> Any:
    from kaizen.memory.persistent_tiers import WarmMemoryTier

    return WarmMemoryTier(f"{folder}/warm.db")


def _cold(folder: str) -> Any:
    from kaizen.memory.persistent_tiers import ColdMemoryTier

    return ColdMemoryTier(f"{folder}/cold")


async def _in_a_folder(make: Callable[[str], Any], use: Callable[[Any], Any]) -> Any:
    """What is done with a memory in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        memory = make(folder)
        try:
            return await use(memory)
        finally:
            for tier in (getattr(memory, "warm_tier", memory), getattr(memory, "cold_tier", memory)):
                if hasattr(tier, "close"):
                    with suppress(BaseException):
                        await tier.close()


def _keyed(surface: str, name: str, make: Callable[[str], Any]) -> None:
    def put(stage: Stage) -> Any:
        async def put_and_get(memory: Any) -> Any:
            await memory.put("key", stage.value)
            return await memory.get("key")

        return stage.run(_in_a_folder(make, put_and_get))

    def get(stage: Stage) -> Any:
        return stage.run(_in_a_folder(make, lambda memory: memory.get(stage.value)))

    _add(f"{MEMORY}.{surface}.put", f"{name}_value", put)
    _add(f"{MEMORY}.{surface}.get", f"{name}_key", get)


_keyed("enterprise:EnterpriseMemorySystem", "enterprise", _enterprise)
_keyed("tiers:HotMemoryTier", "hot_tier", _hot)
_keyed("persistent_tiers:WarmMemoryTier", "warm_tier", _warm)
_keyed("persistent_tiers:ColdMemoryTier", "cold_tier", _cold)

CACHE = f"{MEMORY}.signature_integration:SignatureMemoryIntegration"


class _Cached:
    """A memory system that gives, for every question, what a test brings."""

    def __init__(self, give: Callable[[], Any]) -> None:
        self._give = give

    async def get(self, *_: Any, **__: Any) -> Any:
        return self._give()

    async def put(self, *_: Any, **__: Any) -> Any:
        return self._give()


def _cache(give: Callable[[], Any]) -> Any:
    from kaizen.memory.signature_integration import SignatureMemoryIntegration

    return SignatureMemoryIntegration(_Cached(give))


@SLOTS.add(f"{CACHE}.get_cached_result")
def cached_result(stage: Stage) -> Any:
    return stage.run(_cache(stage.give).get_cached_result(_Signature(), {"x": "y"}, "exact"))


@SLOTS.add(f"{CACHE}.get_cached_result", takes="error")
def cached_result_raises(stage: Stage) -> Any:
    return stage.run(_cache(stage.throw).get_cached_result(_Signature(), {"x": "y"}, "exact"))


@SLOTS.add(f"{CACHE}.cache_signature_result")
def cache_answer(stage: Stage) -> Any:
    return stage.run(_cache(stage.give).cache_signature_result(_Signature(), {"x": "y"}, "z", "exact"))


@SLOTS.add(f"{CACHE}.cache_signature_result")
def cache_inputs(stage: Stage) -> Any:
    return stage.run(_cache(lambda: True).cache_signature_result(_Signature(), {"x": stage.value}, "z", "exact"))


class _Signature:
    name = "question"


POOL = f"{MEMORY}.shared_memory:SharedMemoryPool"


def _pool() -> Any:
    from kaizen.memory.shared_memory import SharedMemoryPool

    return SharedMemoryPool()


@SLOTS.add(f"{POOL}.write_insight")
def shared_insight(stage: Stage) -> Any:
    pool = _pool()
    pool.write_insight(stage.value)
    return pool.read_all()


@SLOTS.add(f"{POOL}.read_all")
def shared_with_an_argument_too_many(stage: Stage) -> Any:
    return _pool().read_all(stage.value)


@SLOTS.add(f"{POOL}.read_relevant")
def shared_readers_name(stage: Stage) -> Any:
    pool = _pool()
    pool.write_insight({"agent_id": "a", "content": "x", "tags": ["t"], "importance": 0.5, "segment": "s"})
    return pool.read_relevant(exclude_agent=stage.value)


TURNS = "kaizen_agents.agents.specialized.memory_agent:SimpleMemoryStore"


def _turns() -> Any:
    from kaizen_agents.agents.specialized.memory_agent import SimpleMemoryStore

    return SimpleMemoryStore()


@SLOTS.add(f"{TURNS}.add_turn")
def added_turn(stage: Stage) -> Any:
    memory = _turns()
    memory.add_turn("s", "user", stage.value)
    return memory.conversations["s"][0]["content"]


@SLOTS.add(f"{TURNS}.add_turn")
def added_turns_session(stage: Stage) -> Any:
    return _turns().add_turn(stage.value, "user", "x")


@SLOTS.add(f"{TURNS}.get_history")
def history_session(stage: Stage) -> Any:
    return _turns().get_history(stage.value)
