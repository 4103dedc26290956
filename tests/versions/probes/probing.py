"""What the probes share: how one is registered, and how they run things."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kaizen_otel.demo.model_server import ReplyUsage

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured

Probe = Callable[["ModelServer", "Captured"], None]

PROBES: dict[str, Probe] = {}

USAGE = ReplyUsage(input_tokens=1_000, output_tokens=100)
COST_USD = Decimal("0.0035")
"""Of gpt-4o: $2.50 a million tokens in, $10 out."""


def probe(function: Probe) -> Probe:
    """Let it prove the capability of its name."""
    PROBES[function.__name__] = function
    return function


def scenes() -> Any:
    """The objects that the tests of the surfaces run, too; they import Kaizen."""
    return import_module("tests.kaizen_otel.surfaces.scenes")


def run_workflow(workflow: Any) -> Any:
    """Run it in a `LocalRuntime`."""
    from kailash.runtime.local import LocalRuntime

    with LocalRuntime() as runtime:
        return runtime.execute(workflow)


async def in_loop(run: Callable[[], Any]) -> Any:
    """Call a blocking function where an event loop is running."""
    return run()


def run_llm_node(**config: Any) -> Any:
    """The outcome of an LLM node in a workflow."""
    builder = import_module("kailash.workflow.builder").WorkflowBuilder()
    builder.add_node("LLMAgentNode", "desk", {**scenes().LLM_CONFIG, **config})
    return run_workflow(builder.build())[0]["desk"]
