"""`kaizen-otel open FILE`: trees, table by agent and totals of an OTLP-JSON file, offline."""

from __future__ import annotations

import json
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations when the command is called
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from kaizen_processors.export.otlp_file import OtlpFileError
    from kaizen_processors.trace_totals import Totals
    from kaizen_processors.trace_tree import SpanNode, Trace

_NOTHING_FOUND = 1
_BAD_FILE = 2


def open_file(
    file: Annotated[Path, typer.Argument(help="OTLP-JSON file of spans, one request a line.")],
    *,
    trace: Annotated[
        str | None, typer.Option("--trace", help="Only the trace whose id begins with this.", metavar="ID")
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option("--agent", help="Only the executions of this agent, and what is below.", metavar="NAME"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of trees.")] = False,
) -> None:
    """Show trees and totals of an OTLP-JSON file.

    Exit status: 0 when spans were shown, 1 when the file has none that match, 2 when it cannot be read.
    """
    traces = _load(file, trace)
    if agent is not None:
        traces = _below_agent(traces, agent)
    if not traces:
        wanted = "" if trace is None and agent is None else " that match"
        _fail(f"{file}: no spans{wanted}", _NOTHING_FOUND)
    if as_json:
        typer.echo(json.dumps(_report(traces), ensure_ascii=False, allow_nan=False, default=str))
        return
    from kaizen_processors.export.report import print_report  # noqa: PLC0415 - rich is loaded for trees only

    print_report(traces, sys.stdout)


def _load(file: Path, trace_prefix: str | None) -> list[Trace]:
    from kaizen_processors.export.otlp_file import OtlpFileError, read_otlp_json  # noqa: PLC0415 - the SDK: 90 ms
    from kaizen_processors.trace_tree import build_traces  # noqa: PLC0415 - same

    prefix = (trace_prefix or "").lower()
    try:
        nodes = read_otlp_json(file, on_torn=_warn)
        return build_traces(node for node in nodes if node.trace_id.startswith(prefix))
    except OtlpFileError as error:
        _fail(str(error), _BAD_FILE)
    except OSError as error:
        _fail(f"{file}: {error.strerror or error}", _BAD_FILE)


def _warn(torn: OtlpFileError) -> None:
    typer.echo(f"warning: {torn}", err=True)


def _fail(message: str, status: int) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(status)


def _below_agent(traces: list[Trace], agent: str) -> list[Trace]:
    """The traces, with the topmost executions of an agent as their roots."""
    from kaizen_processors.trace_tree import Trace  # noqa: PLC0415 - loaded by now

    found = []
    for trace in traces:
        roots: list[SpanNode] = []
        stack = list(reversed(trace.roots))
        while stack:
            node = stack.pop()
            if node.is_execution and node.agent_name == agent:
                roots.append(node)
            else:
                stack.extend(reversed(node.children))
        if roots:
            found.append(Trace(trace.trace_id, roots))
    return found


def _report(traces: list[Trace]) -> dict[str, Any]:
    """Spans as a flat list in the order of the tree: nesting would break JSON readers on deep traces."""
    from kaizen_processors.trace_totals import sum_totals, totals_by_agent, totals_of  # noqa: PLC0415 - loaded by now

    agents = totals_by_agent([root for trace in traces for root in trace.roots])
    return {
        "traces": [
            {
                "trace_id": trace.trace_id,
                "totals": _sums(totals_of(trace.roots)),
                "spans": [_span(node, depth) for node, depth in trace.walk()],
            }
            for trace in traces
        ],
        "agents": [{"agent_name": name, **_sums(totals)} for name, totals in agents.items()],
        "totals": _sums(sum_totals(agents.values())),
    }


def _sums(totals: Totals) -> dict[str, Any]:
    return {
        "executions": totals.executions,
        "still_running": totals.running,
        "errors": totals.errors,
        "cancelled": totals.cancelled,
        "p95_latency_ms": None if totals.p95_ns is None else totals.p95_ns / 1e6,
        "model_calls": totals.model_calls,
        "failed_model_calls": totals.failed_calls,
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "cache_read_input_tokens": totals.cache_read_tokens,
        "cost_usd": float(totals.cost.usd),
        "cost_complete": totals.cost.complete,
        "quality_average": totals.quality,
    }


def _span(node: SpanNode, depth: int) -> dict[str, Any]:
    return {
        "span_id": node.span_id,
        "parent_span_id": node.parent_id,
        "depth": depth,
        "name": node.name,
        "kind": node.kind,
        "service": node.service,
        "start_unix_ns": node.start_ns,
        "duration_ms": None if node.duration_ns is None else node.duration_ns / 1e6,
        "status": node.status,
        "status_message": node.status_message,
        "orphan": node.orphan,
        "still_running": node.pending,
        "attributes": _finite(dict(node.attributes)),
    }


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become strings, as in OTLP-JSON."""
    if isinstance(value, float) and value - value != 0:
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124 - NaN's test
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
