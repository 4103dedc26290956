from __future__ import annotations

import asyncio
import json
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

import kaizen_otel
from kaizen_otel.demo.script import ModelRequest, Reply
from kaizen_otel.invocations.call import CallInvocation, CallRequest
from kaizen_otel.patches.switch import active
from kaizen_otel.settings import Settings, SettingsError
from kaizen_otel.telemetry import Telemetry
from kaizen_processors.execution import ExecutionMetrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.testing import Captured


def _run_agent(model: str = "gpt-4o") -> None:
    from kaizen.core.framework import Kaizen

    Kaizen().create_agent("qa", {"model": model, "provider": "openai"}).execute(question="hi")


def _points(captured: Captured, name: str) -> dict[tuple[tuple[str, object], ...], float]:
    return {tuple(sorted(point.attributes.items())): point.value for point in captured.metrics()[name]}


def test_counters_carry_the_ledgers_sums_under_the_contracts_labels(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    _run_agent()
    _run_agent()

    (call, _) = kaizen_telemetry.calls
    assert len(kaizen_offline.requests) == 2
    assert _points(kaizen_telemetry, "kaizen.agent.executions") == {
        (("agent_name", "qa"), ("model", "gpt-4o"), ("status", "success")): 2
    }
    assert _points(kaizen_telemetry, "kaizen.tokens.consumed") == {
        (("agent_name", "qa"), ("model", "gpt-4o"), ("token_type", "input")): 2 * (call.usage.input_tokens or 0),
        (("agent_name", "qa"), ("model", "gpt-4o"), ("token_type", "output")): 2 * (call.usage.output_tokens or 0),
    }
    (cost,) = _points(kaizen_telemetry, "kaizen.cost.usd").values()
    assert cost == pytest.approx(float(kaizen_telemetry.cost), rel=1e-15)
    assert _points(kaizen_telemetry, "kaizen.active_agents") == {(("environment", ""),): 1}


def test_durations_are_recorded_once_per_execution_and_call(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    _run_agent()

    metrics = kaizen_telemetry.metrics()
    assert len(kaizen_offline.requests) == 1
    for name in (
        "kaizen.execution.duration",
        "gen_ai.invoke_agent.duration",
        "gen_ai.invoke_workflow.duration",
        "gen_ai.client.operation.duration",
    ):
        (point,) = metrics[name]
        assert point.count == 1, name
    assert len(metrics["gen_ai.client.token.usage"]) == 2


@pytest.mark.kaizen_otel(durations=False)
def test_durations_can_be_left_out(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    _run_agent()

    assert len(kaizen_offline.requests) == 1
    assert not [name for name in kaizen_telemetry.metrics() if name.endswith("duration")]
    assert "kaizen.cost.usd" in kaizen_telemetry.metrics()


@pytest.mark.kaizen_otel(deferred_histograms=True)
def test_deferred_histograms_lose_nothing(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    _run_agent()
    _run_agent()
    assert kaizen_telemetry.flush()

    (point,) = kaizen_telemetry.metrics()["kaizen.execution.duration"]
    assert point.count == 2
    assert len(kaizen_offline.requests) == 2


@pytest.mark.parametrize("conventions", [41, 42])
@pytest.mark.parametrize("deferred", [False, True], ids=["at once", "deferred"])
def test_the_exemplars_of_client_histograms_point_at_the_span_of_their_call(
    conventions: Literal[41, 42], deferred: bool
) -> None:
    reader = InMemoryMetricReader()
    settings = Settings(
        conventions=conventions,
        deferred_histograms=deferred,
        tracer_provider=TracerProvider(),
        meter_provider=MeterProvider([reader]),
    )
    telemetry = Telemetry(settings)
    with telemetry.call(lambda: CallRequest("chat", "openai", "gpt-4o")) as call:
        call.observe(_answer)
    telemetry.flush()

    assert isinstance(call, CallInvocation)
    span_context = call.span.get_span_context()
    points = _histogram_points(reader)
    telemetry.shutdown()
    assert len(points) == 3  # tokens in, tokens out, duration
    for point in points:
        assert point.attributes is not None
        assert point.attributes["gen_ai.request.model"] == "gpt-4o"
        assert point.attributes["gen_ai.response.model"] == "gpt-4o-2024-08-06"
        assert [(exemplar.trace_id, exemplar.span_id) for exemplar in point.exemplars] == [
            (span_context.trace_id, span_context.span_id)
        ]


def _answer(call: CallInvocation) -> None:
    call.response_model = "gpt-4o-2024-08-06"
    call.usage.input_tokens, call.usage.output_tokens = 1200, 300


def _histogram_points(reader: InMemoryMetricReader) -> list[HistogramDataPoint]:
    data = reader.get_metrics_data()
    assert data is not None
    return [
        point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if isinstance(point, HistogramDataPoint)
    ]


@pytest.mark.kaizen_otel(conventions=42)
def test_version_42_has_its_own_client_metrics(kaizen_offline: ModelServer, kaizen_telemetry: Captured) -> None:
    _run_agent()

    names = {name for name in kaizen_telemetry.metrics() if name.startswith("gen_ai.client.")}
    assert len(kaizen_offline.requests) == 1
    assert "gen_ai.client.inference.duration" in names
    assert "gen_ai.client.inference.usage.input_tokens" in names
    assert not {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"} & names


@pytest.mark.kaizen_otel(conventions=42)
def test_version_42_has_of_embeddings_only_their_duration(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    asyncio.run(scenes.llm_client().embed(["one"], model="text-embedding-3-small"))

    metrics = kaizen_telemetry.metrics()
    assert len(kaizen_offline.requests) == 1
    assert [name for name in metrics if name.startswith("gen_ai.client.")] == ["gen_ai.client.operation.duration"]
    (duration,) = metrics["gen_ai.client.operation.duration"]
    assert (duration.count, duration.attributes["gen_ai.operation.name"]) == (1, "embeddings")
    assert kaizen_otel.stats()["failures"] == {}


def test_a_failed_call_counts_as_missing_usage_and_its_duration_names_the_error(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    kaizen_offline.script(_failing)
    _run_agent()

    metrics = kaizen_telemetry.metrics()
    (missing,) = metrics["kaizen.usage.missing"]
    assert (missing.value, dict(missing.attributes)) == (1, {"model": "gpt-4o", "reason": "usage"})
    (duration,) = metrics["gen_ai.client.operation.duration"]
    assert duration.attributes["error.type"] == "kaizen.llm.errors.ProviderError"


@pytest.mark.kaizen_otel(conventions=42)
def test_version_42_names_the_error_with_the_duration_and_the_sizes_of_a_failed_call(
    kaizen_offline: ModelServer, kaizen_telemetry: Captured
) -> None:
    from tests.kaizen_otel.surfaces import scenes

    # Some providers count with every chunk, so that a stream that fails half way has its tokens so far.
    chunk = {
        "choices": [{"index": 0, "delta": {"content": "x"}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1},
    }
    kaizen_offline.script([Reply(body=f"data: {json.dumps(chunk)}\n\ndata: {json.dumps(chunk)}\n\n".encode())])

    async def fail_half_way() -> None:
        chunks = scenes.stream_of(scenes.llm_client())
        await anext(chunks)
        await chunks.athrow(LookupError("the reader's"))

    with pytest.raises(LookupError):
        asyncio.run(fail_half_way())

    metrics = kaizen_telemetry.metrics()
    for name in ("duration", "operation.input_tokens", "operation.output_tokens"):
        (point,) = metrics[f"gen_ai.client.inference.{name}"]
        assert point.attributes["error.type"] == "LookupError", name
    # What was used was used, whatever became of the call.
    for name in ("input_tokens", "output_tokens"):
        (point,) = metrics[f"gen_ai.client.inference.usage.{name}"]
        assert "error.type" not in point.attributes, name


def _failing(_request: ModelRequest) -> Reply:
    return Reply(status=500)


@pytest.fixture
def prometheus() -> Iterator[str]:
    kaizen_otel.instrument(prometheus_port=0, environment="test")
    telemetry = active()
    assert telemetry is not None
    port = telemetry.metrics.prometheus_port
    yield f"http://localhost:{port}/metrics"
    kaizen_otel.uninstrument()


def test_the_prometheus_endpoint_serves_the_contracts_names(kaizen_offline: ModelServer, prometheus: str) -> None:
    _run_agent()

    with urllib.request.urlopen(prometheus, timeout=10) as answer:  # noqa: S310 - our own loopback endpoint
        text = answer.read().decode()
    assert len(kaizen_offline.requests) == 1
    assert 'kaizen_agent_executions_total{agent_name="qa",model="gpt-4o",status="success"} 1.0' in text
    assert 'kaizen_tokens_consumed_total{agent_name="qa",model="gpt-4o",token_type="input"}' in text
    assert 'kaizen_cost_usd_total{agent_name="qa",model="gpt-4o"}' in text
    assert 'kaizen_active_agents{environment="test"} 1.0' in text
    assert 'kaizen_execution_duration_seconds_bucket{agent_name="qa",le="0.1",model="gpt-4o"}' in text
    assert 'kaizen_execution_duration_seconds_bucket{agent_name="qa",le="300.0",model="gpt-4o"} 1.0' in text


def test_every_pair_of_agent_and_model_has_series_of_its_own(prometheus: str) -> None:
    now = datetime.now(UTC)
    for number in range(1_200):  # two series of tokens each: more than the SDK holds unless it is told
        kaizen_otel.record_execution_metrics(
            ExecutionMetrics(f"id-{number}", f"agent-{number}", "gpt-4o", now, 5.0, 3, 2, 5, 0.0, success=True)
        )

    with urllib.request.urlopen(prometheus, timeout=30) as answer:  # noqa: S310 - our own loopback endpoint
        lines = answer.read().decode().splitlines()

    tokens = [line for line in lines if line.startswith("kaizen_tokens_consumed_total{")]
    assert len(tokens) == 2 * 1_200
    assert not [line for line in lines if "otel_metric_overflow" in line]


def test_the_endpoint_is_closed_when_uninstrumented(kaizen_offline: ModelServer, prometheus: str) -> None:
    del kaizen_offline
    kaizen_otel.uninstrument()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(prometheus, timeout=10)  # noqa: S310 - our own loopback endpoint


def test_a_port_in_use_is_a_clear_error_at_start(prometheus: str) -> None:
    port = int(prometheus.split(":")[2].split("/", maxsplit=1)[0])
    kaizen_otel.uninstrument()
    kaizen_otel.instrument(prometheus_port=port)
    kaizen_otel.uninstrument()
    import socket

    with socket.create_server(("localhost", port)), pytest.raises(SettingsError, match=f"localhost:{port}"):
        kaizen_otel.instrument(prometheus_port=port)
    assert active() is None
