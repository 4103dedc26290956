"""Queues spans of a megabyte each while the backend refuses, and tells how much memory that took.

Run: python -m tests.faults.programs.huge URL SPANS
"""

from __future__ import annotations

import re
import secrets
import sys
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider

from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.queue_processors import QueueSpanProcessor, otlp_span_queue
from tests.faults.programs.app import figures, tell


def peak_mib() -> int:
    """The most memory that this process has had so far."""
    (found,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("utf-8"))
    return int(found) // 1024


def main() -> None:
    """Make the spans."""
    url, spans = sys.argv[1], int(sys.argv[2])
    queue = otlp_span_queue(OtlpEndpoint(f"{url}/v1/traces"))
    provider = TracerProvider()
    provider.add_span_processor(QueueSpanProcessor(queue))
    tracer = provider.get_tracer("huge")
    with tracer.start_as_current_span("first"):
        pass
    provider.force_flush(1_000)
    before = peak_mib()
    for number in range(spans):
        with tracer.start_as_current_span(f"s{number}", attributes={"text": secrets.token_hex(2**19)}):
            pass
    provider.force_flush(10_000)
    tell("grown", mib=peak_mib() - before, **figures(queue.counts()))


if __name__ == "__main__":
    main()
