"""A run as a baseline: what each agent's executions took, read from a file of their spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kaizen_processors.baselines.samples import Baseline
from kaizen_processors.export.otlp_file import read_otlp_json
from kaizen_processors.trace_tree import build_traces, walk
from kaizen_semconv import attributes as ka

if TYPE_CHECKING:
    import os

    from kaizen_processors.trace_tree import SpanNode

_NS_IN_MS: Final = 1_000_000
_OWN: Final = (
    ("input tokens", ka.KAIZEN_EXECUTION_OWN_INPUT_TOKENS, "{token}", False),
    ("output tokens", ka.KAIZEN_EXECUTION_OWN_OUTPUT_TOKENS, "{token}", False),
    ("cost", ka.KAIZEN_EXECUTION_OWN_COST_AMOUNT, "USD", False),
    ("quality", ka.KAIZEN_QUALITY_SCORE, "1", True),
)


def from_spans(path: str | os.PathLike[str]) -> Baseline:
    """Every execution of an OTLP-JSON file: `agent · duration` and so on, a sample for each.

    Of failed executions only that they failed is a sample: how long that took says nothing of the others. Cancelled
    ones are none at all, nor are those that were still running when the file ended. What a span does not say, such as
    a cost that is not complete, is no sample either.

    Raises:
        OSError: The file cannot be read.
        OtlpFileError: It is no OTLP-JSON.
    """
    run = Baseline({"file": str(path)})
    for trace in build_traces(read_otlp_json(path)):
        for node, _ in walk(trace.roots):
            if node.is_execution and not node.cancelled and not _runs_still(node):
                _add(run, node)
    return run


def _runs_still(node: SpanNode) -> bool:
    """Whether it stands for a span that never came, or is a placeholder that says for none."""
    return node.pending or bool(node.flag(ka.KAIZEN_SPAN_PENDING))


def _add(run: Baseline, node: SpanNode) -> None:
    agent = node.agent_name or "none"
    run.add(f"{agent} · errors", [float(node.failed)], "%", proportion=True)
    if node.failed:
        return
    if node.duration_ns is not None:
        run.add(f"{agent} · duration", [node.duration_ns / _NS_IN_MS], "ms")
    for name, key, unit, higher_is_better in _OWN:
        value = node.number(key)
        if value is None or (name == "cost" and node.flag(ka.KAIZEN_EXECUTION_COST_COMPLETE) is False):
            continue
        run.add(f"{agent} · {name}", [float(value)], unit, higher_is_better=higher_is_better)
