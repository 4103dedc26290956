"""Who asked, in which session: on every span of the request, and in the headers of requests to other services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen import Kaizen
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

import kaizen_otel

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


def line(span: ReadableSpan) -> str:
    said = span.attributes or {}
    tags = ",".join(said["kaizen.tags"]) if "kaizen.tags" in said else "-"  # type: ignore[arg-type]
    return f"{span.name}: {said.get('user.id', '-')} {said.get('session.id', '-')} {tags}\n"


@kaizen_otel.attributes(tags=["school"])
def handle(user_id: str, session_id: str, question: str) -> str:
    agent = Kaizen().create_agent("Guide", {"provider": "openai", "model": "gpt-4o-mini"})
    with kaizen_otel.attributes(user_id=user_id, session_id=session_id):
        headers: dict[str, str] = {}
        inject(headers)  # what an instrumented HTTP client does for you
        print("baggage:", headers["baggage"])
        return str(agent.execute(question)["answer"])


def main() -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line)))
    kaizen_otel.instrument(tracer_provider=provider, baggage=True)

    print(handle("ada", "web-1", "Why is the sky blue?"))
    print(handle("alan", "app-7", "Why is the sea salty?"))


if __name__ == "__main__":
    main()
