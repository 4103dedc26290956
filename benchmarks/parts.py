"""Parts that have a budget of their own, in microseconds: pricing, handing records over, foreign spans, rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.harness import Case, Line
from benchmarks.scenes import tracer_provider
from kaizen_processors.alerts import Budget, BudgetBook, Condition
from kaizen_processors.dialects import ForeignCalls
from kaizen_processors.execution import CallRecord, ExecutionRecord
from kaizen_processors.fence import Fence
from kaizen_processors.ledger import Ledger, Tally, TallySnapshot
from kaizen_processors.pipeline import Observer, Pipeline, PipelineSpanProcessor
from kaizen_processors.pricing import PriceBook
from kaizen_processors.usage import Usage

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from benchmarks.scenes import Work

AT_NS = 1_795_000_000 * 10**9
USAGE = Usage(1200, 300, cache_read_tokens=200, reasoning_tokens=0)
FOREIGN_SPAN = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-9dVqGhx3",
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.usage.input_tokens": 1200,
    "gen_ai.usage.output_tokens": 300,
    "gen_ai.usage.cache_read.input_tokens": 200,
    "gen_ai.request.temperature": 0.2,
    "gen_ai.request.max_tokens": 500,
    "server.address": "api.openai.com",
    "server.port": 443,
}

LINES = [
    Line("the price of a call, exact, its rates cached", "price", budget=0.5),
    Line("a call handed over: ledger, two scopes above, pipeline with one observer", "call record", budget=2),
    Line("an execution handed over: ledger, pipeline with one observer", "execution record", budget=2),
    Line("a model call parsed from another library's span, priced and counted likewise", "foreign call", budget=4),
    Line("any other span of the application, let through", "foreign span"),
    Line("a rule's condition, judged", "condition", budget=0.5),
    Line("money counted in two budgets, one of them for each agent", "budgets"),
]


class _Seeing(Observer):
    def on_call(self, record: CallRecord) -> None:
        """Look at it."""

    def on_execution(self, record: ExecutionRecord) -> None:
        """Look at it."""


def cases() -> list[Case]:
    """What the lines are measured with."""
    book, ledger, fence = PriceBook(), Ledger(), Fence()
    pipeline = Pipeline(fence, (_Seeing(),), foreign=ForeignCalls(ledger, book))
    return [
        Case("price", _pricing(book)),
        Case("call record", _call_records(ledger, pipeline, book)),
        Case("execution record", _execution_records(ledger, pipeline)),
        Case("foreign call", _spans(fence, pipeline, FOREIGN_SPAN)),
        Case("foreign span", _spans(fence, pipeline, {"http.request.method": "POST", "url.path": "/orders"})),
        Case("condition", _judging()),
        Case("budgets", _spending()),
    ]


def _pricing(book: PriceBook) -> Work:
    def run(count: int) -> None:
        for _ in range(count):
            book.price("openai", "gpt-4o-2024-08-06", USAGE, AT_NS, "gpt-4o")

    return run


def _judging() -> Work:
    condition = Condition("error_rate > 0.05 and p95_latency > 10000")
    values = (0.06, 12_000.0)

    def run(count: int) -> None:
        for _ in range(count):
            condition.evaluate(values)

    return run


def _spending() -> Work:
    book = BudgetBook(
        [
            Budget(name="all", limit_usd=1_000, timezone="Europe/Berlin"),
            Budget(name="each", limit_usd=1_000, per="agent", timezone="Europe/Berlin"),
        ]
    )

    def run(count: int) -> None:
        for _ in range(count):
            book.spend(27 * 10**18, agent="desk")

    return run


def _call_records(ledger: Ledger, pipeline: Pipeline, book: PriceBook) -> Work:
    price = book.price("openai", "gpt-4o", USAGE, AT_NS)
    tallies = (Tally(), Tally())

    def run(count: int) -> None:
        record = CallRecord(
            operation="chat", provider="openai", model="gpt-4o", agent_name="desk", usage=USAGE, price=price
        )
        for _ in range(count):
            ledger.add_call(record, tallies)
            pipeline.call_finished(record)

    return run


def _execution_records(ledger: Ledger, pipeline: Pipeline) -> Work:
    record = ExecutionRecord(
        execution_id="0" * 32,
        agent_name="desk",
        model="gpt-4o",
        status="success",
        start_time_ns=AT_NS,
        duration_ns=10**9,
        own=TallySnapshot(),
        total=TallySnapshot(),
    )

    def run(count: int) -> None:
        for _ in range(count):
            activity = ledger.start_execution(record.agent_name)
            ledger.end_execution(record.agent_name, record.model, record.status, activity)
            pipeline.execution_finished(record)

    return run


def _spans(fence: Fence, pipeline: Pipeline, attributes: dict[str, Any]) -> Work:
    shell = PipelineSpanProcessor(fence)
    shell.arm(pipeline)
    started: Any = tracer_provider().get_tracer("another.library").start_span("chat gpt-4o", attributes=attributes)
    started.end()
    ended: ReadableSpan = started

    def run(count: int) -> None:
        for _ in range(count):
            shell.on_start(started, None)
            shell.on_end(ended)

    return run
