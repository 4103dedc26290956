"""The trees in a file that a host's processes wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_processors.export.otlp_file import read_otlp_json
from kaizen_processors.trace_tree import build_traces

if TYPE_CHECKING:
    from pathlib import Path

AGENT_TREE = "invoke_agent {name}\n  invoke_workflow\n    node LLMAgentNode\n      chat gpt-4o"


def trees_in(file: Path) -> list[str]:
    """Span names indented as trees, sorted, those of `create_agent` left out."""
    torn: list[object] = []
    traces = build_traces(read_otlp_json(file, on_torn=torn.append))
    assert torn == []
    trees = ("\n".join("  " * depth + node.name for node, depth in trace.walk()) for trace in traces)
    return sorted(tree for tree in trees if not tree.startswith("create_agent"))
