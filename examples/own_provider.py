"""An application that has OpenTelemetry already: kaizen-otel joins its provider and adds no exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen import Kaizen
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

import kaizen_otel

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


def line(span: ReadableSpan) -> str:
    return f"{span.name}\n"


def main() -> None:
    # Yours is likely BatchSpanProcessor(OTLPSpanExporter()).
    provider = TracerProvider(resource=Resource.create({"service.name": "school"}))
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line)))
    trace.set_tracer_provider(provider)

    kaizen_otel.instrument()  # before or after the provider is set

    agent = Kaizen().create_agent("Guide", {"provider": "openai", "model": "gpt-4o-mini"})
    with trace.get_tracer("school").start_as_current_span("GET /why"):
        agent.execute("Why is the sky blue?")

    print("exported by:", kaizen_otel.stats()["export"])


if __name__ == "__main__":
    main()
