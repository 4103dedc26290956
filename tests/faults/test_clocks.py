"""A wall clock that is set back or forward in the middle of a run."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import kaizen_otel
from tests.hostile.test_raising_parts import call, offline

__all__ = ["offline"]

HOUR_NS = 3_600 * 10**9
STEP_NS = 1_000_000
"""By so much the monotonic clock goes on at each reading."""


class Stepped:
    """A machine's clocks; its wall clock can be set."""

    def __init__(self) -> None:
        self.wall_ns = 1_764_000_000 * 10**9
        self.mono_ns = 0

    def time_ns(self) -> int:
        return self.wall_ns + self.mono_ns

    def monotonic_ns(self) -> int:
        self.mono_ns += STEP_NS
        return self.mono_ns


@pytest.mark.parametrize("step_ns", [-HOUR_NS, HOUR_NS], ids=["back", "forward"])
def test_a_clock_that_is_set_bends_no_duration_and_reorders_no_trace(step_ns: int) -> None:
    from tests.hostile import fakes

    clock, kept = Stepped(), InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))

    def answer() -> Any:
        clock.wall_ns += step_ns
        return {"answer": call()["text"]}

    kaizen_otel.instrument(tracer_provider=provider, clock=clock)
    try:
        fakes.base_agent(answer, agent_id="asker").run(question="x")
    finally:
        kaizen_otel.uninstrument()
    spans = {span.name.split()[0]: span for span in kept.get_finished_spans()}
    outer, inner = spans["invoke_agent"], spans["chat"]
    for span in (outer, inner):
        assert span.start_time is not None
        assert span.end_time is not None
        assert 0 < span.end_time - span.start_time < 10**9
    assert outer.start_time <= inner.start_time  # type: ignore[operator]  # both are there
    assert inner.end_time <= outer.end_time  # type: ignore[operator]  # both are there
