"""`WorkflowTracker`: a block whose workflows can be asked where their time went."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import format_span_id, format_trace_id

from kaizen_otel.patches.switch import active
from kaizen_otel.transparency.collector import SpanCollector
from kaizen_otel.transparency.trace import ERROR, ExecutionTrace
from kaizen_processors.critical_path import bottlenecks, self_ns
from kaizen_processors.trace_totals import call_cost
from kaizen_processors.trace_tree import SpanNode, walk
from kaizen_semconv import attributes as ka
from kaizen_semconv import gen_ai

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

_NS_IN_MS: Final = 1_000_000
_MIB: Final = 1024 * 1024


class WorkflowTracker:
    """Tracks blocks.

    Example:
        >>> tracker = WorkflowTracker()
        >>> with tracker.instrument() as instrumentation:
        ...     pass
        >>> instrumentation.get_node_performance()
        {}
    """

    def instrument(self, name: str = "workflow") -> Instrumentation:
        """A block to track, for `with`.

        Args:
            name: Of the block's span, `trace {name}`.

        Raises:
            TypeError: The name is no text.
            ValueError: It is empty.
        """
        return Instrumentation(name)


class Instrumentation:
    """One tracked block. Ask it inside, about what has ended so far, or after it, about all.

    It knows what spans tell: where the application's sampler drops them, or nothing is instrumented, its lists are
    empty and `recorded` is False. Counts, tokens and cost are in `trace`, and are complete, sampled or not.

    Attributes:
        trace: The block as an `ExecutionTrace`.
    """

    def __init__(self, name: str) -> None:
        """Prepare a block."""
        self.trace = ExecutionTrace(name)
        self._collector: SpanCollector | None = None
        self._resources = _Resources()

    def __enter__(self) -> Self:
        self._resources.begin()
        telemetry = active()
        # An observer that wants spans makes sure that somebody makes them: it has to be there before the block's own.
        placeholder = SpanCollector(0)
        if telemetry is not None:
            telemetry.pipeline.add(placeholder)
        self.trace.__enter__()
        context = self.trace.span_context
        if telemetry is not None:
            if context.is_valid and context.trace_flags.sampled:
                self._collector = SpanCollector(context.trace_id)
                telemetry.pipeline.add(self._collector)
            telemetry.pipeline.remove(placeholder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.trace.__exit__(kind, error, traceback)
        telemetry = active()
        if telemetry is not None and self._collector is not None:
            telemetry.pipeline.remove(self._collector)
        self._resources.end()

    @property
    def recorded(self) -> bool:
        """Whether the spans of the block are recorded, so that the answers below know of them."""
        return self._collector is not None

    def get_execution_trace(self) -> dict[str, Any]:
        """The block and its spans.

        Returns:
            `name`, `trace_id`, `status`, `start_time`, `duration_ms`, `metrics` (see `TraceMetrics`), `recorded`,
            `spans_dropped` (beyond 10,000), and `spans`: each with its `depth`, in the order of the tree.
        """
        trace = self.trace
        root = self._root()
        return {
            "name": trace.name,
            "trace_id": trace.trace_id,
            "status": trace.status,
            "start_time": trace.start_time,
            "duration_ms": trace.duration_ms,
            "metrics": dict(trace.get_current_metrics()),
            "recorded": self.recorded,
            "spans_dropped": 0 if self._collector is None else self._collector.dropped,
            "spans": [_shown(node, depth - 1, root) for node, depth in walk([root]) if node is not root],
        }

    def get_node_performance(self) -> dict[str, dict[str, Any]]:
        """How long each node of a workflow took, by its key; the one that took longest first.

        An LLM node that a workflow runs directly is an agent's execution, and named by its key as well. The node that
        an agent runs under its own name is that run of the agent, and not counted again.
        """
        found: dict[str, _NodeFigures] = {}
        for node, agent in _with_agents(self._root()):
            key = node.text(ka.KAIZEN_NODE_ID) or (node.agent_name if node.is_execution else None)
            if key is not None and node.duration_ns is not None and (node.is_execution or key != agent):
                found.setdefault(key, _NodeFigures(node.text(ka.KAIZEN_NODE_TYPE) or "agent")).add(node)
        slowest_first = sorted(found.items(), key=lambda item: -sum(item[1].durations_ns))
        return {key: figures.shown() for key, figures in slowest_first}

    def get_resource_utilization(self) -> dict[str, float]:
        """What the process used while the block ran.

        Of the whole process, and of the whole machine as far as the network is concerned: what else ran at the same
        time is in it.

        Returns:
            `cpu_seconds`, `cpu_percent` (of one core), `memory_start_mb`, `memory_end_mb`, `network_sent_bytes`,
            `network_received_bytes`, `wall_seconds`.
        """
        return self._resources.shown()

    def analyze_bottlenecks(self, limit: int = 5) -> list[dict[str, Any]]:
        """What the block waited for, the longest first: see `kaizen_processors.critical_path`.

        Args:
            limit: Most entries.

        Returns:
            `name`, `waited_ms` (on the critical path), `share` of the block's time, `self_ms` (without what is below),
            `calls`. The block's own entry is what no span explains.
        """
        root = self._root()
        if not self.recorded:
            return []
        nodes = [node for node, _ in walk([root])]
        return [
            {
                "name": one.name,
                "waited_ms": one.waited_ms,
                "share": one.share,
                "self_ms": one.self_ms,
                "calls": one.calls,
            }
            for one in bottlenecks(root, nodes)[:limit]
        ]

    def _root(self) -> SpanNode:
        """The block itself as a span: it has not ended while somebody asks inside."""
        trace, context = self.trace, self.trace.span_context
        root = SpanNode(format_trace_id(context.trace_id), format_span_id(context.span_id), f"trace {trace.name}")
        root.start_ns = trace.start_unix_ns
        root.end_ns = root.start_ns + int(trace.duration_ms * _NS_IN_MS)
        root.status = "error" if trace.status == ERROR else "unset"
        return root if self._collector is None else self._collector.tree_below(root)


class _NodeFigures:
    """The runs of one node."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.durations_ns: list[int] = []
        self.self_ns = 0
        self.errors = 0

    def add(self, node: SpanNode) -> None:
        self.durations_ns.append(node.duration_ns or 0)
        self.self_ns += self_ns(node)
        self.errors += node.failed and not node.cancelled

    def shown(self) -> dict[str, Any]:
        durations_ms = sorted(duration_ns / _NS_IN_MS for duration_ns in self.durations_ns)
        return {
            "type": self.kind,
            "executions": len(durations_ms),
            "errors": self.errors,
            "total_ms": sum(durations_ms),
            "average_ms": sum(durations_ms) / len(durations_ms),
            "min_ms": durations_ms[0],
            "max_ms": durations_ms[-1],
            "p95_ms": durations_ms[math.ceil(0.95 * len(durations_ms)) - 1],
            "self_ms": self.self_ns / _NS_IN_MS,
        }


def _with_agents(root: SpanNode) -> Iterator[tuple[SpanNode, str | None]]:
    """Every span of a tree, parents first, with the agent whose run it is directly part of."""
    above: list[str | None] = []
    for node, depth in walk([root]):
        del above[depth:]
        agent = above[-1] if above else None
        above.append(node.agent_name if node.is_execution else agent)
        yield node, agent


def _shown(node: SpanNode, depth: int, root: SpanNode) -> dict[str, Any]:
    start_ms = None if node.start_ns is None or root.start_ns is None else (node.start_ns - root.start_ns) / _NS_IN_MS
    shown: dict[str, Any] = {
        "name": node.name,
        "depth": depth,
        "span_id": node.span_id,
        "parent_span_id": node.parent_id,
        "start_ms": start_ms,
        "duration_ms": None if node.duration_ns is None else node.duration_ns / _NS_IN_MS,
        "self_ms": self_ns(node) / _NS_IN_MS,
        "status": "cancelled" if node.cancelled else "error" if node.failed else "success",
    }
    if node.failed:
        shown["error_type"] = node.error_type
    if node.is_execution:
        shown["agent_name"] = node.agent_name
        shown["execution_id"] = node.text(ka.KAIZEN_EXECUTION_ID)
    if node.is_model_call:
        shown["model"] = node.text(gen_ai.GEN_AI_REQUEST_MODEL)
        shown["tokens_input"] = node.count(gen_ai.GEN_AI_USAGE_INPUT_TOKENS)
        shown["tokens_output"] = node.count(gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS)
        shown["cost_usd"] = float(call_cost(node).usd)
    return shown


class _Resources:
    """Readings of the operating system at both ends of a block."""

    def __init__(self) -> None:
        self._first: dict[str, float] = {}
        self._last: dict[str, float] | None = None

    def begin(self) -> None:
        self._first = _readings()

    def end(self) -> None:
        self._last = _readings()

    def shown(self) -> dict[str, float]:
        first, last = self._first, self._last or _readings()
        if not first:
            return {}
        wall_s, cpu_s = last["wall_s"] - first["wall_s"], last["cpu_s"] - first["cpu_s"]
        return {
            "wall_seconds": wall_s,
            "cpu_seconds": cpu_s,
            "cpu_percent": 100 * cpu_s / wall_s if wall_s > 0 else 0.0,
            "memory_start_mb": first["memory_mb"],
            "memory_end_mb": last["memory_mb"],
            "network_sent_bytes": last["sent_bytes"] - first["sent_bytes"],
            "network_received_bytes": last["received_bytes"] - first["received_bytes"],
        }


def _readings() -> dict[str, float]:
    import psutil  # noqa: PLC0415 - when used

    network = psutil.net_io_counters()  # None on a machine without a network
    return {
        "wall_s": time.monotonic(),
        "cpu_s": time.process_time(),
        "memory_mb": psutil.Process().memory_info().rss / _MIB,
        "sent_bytes": getattr(network, "bytes_sent", 0),
        "received_bytes": getattr(network, "bytes_recv", 0),
    }
