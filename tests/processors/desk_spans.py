"""Spans of a small support desk, for tests of what is made of finished spans. Times are seconds after `START`."""

from __future__ import annotations

import io
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Span, StatusCode, set_span_in_context

from kaizen_processors.export.console import ConsoleTree

START = 1_764_000_000_000_000_000
SECOND = 1_000_000_000
TRACER = TracerProvider(resource=Resource({"service.name": "support-desk"})).get_tracer("kaizen_otel")


def begin(name: str, parent: Span | None = None, at: float = 0, **attributes: Any) -> Span:
    context = None if parent is None else set_span_in_context(parent)
    given = {key.replace("__", "."): value for key, value in attributes.items()}
    return TRACER.start_span(name, context, attributes=given, start_time=START + int(at * SECOND))


def end(span: Span, at: float, *, error: str = "", message: str = "", **attributes: Any) -> ReadableSpan:
    span.set_attributes({key.replace("__", "."): value for key, value in attributes.items()})
    if error:
        span.set_attribute("error.type", error)
        span.set_status(StatusCode.ERROR, message)
    span.end(START + int(at * SECOND))
    assert isinstance(span, ReadableSpan)
    return span


def begin_agent(name: str, parent: Span | None = None, at: float = 0) -> Span:
    return begin(f"invoke_agent {name}", parent, at, gen_ai__operation__name="invoke_agent", gen_ai__agent__name=name)


def sums(
    total: tuple[int, int, float], own: tuple[int, int, float] | None = None, *, complete: bool = True
) -> dict[str, Any]:
    """The sums on an execution's span; its own are the total when not given."""
    return {
        f"kaizen.execution.{part}.{key}": value
        for part, values in (("own", own or total), ("total", total))
        for key, value in zip(("input_tokens", "output_tokens", "cost.amount"), values, strict=True)
    } | {"kaizen.execution.cost.complete": complete}


def begin_chat(model: str, parent: Span | None = None, at: float = 0) -> Span:
    return begin(f"chat {model}", parent, at, gen_ai__operation__name="chat", gen_ai__request__model=model)


def used(tokens_in: int, tokens_out: int, cost: float | None) -> dict[str, Any]:
    price = {} if cost is None else {"kaizen.usage.cost.amount": cost, "kaizen.usage.cost.currency": "USD"}
    return {"gen_ai.usage.input_tokens": tokens_in, "gen_ai.usage.output_tokens": tokens_out, **price}


def desk() -> list[ReadableSpan]:
    """A supervisor that asks two workers; spans in the order in which they end."""
    boss = begin_agent("supervisor")
    plan = end(begin_chat("gpt-4o-mini", boss, 0.1), 1.1, **used(1204, 310, 0.0009))
    worker = begin_agent("researcher", boss, 1.2)
    retry = end(
        begin_chat("gpt-4o-mini", worker, 1.25),
        1.5,
        error="RateLimitError",
        message="Slow down",
        http__response__status_code=429,
    )
    answer = end(
        begin_chat("gpt-4o-mini", worker, 1.6),
        2.5,
        **used(3916, 894, 0.0095),
        gen_ai__usage__cache_read__input_tokens=2048,
        gen_ai__response__time_to_first_chunk=0.4,
    )
    tool = end(
        begin(
            "execute_tool lookup_order",
            worker,
            2.5,
            gen_ai__operation__name="execute_tool",
            kaizen__tool__simulated=True,
        ),
        2.512,
    )
    worked = end(worker, 2.6, **sums((3916, 894, 0.0095)), kaizen__quality__score=0.84)
    writer = begin_agent("writer", boss, 2.7)
    unpriced = end(
        begin_chat("my-finetune", writer, 2.8), 3.8, **used(901, 310, None), kaizen__usage__missing__reason="price"
    )
    wrote = end(writer, 3.9, **sums((901, 310, 0.0), complete=False))
    done = end(boss, 4.2, **sums((6021, 1514, 0.0104), (1204, 310, 0.0009), complete=False), kaizen__quality__score=0.5)
    return [plan, retry, answer, tool, worked, unpriced, wrote, done]


def console(width: int = 100, **settings: Any) -> tuple[ConsoleTree, io.StringIO]:
    file = io.StringIO()
    return ConsoleTree(file, width, color=False, **settings), file


def shown(spans: list[ReadableSpan], width: int = 100, **settings: Any) -> str:
    tree, file = console(width, **settings)
    for span in spans:
        tree.on_span(span)
    assert tree.fence.counts() == {}
    return file.getvalue()


def body(text: str) -> str:
    """Without the title line, which has a random id and a local time."""
    return text.split("\n", 1)[1]
