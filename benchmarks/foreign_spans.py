"""What spans of other libraries cost on a provider that kaizen-otel joined: `python benchmarks/foreign_spans.py`.

Microseconds of the calling thread's own processor time, the least of many short turns, taken in rotation; each case
against the same span with nobody watching, and as a share of a bare span with 20 attributes.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from kaizen_otel.invocations.attribution import attribution_in
from kaizen_processors.dialects import ForeignCalls, read_model_call
from kaizen_processors.fence import Fence
from kaizen_processors.ledger import Ledger
from kaizen_processors.pipeline import Pipeline, PipelineSpanProcessor
from kaizen_processors.pricing import PriceBook

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

_RECORDED = Path(__file__).parents[1] / "tests" / "foreign" / "recorded"
_TURNS = 300
_COUNT = 100
_PLAIN = {f"http.attribute.{number}": number for number in range(20)}


class _Keep(SpanProcessor):
    """Keeps the last span, for reading it again and again."""

    def on_end(self, span: ReadableSpan) -> None:
        self.last = span


def _provider(*processors: SpanProcessor) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider


def _shell() -> PipelineSpanProcessor:
    fence = Fence()
    shell = PipelineSpanProcessor(fence)
    shell.arm(Pipeline(fence, foreign=ForeignCalls(Ledger(), PriceBook(), attribution_in)))
    return shell


def _span(provider: TracerProvider, scope: str, attributes: dict[str, Any]) -> Callable[[], None]:
    tracer = provider.get_tracer(scope)

    def run() -> None:
        tracer.start_span("a span", attributes=attributes).end()

    return run


def _reading(scope: str, attributes: dict[str, Any]) -> Callable[[], object]:
    keep = _Keep()
    _span(_provider(keep), scope, attributes)()
    return lambda: read_model_call(keep.last)


def _least(cases: dict[str, Callable[[], object]]) -> dict[str, float]:
    best = dict.fromkeys(cases, float("inf"))
    for _ in range(_TURNS):
        for name, run in cases.items():
            begun = time.thread_time_ns()
            for _ in range(_COUNT):
                run()
            best[name] = min(best[name], (time.thread_time_ns() - begun) / _COUNT / 1_000)
    return best


def main() -> None:
    """Measure and print a table."""
    spans = {"no model call, 20 attributes": ("opentelemetry.instrumentation.httpx", _PLAIN)}
    for path in sorted(_RECORDED.glob("*.json")):
        recorded = json.loads(path.read_text())["spans"][0]
        spans[path.stem] = (recorded["scope"], recorded["attributes"])
    cases: dict[str, Callable[[], object]] = {}
    for name, (scope, attributes) in spans.items():
        cases[f"{name} unwatched"] = _span(_provider(_Keep()), scope, attributes)
        cases[f"{name} watched"] = _span(_provider(_Keep(), _shell()), scope, attributes)
        cases[f"{name} read"] = _reading(scope, attributes)
    best = _least(cases)
    unit = best["no model call, 20 attributes unwatched"]
    print(f"a bare span with 20 attributes: {unit:.1f} µs")
    print("| span | watched, µs | of a bare span | of it reading, µs |")
    print("| --- | ---: | ---: | ---: |")
    for name in spans:
        added = best[f"{name} watched"] - best[f"{name} unwatched"]
        print(f"| {name} | {added:.1f} | {added / unit:.2f} | {best[f'{name} read']:.2f} |")


if __name__ == "__main__":
    main()
