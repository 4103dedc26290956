"""A long run is in Jaeger before it ends, and when it has ended its placeholders are in nobody's way."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import pytest

import kaizen_otel
from kaizen_otel.demo.script import Reply, Rule
from kaizen_otel.patches.switch import active
from kaizen_otel.testing import SteppingClock
from tests.kaizen_otel.test_pending_spans import held_answers

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer
    from tests.backends.conftest import Collector, Jaeger
    from tests.backends.jaeger import JaegerTrace

RUNNING: Final = """\
invoke_agent Desk (running)
  invoke_workflow (running)
    node LLMAgentNode (running)
      chat gpt-4o (running)
  invoke_agent Desk (running)"""
FINISHED: Final = """\
invoke_agent Desk
{running}
  invoke_workflow
    node LLMAgentNode
      chat gpt-4o"""


@pytest.fixture
def seen(
    kaizen_offline: ModelServer, collector: Collector, jaeger: Jaeger, monkeypatch: pytest.MonkeyPatch
) -> tuple[JaegerTrace, JaegerTrace]:
    """The trace while the agent waits for its model, and when it has ended."""
    from tests.kaizen_otel.surfaces.scenes import kaizen_agent

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.otlp_http)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    kaizen_offline.script([Rule(replies=Reply(text="seen"))])
    clock = SteppingClock()
    agent = kaizen_agent("Desk")
    kaizen_otel.instrument(pending_spans_s=10.0, clock=clock, service_name="long-run")
    telemetry = active()
    assert telemetry is not None
    try:
        with held_answers(kaizen_offline) as (asked, answer):
            thread = threading.Thread(target=lambda: agent.execute(question="x"))
            thread.start()
            assert asked.wait(30)
            root = telemetry.running.oldest_first()[0].span.get_span_context()
            for _ in range(2):
                clock.advance(10)
                telemetry.performance.tick()
            assert kaizen_otel.flush()
            trace_id = f"{root.trace_id:032x}"
            running = jaeger.client.trace(trace_id, spans=5)
            answer.set()
            thread.join(30)
            assert kaizen_otel.flush()
            return running, jaeger.client.trace(trace_id, spans=9)
    finally:
        kaizen_otel.uninstrument()


def test_jaeger_shows_the_run_before_and_after_its_end(seen: tuple[JaegerTrace, JaegerTrace]) -> None:
    running, finished = seen
    assert running.outline() == RUNNING
    assert [warning for warning in running.warnings() if "invalid parent span IDs" not in warning] == []
    top = running.roots[0]
    assert top.tags["kaizen.span.pending"] is True
    assert top.tags["gen_ai.agent.name"] == "Desk"
    assert top.tags["kaizen.pending.model_calls"] == 0
    assert top.children[-1].tags["kaizen.pending.elapsed"] == pytest.approx(20, abs=1)

    below = "\n".join(f"  {line}" for line in RUNNING.splitlines())
    assert finished.outline() == FINISHED.format(running=below)
    # One root, each id once, and nothing that Jaeger would warn of.
    assert finished.warnings() == []
    assert len({span.span_id for span in finished.spans()}) == len(finished.spans())
    counted = [span for span in finished.spans() if "gen_ai.operation.name" in span.tags]
    assert not any("kaizen.span.pending" in span.tags for span in counted)
    assert max(span.duration_us for span in finished.spans() if "kaizen.span.pending" in span.tags) < 10
