"""Where placeholders leave: wrapped exporters, our file, and not from a forked child."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from kaizen_otel.testing import capture
from kaizen_processors.export.otlp_file import read_otlp_json
from kaizen_processors.export.report import print_report
from kaizen_processors.export.wrapping import wrap_exporter
from kaizen_processors.trace_totals import totals_of
from kaizen_processors.trace_tree import build_traces
from tests.kaizen_otel.running_operations import INTERVAL_S, agent, call, names, used, wait_and_tick
from tests.processors.forking import needs_fork, run_forking

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from kaizen_processors.trace_tree import Trace


class Kept(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None: ...


def test_on_the_application_s_provider_it_leaves_by_the_exporter_that_was_wrapped() -> None:
    kept, plain = Kept(), Kept()
    wrapped = wrap_exporter(kept)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(wrapped))
    provider.add_span_processor(SimpleSpanProcessor(plain))
    with capture(pending_spans_s=INTERVAL_S, tracer_provider=provider) as captured:
        with agent():
            wait_and_tick(captured, INTERVAL_S)
            assert wrapped.force_flush(10_000)
            assert names(kept.spans) == ["invoke_agent desk (running)"]
        assert wrapped.force_flush(10_000)
    assert names(kept.spans) == ["invoke_agent desk (running)", "invoke_agent desk"]
    assert names(plain.spans) == ["invoke_agent desk"]
    provider.shutdown()


def test_the_file_of_a_process_that_was_killed_shows_what_still_ran(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    with capture(pending_spans_s=INTERVAL_S, file=file) as captured, agent():
        with call() as ended:
            used(ended)
        with agent("below"), call():
            wait_and_tick(captured, INTERVAL_S)
            wait_and_tick(captured, INTERVAL_S)
            captured.flush()
            before = file.read_text(encoding="utf-8")
    (tmp_path / "killed.jsonl").write_text(before, encoding="utf-8")

    (trace,) = build_traces(read_otlp_json(tmp_path / "killed.jsonl"))
    assert [(node.name, depth, node.pending) for node, depth in trace.walk()] == [
        ("invoke_agent desk", 0, True),
        ("chat gpt-4o", 1, False),
        ("invoke_agent below", 1, True),
        ("chat gpt-4o", 2, True),
    ]
    assert drawn([trace]) == [
        "agent desk (still running when last seen) ≥20.0s 100→10 ≥$0.00035",
        "├─ chat gpt-4o 1ms 100→10 $0.00035",
        "└─ agent below (still running when last seen) ≥20.0s ?",
        "└─ chat gpt-4o (still running when last seen) ≥10.0s ?",
        "Σ 0 executions, 2 still running · 1 model call · 100→10 tokens · ≥$0.00035",
    ]
    root = trace.roots[0]
    assert root.duration_ns is not None
    assert root.duration_ns / 1e9 == pytest.approx(2 * INTERVAL_S, abs=1)
    sums = totals_of(trace.roots)
    assert (sums.executions, sums.running, sums.model_calls, sums.input_tokens) == (0, 2, 1, 100)
    assert not sums.cost.complete

    (whole,) = build_traces(read_otlp_json(file))
    assert [(node.name, depth, node.pending) for node, depth in whole.walk()] == [
        ("invoke_agent desk", 0, False),
        ("chat gpt-4o", 1, False),
        ("invoke_agent below", 1, False),
        ("chat gpt-4o", 2, False),
    ]
    assert totals_of(whole.roots).executions == 2


def drawn(traces: Sequence[Trace]) -> list[str]:
    """The lines of the first tree, without its bars."""
    text = io.StringIO()
    print_report(traces, text, width=120, color=False)
    lines = text.getvalue().partition("\n\n")[0].splitlines()[1:]
    return [" ".join(word for word in line.split() if not set(word) & set("━╸╺")) for line in lines]


FORKED = """
import os
from kaizen_otel.testing import capture
from kaizen_otel.patches.switch import active
from kaizen_otel.invocations.agent import AgentRequest
from kaizen_semconv.attributes import KaizenSpanAbandoned

with capture(pending_spans_s=10) as captured:
    telemetry = active()
    with telemetry.agent(lambda: AgentRequest("parent", object())):
        pid = os.fork()
        if not pid:
            captured.clock.advance(60)
            captured.tick()
            closed = telemetry.running.close(KaizenSpanAbandoned.EXIT, 1.0)
            print("child", len(captured.pending_spans), closed, flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        captured.clock.advance(60)
        captured.tick()
        print("parent", len(captured.pending_spans), telemetry.running.close(KaizenSpanAbandoned.EXIT, 1.0), flush=True)
"""


@needs_fork
def test_a_forked_child_neither_tells_of_nor_closes_what_runs_in_its_parent() -> None:
    assert run_forking(FORKED) == "child 0 0\nparent 1 1\n"
