"""Hand-made signals that conform, for tests to break one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind, Status, StatusCode

from kaizen_semconv import GEN_AI_SCHEMA_URLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.metrics.export import MetricsData

CHAT: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.top_k": 40.0,
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 3,
    "gen_ai.usage.cache_creation.input_tokens": 4,
    "kaizen.usage.cost.amount": 0.01,
    "kaizen.usage.cost.currency": "USD",
    "kaizen.usage.cost.source": "genai-prices",
    "server.address": "api.openai.com",
    "server.port": 443,
}
AGENT: dict[str, Any] = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "researcher",
    "kaizen.execution.id": "0af7651916cd43dd8448eb211c80319c",
    "kaizen.execution.status": "success",
    "kaizen.execution.model_calls": 1,
    "kaizen.execution.tool_calls": 0,
    "kaizen.execution.own.input_tokens": 12,
    "kaizen.execution.own.output_tokens": 3,
    "kaizen.execution.own.cost.amount": 0.01,
    "kaizen.execution.total.input_tokens": 12,
    "kaizen.execution.total.output_tokens": 3,
    "kaizen.execution.total.cost.amount": 0.01,
    "kaizen.execution.cost.complete": True,
}
NODE: dict[str, Any] = {"kaizen.node.type": "PythonCodeNode", "kaizen.node.id": "summarize"}


def scope(version: int | None = 41, name: str = "kaizen_otel") -> InstrumentationScope:
    url = None if version is None else GEN_AI_SCHEMA_URLS[version]
    return InstrumentationScope(name, "1.0", url)


def span(attributes: dict[str, Any], **changes: Any) -> ReadableSpan:
    """A span of these attributes that conforms when they do; `changes` are arguments of ReadableSpan."""
    names = {
        "chat": f"chat {attributes.get('gen_ai.request.model')}",
        "invoke_agent": f"invoke_agent {attributes.get('gen_ai.agent.name')}",
        None: f"node {attributes.get('kaizen.node.type')}",
    }
    operation = attributes.get("gen_ai.operation.name")
    arguments: dict[str, Any] = {
        "name": names.get(operation, str(operation)),
        "attributes": attributes,
        "kind": SpanKind.CLIENT if operation == "chat" else SpanKind.INTERNAL,
        "status": Status(StatusCode.ERROR if "error.type" in attributes else StatusCode.UNSET),
        "instrumentation_scope": scope(),
        "resource": Resource({}),
        "start_time": 1,
        "end_time": 2,
    }
    return ReadableSpan(**arguments | changes)


def exception(**attributes: str) -> Event:
    return Event("exception", {"exception.type": "ValueError", **attributes}, 1)


@dataclass(frozen=True)
class Record:
    event_name: str | None
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Log:
    """As a processor of the SDK gets it; the SDK's own class is private."""

    log_record: Record
    instrumentation_scope: InstrumentationScope = field(default_factory=scope)


def evaluation(**changes: Any) -> Log:
    attributes = {"gen_ai.evaluation.name": "non_empty", "gen_ai.evaluation.score.value": 1.0}
    return Log(Record("gen_ai.evaluation.result", attributes | changes))


def collect(record: Callable[[Meter], None], *, name: str = "kaizen_otel", **options: Any) -> MetricsData:
    """What a real SDK collects after `record` made its instruments and used them; by hand, so without a schema URL."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False, **options)
    try:
        record(provider.get_meter(name, "1.0"))
        data = reader.get_metrics_data()
        assert data is not None
        return data
    finally:
        provider.shutdown()
