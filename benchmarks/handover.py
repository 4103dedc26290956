"""What it costs the thread that ends a span to hand it over, and what of that is the estimate of its bytes.

Run from the repository: python -m benchmarks.handover [--rounds 60]
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import TracerProvider

from benchmarks.harness import Case, Line, measure
from kaizen_processors.export.backlog import Backlog
from kaizen_processors.export.settings import DeliverySettings
from kaizen_processors.export.weight import BASE_BYTES, span_weight

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 500
"""So many are handed over before they are taken away: the buffer stays as short as it is in practice."""

LINES = [
    Line("a span of 20 attributes handed over", "weighed"),
    Line("… without the estimate of its bytes", "not weighed"),
    Line("the span itself: started, 20 attributes set, ended", "span"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    tracer = TracerProvider().get_tracer("benchmark")
    attributes: Any = {f"gen_ai.attribute.number{n}": "some text of 24 letters" if n % 2 else n for n in range(20)}

    def spans(count: int) -> None:
        for _ in range(count):
            span = tracer.start_span("chat gpt-4o")
            span.set_attributes(attributes)
            span.end()

    ended: Any = tracer.start_span("chat gpt-4o", attributes=attributes)
    ended.end()

    def putting(weigh: Callable[[Any], int]) -> Callable[[int], None]:
        backlog: Backlog[Any] = Backlog(DeliverySettings(), weigh)

        def run(count: int) -> None:
            for number in range(count):
                backlog.put(ended)
                if not number % CHUNK:
                    backlog.take(backlog.accepted)
            backlog.take(backlog.accepted)

        return run

    cases = [
        Case("weighed", putting(span_weight)),
        Case("not weighed", putting(lambda _: BASE_BYTES)),
        Case("span", spans),
    ]
    timings = measure(cases, parser.parse_args().rounds)
    print("| | µs |\n|---|---:|")
    for line in LINES:
        print(f"| {line.what} | {timings.best(line):.2f} |")


if __name__ == "__main__":
    main()
