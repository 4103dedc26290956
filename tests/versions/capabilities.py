"""What is seen in which Kaizen: the one table that the tests of every version and `docs/versions.md` read.

A capability that the table gives a version is proved there by its probe (`probes/`); one that the table denies it is
proved to be absent, by the same probe. A test that needs one skips where the table says so, and gives its reason.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import NamedTuple

import pytest

from kaizen_otel.patches.table import SURFACES

Release = tuple[int, int]


class Lane(NamedTuple):
    """One tested pair of versions, with its pins in `tests/versions/kaizen-{release}.txt`."""

    kaizen: str
    kailash: str

    @property
    def release(self) -> Release:
        """Major and minor number of Kaizen."""
        return release_of(self.kaizen)


LANES = (
    Lane("2.46.1", "2.65.0"),
    Lane("2.34.0", "2.50.0"),
    Lane("2.28.0", "2.28.4"),
    Lane("2.13.1", "2.13.4"),
    Lane("1.0.0", "1.0.0"),
)
"""Newest first. The first is what every other test runs with."""

FULL_SUPPORT: Release = (2, 34)
"""From here on everything that the documentation describes is there, but for what the table says."""


class Capability(NamedTuple):
    """One row of the table: what is seen, since which tested Kaizen, up to which (None: the newest)."""

    what: str
    since: Release = (1, 0)
    until: Release | None = None
    without: str = ""
    """What a version without it does instead; the reason of a skip."""


CAPABILITIES = {
    "workflow": Capability("a workflow of `LocalRuntime`, its nodes below it"),
    "workflow_awaited": Capability("an awaited workflow of `AsyncLocalRuntime`, its nodes below it"),
    "workflow_in_loop": Capability(
        "`LocalRuntime.execute` called inside a running event loop: one tree",
        since=(2, 28),
        without="Kailash starts a thread without the context: the nodes are traces of their own",
    ),
    "workflow_resumed": Capability(
        "a run that goes on from a checkpoint points at the run that wrote it",
        since=(2, 28),
        without="Kailash's runtimes write no checkpoints yet",
    ),
    "task_carried": Capability("a task of Kailash's queues carries its sender's trace"),
    "workflow_parallel": Capability(
        "`ParallelRuntime`: its nodes below it",
        since=(2, 28),
        without="Kailash starts threads without the context: the nodes are traces of their own",
    ),
    "node_class_later": Capability(
        "a node class that overrides `execute`, defined after `instrument()`",
        since=(2, 28),
        without="Kailash's `Node` has no hook for new classes: such a node has no span",
    ),
    "llm_node": Capability("an LLM node in a workflow: an execution with model, status, tokens, cost"),
    "agent": Capability("`Agent.execute`: an execution, with its workflow and model call below it"),
    "agent_created": Capability("`Kaizen.create_agent`"),
    "agent_reasoning_model": Capability(
        "`Agent.execute_cot` and `execute_react` ask the agent's own model",
        since=(2, 46),
        without="Kaizen asks gpt-4 there, whatever the agent's model: the span names gpt-4",
    ),
    "agent_message": Capability(
        "a message to another agent is answered by a model",
        since=(2, 46),
        without="Kaizen has its mock provider answer, and the call says so",
    ),
    "base_agent": Capability("`BaseAgent.run`: an execution, with its workflow and model call below it"),
    "base_agent_awaited": Capability("`BaseAgent.run_async`"),
    "base_agent_in_loop": Capability(
        "`BaseAgent.run` called inside a running event loop: one tree",
        since=(2, 13),
        without="Kaizen starts a thread without the context: the model call is a trace of its own",
    ),
    "base_agent_before": Capability(
        "a `BaseAgent` made before `instrument()`",
        since=(2, 13),
        without="such an agent keeps its unwatched `run`: its workflows and model calls are seen, it is not",
    ),
    "base_agent_setup_error": Capability(
        "`BaseAgent.run` raises an error of its setup",
        since=(2, 46),
        without="Kaizen returns it as an answer; the trace names it all the same",
    ),
    "transparency": Capability("`get_transparency_interface()` of `Kaizen` and of agents"),
    "call_tokens": Capability("a model call with its tokens and its exact cost"),
    "call_parameters": Capability("`gen_ai.request.*` of a model call"),
    "call_error": Capability("a failed model call, with the provider's HTTP status and the root cause"),
    "call_cached_tokens": Capability(
        "cached and reasoning tokens of a model call",
        since=(2, 34),
        without="Kaizen's provider classes drop them: a call with cached tokens is told to cost more than it did",
    ),
    "call_server": Capability(
        "`server.address` of a model call",
        since=(2, 34),
        without="the vendor's SDK, below Kaizen's provider classes, knows it alone",
    ),
    "call_mock": Capability("the mock provider's answers"),
    "llm_client": Capability(
        "`LlmClient.complete`, called directly", since=(2, 34), without="`LlmClient` cannot chat yet"
    ),
    "stream": Capability(
        "streams of `LlmClient`: tokens, cost, time to the first chunk",
        since=(2, 34),
        without="`LlmClient` cannot stream yet",
    ),
    "stream_of_provider": Capability(
        "streams of a provider class (`stream_chat`): tokens, cost, time to the first chunk",
        since=(2, 13),
        until=(2, 35),
        without="there are no provider classes that stream",
    ),
    "embeddings": Capability("an embeddings node"),
    "embeddings_tokens": Capability(
        "tokens and cost of embeddings",
        since=(2, 34),
        without="Kaizen's provider classes drop them: `kaizen.usage.missing.reason` says so",
    ),
    "embeddings_google": Capability(
        "embeddings of Google through `LlmClient`", since=(2, 46), without="`LlmClient` cannot embed with Google yet"
    ),
    "delegate": Capability(
        "kaizen-agents 0.13: a `Delegate`, its model calls and its tools",
        since=(2, 46),
        without="kaizen-agents 0.13 asks for a newer Kaizen; its older releases were not tried",
    ),
    "judge": Capability(
        "a judge of `kaizen.judges`: its calls are an evaluator's, its verdict an event",
        since=(2, 13),
        without="Kaizen has no judges yet",
    ),
    "tool_mcp": Capability("an MCP tool"),
    "tool_mcp_context": Capability("the trace goes on in an MCP server: `params._meta`, and a span for each request"),
    "tool_mcp_served": Capability(
        "a request to an MCP server of Kailash's: a server span in the client's trace",
        since=(2, 13),
        without="Kailash's servers are in another package",
    ),
    "tool_regular": Capability("a regular tool of the LLM node, marked as made up"),
}
"""By the name of its probe."""


PROVIDER_CLASSES = frozenset(
    {
        "kaizen.nodes.ai.unified_azure_provider",
        *(f"kaizen.providers.embedding.{name}" for name in ("cohere", "huggingface")),
        *(
            f"kaizen.providers.llm.{name}"
            for name in ("anthropic", "azure", "docker", "google", "mock", "ollama", "openai", "perplexity")
        ),
    }
)


def absent_modules() -> set[str]:
    """Modules with a surface of ours that the installed Kaizen (one of full support) does not have."""
    absent = {"kaizen.nodes.ai.ai_providers", "kailash.mcp_server.client"}  # gone before full support begins
    if not has("stream_of_provider"):
        absent |= PROVIDER_CLASSES
    if not has("embeddings_google"):
        absent.add("kaizen.llm.wire_protocols.google_embeddings")
    if not has("delegate"):
        absent |= {surface.module for surface in SURFACES if surface.module.startswith("kaizen_agents.")}
    return absent


def release_of(text: str) -> Release:
    """Major and minor number of a version."""
    found = re.match(r"(\d+)\.(\d+)", text)
    assert found is not None, text
    return int(found[1]), int(found[2])


def installed() -> Release:
    """The Kaizen that the tests run with."""
    return release_of(version("kailash-kaizen"))


def has(name: str, release: Release | None = None) -> bool:
    """Whether the table gives this capability to a Kaizen (by default the installed one)."""
    capability = CAPABILITIES[name]
    which = installed() if release is None else release
    return capability.since <= which and (capability.until is None or which <= capability.until)


def needs(name: str) -> pytest.MarkDecorator:
    """For a test or a parameter: skip where the table says that the installed Kaizen cannot do this."""
    reason = f"{CAPABILITIES[name].what} is not in Kaizen {version('kailash-kaizen')}: {CAPABILITIES[name].without}"
    return pytest.mark.skipif(not has(name), reason=reason)
