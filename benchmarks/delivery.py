"""What arrives when the backend fails: our delivery queue beside BatchSpanProcessor with the official OTLP exporter.

Each row is one process that makes spans at a steady rate (or at once), flushes with two seconds' time, and ends.

Run: python -m benchmarks.delivery [--write]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.processors.delivery.backend import HANG, Backend, Reply, unused_url

DOCUMENT = Path(__file__).parent.parent / "docs" / "delivery.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

FLUSH_S = 2.0
OURS, THEIRS = "kaizen-otel", "BatchSpanProcessor"

CHILD = """
import json, sys, time
from opentelemetry.sdk.trace import TracerProvider
kind, url, count, rate = sys.argv[1], sys.argv[2] + "/v1/traces", int(sys.argv[3]), float(sys.argv[4])
queue = None
if kind == "kaizen-otel":
    from kaizen_processors.export.endpoint import OtlpEndpoint
    from kaizen_processors.export.queue_processors import QueueSpanProcessor, otlp_span_queue
    queue = otlp_span_queue(OtlpEndpoint(url))
    processor = QueueSpanProcessor(queue)
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    processor = BatchSpanProcessor(OTLPSpanExporter(url))
provider = TracerProvider()
provider.add_span_processor(processor)
tracer = provider.get_tracer("benchmark")
attributes = {f"key{number}": f"value {number}" for number in range(20)}
worst, began = 0.0, time.perf_counter()
for number in range(count):
    start = time.perf_counter()
    with tracer.start_as_current_span(f"s{number}", attributes=attributes):
        pass
    worst = max(worst, time.perf_counter() - start)
    ahead = (number + 1) / rate - (time.perf_counter() - began) if rate else 0.0
    if ahead > 0.005:
        time.sleep(ahead)
start = time.perf_counter()
said = provider.force_flush(2_000)
took = time.perf_counter() - start
result = {"said": bool(said), "took_s": took, "worst_ms": worst * 1e3, "ended_at": time.monotonic()}
print(json.dumps(result), flush=True)
"""


@dataclass(frozen=True)
class Fault:
    """What is wrong with the backend, and for how long (None: until the end)."""

    name: str
    spans: int
    rate: float
    reply: Reply | None
    """None: nobody listens."""
    seconds: float | None = None


FAULTS = (
    Fault("none, 2,000 spans/s", 6_000, 2_000, Reply()),
    Fault("503 for 3 s, 2,000 spans/s", 10_000, 2_000, Reply(503), 3.0),
    Fault("503 for 3 s, 6,000 spans at once", 6_000, 0, Reply(503), 3.0),
    Fault("accepts, never answers", 50, 0, Reply(HANG)),
    Fault("nobody listens", 50, 0, None),
    Fault("429, Retry-After 3 s, then well", 500, 0, Reply(429, {"retry-after": "3"}), 0.5),
)


def run(kind: str, fault: Fault) -> dict[str, Any]:
    with Backend(default=fault.reply or Reply()) as backend:
        url = unused_url() if fault.reply is None else backend.url
        command = [sys.executable, "-c", CHILD, kind, url, str(fault.spans), str(fault.rate)]
        with subprocess.Popen(  # noqa: S603 - our own interpreter and text
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as child:
            healer = None
            if fault.seconds is not None:
                backend.wait_for_requests(1, 60)
                healer = threading.Timer(fault.seconds, setattr, (backend, "default", Reply()))
                healer.start()
            out, _ = child.communicate(timeout=180)
            ended_at = time.monotonic()
            if healer is not None:
                healer.join()
        said: dict[str, Any] = json.loads(out)
        arrived = set(backend.taken)
        return said | {
            "delivered": len(arrived),
            "twice": len(backend.taken) - len(arrived),
            "exit_s": ended_at - said["ended_at"],
        }


def table() -> str:
    lines = [
        f"| backend | | made | delivered | lost | twice | `force_flush({FLUSH_S:g} s)` | exit | slowest span |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for fault in FAULTS:
        for kind in (OURS, THEIRS):
            result = run(kind, fault)
            lines.append(
                f"| {fault.name} | {kind} | {fault.spans:,} | {result['delivered']:,} |"
                f" {fault.spans - result['delivered']:,} | {result['twice']:,} |"
                f" {result['said']} after {result['took_s']:.1f} s | {result['exit_s']:.1f} s |"
                f" {result['worst_ms']:.1f} ms |"
            )
            print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    write = parser.parse_args().write
    measured = table()
    if write:
        text = DOCUMENT.read_text("utf-8")
        head, rest = text.split(BEGIN)
        DOCUMENT.write_text(f"{head}{BEGIN}\n{measured}\n{END}{rest.split(END)[1]}", "utf-8")


if __name__ == "__main__":
    main()
