"""A trace sent by OTLP/HTTP or gRPC goes through the Collector into Jaeger, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, format_trace_id

from tests.backends.processes import BackendError
from tests.backends.telemetry import tracer_provider

if TYPE_CHECKING:
    from tests.backends.conftest import Collector, Jaeger
    from tests.backends.jaeger import JaegerTrace

EXPECTED_TREE = """\
invoke_workflow
  invoke_agent supervisor
    chat gpt-4o
    execute_tool lookup
    chat gpt-4o !"""


@pytest.fixture(scope="module")
def arrived(collector: Collector, jaeger: Jaeger) -> JaegerTrace:
    with tracer_provider(collector.otlp_http, "hand-made") as provider:
        tracer = provider.get_tracer("hand")
        with tracer.start_as_current_span("invoke_workflow") as root:
            trace_id = format_trace_id(root.get_span_context().trace_id)
            with tracer.start_as_current_span("invoke_agent supervisor"):
                with tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT) as chat:
                    chat.set_attributes(
                        {
                            "gen_ai.usage.input_tokens": 1200,
                            "kaizen.usage.cost.amount": 0.003,
                            "kaizen.tool.simulated": False,
                            "gen_ai.request.model": "gpt-4o",
                        }
                    )
                    chat.add_event("first chunk")
                with tracer.start_as_current_span("execute_tool lookup"):
                    pass
                with tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT) as failed:
                    failed.set_status(Status(StatusCode.ERROR, "rate limited"))
    return jaeger.client.trace(trace_id, spans=5)


def test_jaeger_shows_the_same_tree(arrived: JaegerTrace) -> None:
    assert arrived.outline() == EXPECTED_TREE


def test_jaeger_warns_of_nothing(arrived: JaegerTrace) -> None:
    assert arrived.warnings() == []


def test_attributes_keep_their_values_and_types(arrived: JaegerTrace) -> None:
    chat = arrived.root.children[0].children[0]
    expected = {
        "gen_ai.usage.input_tokens": 1200,
        "kaizen.usage.cost.amount": 0.003,
        "kaizen.tool.simulated": False,
        "gen_ai.request.model": "gpt-4o",
    }
    found = {key: chat.tags[key] for key in expected}
    assert found == expected
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in expected.items()}


def test_kind_status_event_and_service_arrive(arrived: JaegerTrace) -> None:
    agent = arrived.root.children[0]
    chat, tool, failed = agent.children
    assert [span.kind for span in (agent, chat, tool)] == ["internal", "client", "internal"]
    assert chat.events == ("first chunk",)
    assert failed.tags["otel.status_description"] == "rate limited"
    assert {span.service for span in arrived.spans()} == {"hand-made"}


def test_jaeger_lists_the_service_and_finds_the_trace_by_a_tag(arrived: JaegerTrace, jaeger: Jaeger) -> None:
    assert "hand-made" in jaeger.client.services()
    assert jaeger.client.trace_ids("hand-made", tags={"gen_ai.request.model": "gpt-4o"}) == [arrived.trace_id]
    assert jaeger.client.trace_ids("hand-made", tags={"gen_ai.request.model": "another"}) == []


def test_a_trace_sent_by_grpc_arrives_too(collector: Collector, jaeger: Jaeger) -> None:
    service = f"grpc-{uuid4().hex[:8]}"
    provider = TracerProvider(resource=Resource({"service.name": service}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(GrpcSpanExporter(collector.otlp_grpc, insecure=True)))
    with provider.get_tracer("hand").start_as_current_span("by grpc") as span:
        trace_id = format_trace_id(span.get_span_context().trace_id)
    provider.shutdown()
    assert jaeger.client.trace(trace_id, spans=1).outline() == "by grpc"


def test_a_missing_parent_is_seen_as_a_warning(collector: Collector, jaeger: Jaeger) -> None:
    """The assertion of an empty list of warnings above can fail: Jaeger does warn."""
    unsent = trace.SpanContext(trace_id=uuid4().int, span_id=0x1234, is_remote=True, trace_flags=trace.TraceFlags(1))
    with tracer_provider(collector.otlp_http, "orphan") as provider:
        context = trace.set_span_in_context(trace.NonRecordingSpan(unsent))
        provider.get_tracer("hand").start_span("orphan", context=context).end()
    found = jaeger.client.trace(format_trace_id(unsent.trace_id), spans=1)
    assert len(found.warnings()) == 1
    assert found.root.parent_id == "0000000000001234"


def test_a_trace_that_never_comes_is_reported_with_what_did(jaeger: Jaeger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.backends.jaeger.ARRIVAL_TIMEOUT_S", 0.2)
    with pytest.raises(BackendError, match="none arrived"):
        jaeger.client.trace(uuid4().hex, spans=1)
