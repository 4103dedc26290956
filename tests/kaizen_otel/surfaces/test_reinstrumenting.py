"""Turning it on and off: objects made before are seen, kept methods pass through, nothing changes or piles up."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import kaizen_otel
from kaizen_otel.patches.nodes import _family
from kaizen_otel.patches.patcher import OurWrapper
from kaizen_otel.patches.table import PATCHER
from kaizen_otel.testing import capture
from tests.versions.capabilities import absent_modules

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer

ONE_AGENT_RUN = "invoke_agent qa\n  invoke_workflow\n    node LLMAgentNode\n      chat gpt-4o"

EXPECTED = {
    "LlmClient": {"complete", "stream", "embed"},
    "LLMAgentNode": {"_run_async_in_sync_context", "_mock_llm_response", "_execute_regular_tool"},
    "EmbeddingGeneratorNode": {"_run_embed_coro"},
    "AsyncNode": {"execute_async", "execute", "_execute_in_thread"},
    "Node": {"execute", "__init_subclass__"},
    "LocalRuntime": {"execute", "execute_async"},
    "AsyncLocalRuntime": {"execute", "execute_async", "execute_workflow_async"},
    "ParallelRuntime": {"execute"},
    "ParallelCyclicRuntime": {"execute"},
    "AccessControlledRuntime": {"execute"},
    "Agent": {"execute", "execute_workflow", "execute_cot", "execute_react", "execute_multi_round", "communicate_with"},
    "AgentLoop": {"run_sync", "run_async"},
    "BaseAgent": {"_handle_error"},
    "Kaizen": {"__init__", "create_agent"},
    "MCPClient": {"call_tool"},
    "kaizen.llm.wire_protocols.openai_chat": {"parse_response"},
    "kaizen.llm.wire_protocols.openai_embeddings": {"parse_response"},
    # Two of the some thirty that override what they inherit.
    "VectorDatabaseNode": {"execute"},
    "SignalWaitNode": {"execute_async"},
}


def import_all_surfaces() -> None:
    """Have everything imported that is ever patched, and some nodes that override what they inherit."""
    import importlib

    modules = dict.fromkeys(surface.module for surface in PATCHER._surfaces)
    absent = {module for module in modules if not _found(module)}
    assert absent == absent_modules() & modules.keys()
    for module in modules.keys() - absent:
        importlib.import_module(module)
    for module in ("kailash.nodes.data.vector_db", "kailash.nodes.logic.signal_wait"):
        importlib.import_module(module)


def _found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor is the package that it would be in
        return False


def test_every_surface_is_patched(kaizen_offline: ModelServer) -> None:
    from kailash.nodes.base import Node

    del kaizen_offline
    import_all_surfaces()
    with capture():
        patched = {(owner.__name__, name) for owner, name in PATCHER.patched()}
        assert PATCHER.missing == []
        overriding = [
            (owner, name)
            for owner in _family(Node)
            for name in ("execute", "execute_async")
            if name in vars(owner) and type(vars(owner)[name]) is not OurWrapper
        ]
        assert overriding == []
    assert {(owner, name) for owner, names in EXPECTED.items() for name in names} <= patched
    assert PATCHER.patched() == {}


def test_a_hundred_cycles_leave_every_attribute_identical_and_nothing_piled_up(kaizen_offline: ModelServer) -> None:
    from kaizen_otel.telemetry import Telemetry
    from tests.kaizen_otel.surfaces import scenes

    import_all_surfaces()
    exporter = InMemorySpanExporter()
    tracer_provider = TracerProvider(shutdown_on_exit=False)
    tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    meter_provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    providers: dict[str, Any] = {"tracer_provider": tracer_provider, "meter_provider": meter_provider}
    agent = scenes.base_agent(agent_id="qa")

    gc.collect()
    # What other tests made and something of Kaizen's still holds (a runtime that nobody closed) is not ours to count.
    others = weakref.WeakSet(thing for thing in gc.get_objects() if type(thing) is Telemetry)

    def sizes() -> dict[str, int]:
        from kaizen_otel import metrics_desk
        from kaizen_otel import providers as ours

        gc.collect()
        hooks: dict[str, Any] = sys.modules["wrapt.importer"].__dict__["_post_import_hooks"]
        return {
            "processors": len(tracer_provider._active_span_processor._span_processors),
            "instruments": sum(len(meter._instrument_id_instrument) for meter in meter_provider._meters.values()),
            "shells": len(ours._shells),
            "instrument sets": len(metrics_desk._instruments),
            "import hooks": sum(len(found) for found in hooks.values() if found),
            "telemetries": sum(type(thing) is Telemetry and thing not in others for thing in gc.get_objects()),
            "patcher": len(PATCHER.missing) + len(PATCHER._undo) + len(PATCHER._applied) + len(PATCHER._patched),
        }

    kaizen_otel.instrument(**providers)
    before = {(owner, name): original for (owner, name), original in PATCHER.patched().items()}
    kaizen_otel.uninstrument()
    assert len(before) > 45
    first = sizes()
    threads = set(threading.enumerate())  # those of other tests may end meanwhile
    for _ in range(100):
        kaizen_otel.instrument(**providers)
        kaizen_otel.uninstrument()

    changed = [(owner, name) for (owner, name), original in before.items() if vars(owner)[name] is not original]
    assert changed == []
    assert sizes() == first
    assert set(threading.enumerate()) <= threads
    assert (first["processors"], first["telemetries"], first["patcher"]) == (2, 0, 0)

    kaizen_otel.instrument(**providers)
    agent.run(question="x")
    kaizen_otel.uninstrument()
    assert sorted(span.name for span in exporter.get_finished_spans()) == [
        "chat gpt-4o",
        "invoke_agent qa",
        "invoke_workflow",
        "node LLMAgentNode",
    ]
    assert len(kaizen_offline.requests) == 1


def test_agents_runtimes_and_nodes_made_before_are_seen(kaizen_offline: ModelServer) -> None:
    from kailash.runtime.local import LocalRuntime

    from tests.kaizen_otel.surfaces import scenes

    agent, base = scenes.kaizen_agent(), scenes.base_agent(agent_id="qa")
    node, built, client = scenes.SyncProbe(), scenes.workflow("llm"), scenes.llm_client()
    with LocalRuntime() as runtime:
        runtime.execute(built)
        with capture() as captured:
            agent.execute(question="x")
            assert captured.tree() == ONE_AGENT_RUN
            captured.clear()
            base.run(question="x")
            assert captured.tree() == ONE_AGENT_RUN
            captured.clear()
            node.execute()
            runtime.execute(built)
            asyncio.run(client.complete(scenes.MESSAGES))
            assert captured.tree() == (
                "node SyncProbe\ninvoke_workflow\n  invoke_agent n0\n    chat gpt-4o\nchat gpt-4o"
            )
    assert len(kaizen_offline.requests) == 5


def test_methods_that_were_kept_pass_through_when_off_and_count_once_when_on_again(
    kaizen_offline: ModelServer,
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    with capture():
        agent = scenes.kaizen_agent()
        # Kaizen's metrics and retry mixins keep the bound `run` on the instance, too.
        base = scenes.base_agent(agent_id="qa", performance_enabled=True)
        kept = [agent.execute, base.run]
        client = scenes.llm_client()
        complete, stream = client.complete, client.stream

    async def use_client() -> None:
        await complete(scenes.MESSAGES)
        assert [chunk async for chunk in stream(scenes.MESSAGES)]

    for run in kept:
        assert run(question="x")
    asyncio.run(use_client())
    assert len(kaizen_offline.requests) == 4

    with capture() as captured:
        for run in kept:
            run(question="x")
        assert captured.tree() == f"{ONE_AGENT_RUN}\n{ONE_AGENT_RUN}"
        captured.clear()
        asyncio.run(use_client())
        assert captured.tree() == "chat gpt-4o\nchat gpt-4o"


def test_another_librarys_wrapper_over_ours_survives(kaizen_offline: ModelServer) -> None:
    from kaizen.llm.client import LlmClient

    from tests.kaizen_otel.surfaces import scenes

    original = vars(LlmClient)["complete"]
    heard: list[str] = []

    def listen(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        heard.append("theirs")
        return wrapped(*args, **kwargs)

    async def ask() -> None:
        await scenes.llm_client().complete(scenes.MESSAGES)

    try:
        with capture():
            wrapt.wrap_function_wrapper(LlmClient, "complete", listen)
            theirs = vars(LlmClient)["complete"]
        assert vars(LlmClient)["complete"] is theirs
        asyncio.run(ask())
        assert heard == ["theirs"]

        for _ in range(3):
            with capture() as captured:
                asyncio.run(ask())
                assert captured.tree() == "chat gpt-4o"
            assert vars(LlmClient)["complete"] is theirs
        assert len(heard) == len(kaizen_offline.requests) == 4
    finally:
        LlmClient.complete = theirs.__wrapped__  # the other library goes: what it wrapped, our idle wrapper, is back

    assert vars(LlmClient)["complete"] is not original
    with capture() as captured:
        asyncio.run(ask())
        assert captured.tree() == "chat gpt-4o"
    assert vars(LlmClient)["complete"] is original


def test_a_node_class_made_later_is_seen_and_restored() -> None:
    from tests.kaizen_otel.surfaces import scenes

    with capture() as captured:

        class LateNode(scenes.SyncProbe):
            def execute(self, **inputs: Any) -> dict[str, Any]:
                return {"result": inputs}

            async def execute_async(self, **inputs: Any) -> dict[str, Any]:
                return {"result": inputs}

        later = LateNode()
        assert later.execute(a=1) == {"result": {"a": 1}}
        assert asyncio.run(later.execute_async(b=2)) == {"result": {"b": 2}}
        assert captured.tree() == "node LateNode\nnode LateNode"
        captured.clear()
        scenes.SyncProbe().execute()
        assert captured.tree() == "node SyncProbe"

    assert type(vars(LateNode)["execute"]).__name__ == type(vars(LateNode)["execute_async"]).__name__ == "function"
    with capture() as captured:
        later.execute()
        assert captured.tree() == "node LateNode"


def test_a_node_class_that_was_forgotten_is_not_kept_alive() -> None:
    import weakref

    from kailash.nodes.base import Node

    with capture():

        class Passing(Node):
            def execute(self, **_: Any) -> dict[str, Any]:
                return {}

        alive = weakref.ref(Passing)
        del Passing
        gc.collect()
        assert alive() is None


def test_an_override_that_calls_what_it_overrides_is_one_span(kaizen_offline: ModelServer) -> None:
    from tests.kaizen_otel.surfaces import scenes

    class Careful(scenes.SyncProbe):
        def execute(self, **inputs: Any) -> Any:
            return super().execute(**inputs)

    with capture() as captured:

        class VeryCareful(Careful):
            execute = Careful.execute

        Careful().execute()
        VeryCareful().execute()
        assert captured.tree() == "node Careful\nnode VeryCareful"
    assert kaizen_offline.requests == []
