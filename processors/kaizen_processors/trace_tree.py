"""Finished spans as trees, whatever they came from: the SDK's `ReadableSpan` or one span of an OTLP-JSON file.

A tree is for people: the console prints it, `kaizen-otel open` shows it, `trace_totals` sums it up. It therefore
accepts what a file may hold: missing times, values of the wrong type, parents that are not there, even parents in a
circle.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.pending_nodes import settled
from kaizen_semconv import attributes as ka
from kaizen_semconv import gen_ai

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

MODEL_OPERATIONS: Final = frozenset({"chat", "embeddings", "generate_content", "text_completion"})
"""Values of `gen_ai.operation.name` that are one call of a model."""

DISPLAY_ATTRIBUTES: Final = frozenset(
    {
        gen_ai.ERROR_TYPE,
        gen_ai.GEN_AI_AGENT_NAME,
        gen_ai.GEN_AI_OPERATION_NAME,
        gen_ai.GEN_AI_REQUEST_MODEL,
        gen_ai.GEN_AI_RESPONSE_MODEL,
        gen_ai.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK,
        gen_ai.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
        gen_ai.GEN_AI_USAGE_INPUT_TOKENS,
        gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS,
        gen_ai.HTTP_RESPONSE_STATUS_CODE,
        ka.KAIZEN_CALL_OUTCOME,
        ka.KAIZEN_EXECUTION_COST_COMPLETE,
        ka.KAIZEN_EXECUTION_LATE_CALLS,
        ka.KAIZEN_EXECUTION_OWN_COST_AMOUNT,
        ka.KAIZEN_EXECUTION_OWN_INPUT_TOKENS,
        ka.KAIZEN_EXECUTION_OWN_OUTPUT_TOKENS,
        ka.KAIZEN_EXECUTION_STATUS,
        ka.KAIZEN_EXECUTION_TOTAL_COST_AMOUNT,
        ka.KAIZEN_EXECUTION_TOTAL_INPUT_TOKENS,
        ka.KAIZEN_EXECUTION_TOTAL_OUTPUT_TOKENS,
        ka.KAIZEN_QUALITY_SCORE,
        ka.KAIZEN_SPAN_ABANDONED,
        ka.KAIZEN_TOOL_SIMULATED,
        ka.KAIZEN_USAGE_COST_AMOUNT,
        ka.KAIZEN_USAGE_COST_CURRENCY,
        ka.KAIZEN_USAGE_MISSING_REASON,
    }
)
"""What views and totals of a tree read; a buffer of nodes needs to keep no more."""

EXECUTION_OPERATION: Final = "invoke_agent"

_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES: Final = ("unset", "ok", "error")
_PARENT_IS_REMOTE: Final = 0x200
"""`SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK` of OTLP: the parent lives in another process."""

_MAX_NANOS: Final = 1 << 64
_MAX_NUMBER: Final = 1e300
"""Beyond it, and NaN and infinity, is no count and no amount of money."""

_HEX_ID: Final = re.compile("[0-9a-fA-F]*", re.ASCII)


class SpanNode:
    """One finished span and, once `build_traces` has run, its children by start time.

    Times are nanoseconds since the Unix epoch, `None` when the source had none that makes sense. Ids are lower-case
    hex.
    """

    __slots__ = (
        "attributes",
        "children",
        "end_ns",
        "kind",
        "name",
        "orphan",
        "parent_id",
        "pending",
        "remote_parent",
        "scope",
        "service",
        "span_id",
        "start_ns",
        "status",
        "status_message",
        "trace_id",
    )

    def __init__(self, trace_id: str, span_id: str, name: str) -> None:
        """Start with a span that says nothing but who it is."""
        self.trace_id = trace_id
        self.span_id = span_id
        self.name = name
        self.parent_id: str | None = None
        self.remote_parent = False
        self.orphan = False
        self.pending = False
        """Whether it had not ended when it was last heard of (`build_traces` finds out)."""
        self.kind = _KINDS[0]
        self.start_ns: int | None = None
        self.end_ns: int | None = None
        self.status = _STATUSES[0]
        self.status_message = ""
        self.scope = ""
        self.service = ""
        self.attributes: Mapping[str, Any] = {}
        self.children: list[SpanNode] = []

    @classmethod
    def from_sdk(cls, span: ReadableSpan, only: Container[str] | None = None) -> SpanNode:
        """Take over a finished SDK span.

        Args:
            span: The span, as an exporter or a processor's `on_end` gets it.
            only: Keep these attributes and no others, so that a buffer of nodes does not hold prompts.

        Raises:
            ValueError: The span has no context, hence no identity.
        """
        context = span.get_span_context()
        if context is None:
            raise ValueError("the span has no context")
        node = cls(f"{context.trace_id:032x}", f"{context.span_id:016x}", _text(span.name))
        if span.parent is not None:
            node.parent_id = f"{span.parent.span_id:016x}"
            node.remote_parent = bool(span.parent.is_remote)
        node.kind = span.kind.name.lower()
        node.start_ns, node.end_ns = _nanos(span.start_time), _nanos(span.end_time)
        node.status = span.status.status_code.name.lower()
        node.status_message = _text(span.status.description or "")
        node.scope = _text(span.instrumentation_scope.name) if span.instrumentation_scope else ""
        node.service = _text(span.resource.attributes.get("service.name", "")) if span.resource else ""
        found = span.attributes
        # The SDK's mapping takes a lock for each key: its copy is read three times faster (seen in 1.43 to 1.45).
        found = found.copy() if isinstance(found, MappingProxyType) else found or {}
        node.attributes = {key: value for key, value in found.items() if only is None or key in only}
        return node

    @classmethod
    def from_otlp(cls, span: Mapping[str, Any], *, service: str = "", scope: str = "") -> SpanNode:
        """Read one span of an OTLP-JSON `resourceSpans[].scopeSpans[].spans[]`.

        Raises:
            ValueError: `traceId` or `spanId` is no hex id of its length.
        """
        node = cls(_hex_id(span, "traceId", 32), _hex_id(span, "spanId", 16), _text(span.get("name", "")))
        parent = span.get("parentSpanId")
        if isinstance(parent, str) and parent.strip("0"):
            node.parent_id = _hex_id(span, "parentSpanId", 16)
        flags = _integer(span.get("flags"))
        node.remote_parent = node.parent_id is not None and flags is not None and bool(flags & _PARENT_IS_REMOTE)
        node.kind = _named(_KINDS, span.get("kind"))
        node.start_ns, node.end_ns = _nanos(span.get("startTimeUnixNano")), _nanos(span.get("endTimeUnixNano"))
        status = span.get("status")
        if isinstance(status, dict):
            node.status = _named(_STATUSES, status.get("code"))
            node.status_message = _text(status.get("message", ""))
        node.service, node.scope = service, scope
        node.attributes = otlp_attributes(span.get("attributes"))
        return node

    def text(self, key: str) -> str | None:
        """The attribute when it is a string that is not empty."""
        value = self.attributes.get(key)
        return value if isinstance(value, str) and value else None

    def count(self, key: str) -> int | None:
        """The attribute when it is a whole number of at least 0 (some exporters write counts as doubles)."""
        value = self.number(key)
        return int(value) if value is not None and value >= 0 and value == int(value) else None

    def number(self, key: str) -> int | float | None:
        """The attribute when it is a finite number."""
        value = self.attributes.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if -_MAX_NUMBER < value < _MAX_NUMBER else None

    def flag(self, key: str) -> bool | None:
        """The attribute when it is a boolean."""
        value = self.attributes.get(key)
        return value if isinstance(value, bool) else None

    @property
    def operation(self) -> str:
        """`gen_ai.operation.name`, empty for a span of another kind."""
        return self.text(gen_ai.GEN_AI_OPERATION_NAME) or ""

    @property
    def agent_name(self) -> str | None:
        """`gen_ai.agent.name`: of an execution its own, of a model call the agent that it is accounted to."""
        return self.text(gen_ai.GEN_AI_AGENT_NAME)

    @property
    def is_model_call(self) -> bool:
        """Whether the span is one call of a model."""
        return self.operation in MODEL_OPERATIONS

    @property
    def is_execution(self) -> bool:
        """Whether the span is one run of an agent."""
        return self.operation == EXECUTION_OPERATION

    @property
    def error_type(self) -> str | None:
        """`error.type`, the class of the root cause."""
        return self.text(gen_ai.ERROR_TYPE)

    @property
    def failed(self) -> bool:
        """Whether the span ended in an error."""
        return self.status == "error" or self.error_type is not None

    @property
    def cancelled(self) -> bool:
        """Whether the execution was called off; contracts count that as no error."""
        return self.text(ka.KAIZEN_EXECUTION_STATUS) == "cancelled"

    @property
    def duration_ns(self) -> int | None:
        """Nanoseconds from start to end; `None` when either is missing or the clock went back."""
        if self.start_ns is None or self.end_ns is None or self.end_ns < self.start_ns:
            return None
        return self.end_ns - self.start_ns


class Trace:
    """The spans of one trace that were seen, as trees.

    More than one root means that parents are elsewhere (a remote caller), not written yet, or lost (`SpanNode.orphan`).
    """

    __slots__ = ("roots", "trace_id")

    def __init__(self, trace_id: str, roots: list[SpanNode]) -> None:
        """Hold the roots, earliest first."""
        self.trace_id = trace_id
        self.roots = roots

    def walk(self) -> Iterator[tuple[SpanNode, int]]:
        """Every span with its depth, parents before children, siblings by start time."""
        return walk(self.roots)

    @property
    def start_ns(self) -> int | None:
        """The earliest start of the roots."""
        return min((root.start_ns for root in self.roots if root.start_ns is not None), default=None)


def walk(roots: Sequence[SpanNode]) -> Iterator[tuple[SpanNode, int]]:
    """Every node below `roots` with its depth, parents first. Iterative: a chain may be deeper than Python's stack."""
    stack = [(root, 0) for root in reversed(roots)]
    while stack:
        node, depth = stack.pop()
        yield node, depth
        stack.extend((child, depth + 1) for child in reversed(node.children))


def build_traces(nodes: Iterable[SpanNode]) -> list[Trace]:
    """Join nodes into trees, one `Trace` for each trace id, earliest first.

    Of spans with the same id in a trace the first counts: a file may hold a batch twice after a retry. Nodes may be
    given again later, together with new ones: their children are found anew. Placeholders for spans that had not ended
    are dropped where the span is there, too, and otherwise stand in for it (`SpanNode.pending`).
    """
    by_trace: dict[str, dict[str, SpanNode]] = {}
    for node in nodes:
        by_trace.setdefault(node.trace_id, {}).setdefault(node.span_id, node)
    traces = [Trace(trace_id, _link(settled(spans))) for trace_id, spans in by_trace.items()]
    return sorted(traces, key=lambda trace: (trace.start_ns is None, trace.start_ns or 0))


def _link(spans: dict[str, SpanNode]) -> list[SpanNode]:
    ordered = sorted(spans.values(), key=_by_start)
    for node in ordered:
        node.children, node.orphan = [], False
    roots = []
    for node in ordered:
        parent = spans.get(node.parent_id) if node.parent_id is not None else None
        if parent is None:
            node.orphan = node.parent_id is not None and not node.remote_parent
            roots.append(node)
        else:
            parent.children.append(node)
    reached = {node.span_id for node, _ in walk(roots)}
    return (
        roots if len(reached) == len(spans) else sorted([*roots, *_cut_circles(ordered, spans, reached)], key=_by_start)
    )


def _cut_circles(ordered: list[SpanNode], spans: dict[str, SpanNode], reached: set[str]) -> Iterator[SpanNode]:
    """Spans whose parents form a circle hang below no root: make the earliest of each circle one."""
    for node in ordered:
        if node.span_id in reached:
            continue
        first = min(_circle_above(node, spans), key=_by_start)
        spans[first.parent_id or ""].children.remove(first)
        first.orphan = True
        reached.update(below.span_id for below, _ in walk([first]))
        yield first


def _circle_above(node: SpanNode, spans: dict[str, SpanNode]) -> list[SpanNode]:
    """The circle that a span without a root hangs below, or is part of."""
    path: dict[str, SpanNode] = {}
    while node.span_id not in path:
        path[node.span_id] = node
        node = spans[node.parent_id or ""]
    chain = list(path.values())
    return chain[chain.index(node) :]


def _by_start(node: SpanNode) -> tuple[bool, int, str]:
    return node.start_ns is None, node.start_ns or 0, node.span_id


def otlp_attributes(pairs: Any) -> dict[str, Any]:
    """The attributes of an OTLP-JSON `[{"key": …, "value": {…}}]`; what has no such shape is left out."""
    if not isinstance(pairs, list):
        return {}
    return {
        pair["key"]: _otlp_value(pair.get("value"))
        for pair in pairs
        if isinstance(pair, dict) and isinstance(pair.get("key"), str)
    }


def _otlp_value(value: Any) -> Any:
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((kind, content),) = value.items()
    if kind == "intValue":
        return _integer(content)
    if kind == "doubleValue":
        return _double(content)
    if kind == "arrayValue":
        items = content.get("values") if isinstance(content, dict) else None
        return [_otlp_value(item) for item in items] if isinstance(items, list) else []
    if kind == "kvlistValue":
        return otlp_attributes(content.get("values")) if isinstance(content, dict) else {}
    return content


def _hex_id(span: Mapping[str, Any], key: str, length: int) -> str:
    value = span.get(key)
    if not isinstance(value, str) or len(value) != length or not _HEX_ID.fullmatch(value):
        raise ValueError(f"{key} is not {length} hex digits: {value!r:.80}")
    return value.lower()


def _named(names: tuple[str, ...], value: Any) -> str:
    number = _integer(value)
    return names[number] if number is not None and 0 <= number < len(names) else names[0]


def _nanos(value: Any) -> int | None:
    number = _integer(value)
    return number if number is not None and 0 < number < _MAX_NANOS else None


def _integer(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None


def _double(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"<{type(value).__name__}>"
