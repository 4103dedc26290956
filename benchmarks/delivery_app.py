"""The application that `benchmarks.delivery` runs in a process of its own; it prints what it saw as one line of JSON.

Run: python -m benchmarks.delivery_app KIND URL SPANS RATE [--spool FOLDER] [--children N] [--odd WHAT] [--hold]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import TracerProvider

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Tracer

FLUSH_S = 2.0
ATTRIBUTES: dict[str, Any] = {f"key{number}": f"value {number}" for number in range(20)}
ODD = ("name", "text")
"""Half a character at the end of its name; a text of 70 MB."""
SHORT_SLEEP_S = 0.005


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind")
    parser.add_argument("url")
    parser.add_argument("spans", type=int)
    parser.add_argument("rate", type=float, help="spans a second; 0: at once")
    parser.add_argument("--spool")
    parser.add_argument("--children", type=int, default=0, help="make the spans in so many children")
    parser.add_argument("--odd", choices=ODD, help="what is odd about the span in the middle")
    parser.add_argument("--hold", action="store_true", help="do not end before standard input does")
    return parser.parse_args()


def processor_of(kind: str, url: str, spool_folder: str | None) -> SpanProcessor:
    if kind == "kaizen-otel":
        from kaizen_processors.export.endpoint import OtlpEndpoint
        from kaizen_processors.export.queue_processors import QueueSpanProcessor, otlp_span_queue
        from kaizen_processors.export.spool import Spool

        spool = Spool(spool_folder, "traces") if spool_folder else None
        queue = otlp_span_queue(OtlpEndpoint(f"{url}/v1/traces"), spool=spool)
        queue.start()
        return QueueSpanProcessor(queue)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces"))


def make(tracer: Tracer, first: int, spans: int, rate: float, odd: str | None = None) -> list[int]:
    """Make the spans; gives the nanoseconds that each of them took the application."""
    taken, began = [], time.perf_counter()
    for number in range(spans):
        odd_now = odd if number == spans // 2 else None
        end = "\ud83d" if odd_now == "name" else ""
        more = {"text": "x" * 70_000_000} if odd_now == "text" else {}
        start = time.perf_counter_ns()
        with tracer.start_as_current_span(f"s{first + number}{end}", attributes={**ATTRIBUTES, **more}):
            pass
        taken.append(time.perf_counter_ns() - start)
        ahead_s = (number + 1) / rate - (time.perf_counter() - began) if rate else 0.0
        if ahead_s > SHORT_SLEEP_S:
            time.sleep(ahead_s)
    return taken


def in_children(tracer: Tracer, spans: int, children: int) -> None:
    """Make the spans in children of `multiprocessing`, which end as such children do."""
    share, fork = spans // children, multiprocessing.get_context("fork")
    processes = [fork.Process(target=make, args=(tracer, number * share, share, 0.0)) for number in range(children)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def cpu_s() -> float:
    """Processor time of this process and of its children that have ended."""
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_mib() -> float:
    """The most memory that this program has had; `ru_maxrss` would be that of whoever started it, if that is more."""
    (found,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8"))
    return int(found) / 1024


def main() -> None:
    asked = options()
    provider = TracerProvider()
    provider.add_span_processor(processor_of(asked.kind, asked.url, asked.spool))
    tracer = provider.get_tracer("benchmark")
    before_s = cpu_s()
    taken = [0]
    if asked.children:
        in_children(tracer, asked.spans, asked.children)
    else:
        taken = sorted(make(tracer, 0, asked.spans, asked.rate, asked.odd)) or taken
    start = time.perf_counter()
    said = provider.force_flush(int(FLUSH_S * 1_000))
    result = {
        "said": bool(said),
        "took_s": time.perf_counter() - start,
        "p50_us": taken[len(taken) // 2] / 1e3,
        "p999_us": taken[len(taken) * 999 // 1_000] / 1e3,
        "max_us": taken[-1] / 1e3,
        "cpu_s": cpu_s() - before_s,
        "rss_mib": peak_mib(),
        "ended_at": time.monotonic(),
    }
    print(json.dumps(result), flush=True)
    if asked.hold:
        sys.stdin.read()


if __name__ == "__main__":
    main()
