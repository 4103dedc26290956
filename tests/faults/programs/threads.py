"""Threads that outlive the main thread: one that Python waits for, and some that it does not.

Run: python -m tests.faults.programs.threads URL SPANS
"""

from __future__ import annotations

import sys
import threading
import time

from opentelemetry.sdk.trace import TracerProvider

from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.queue_processors import QueueSpanProcessor, otlp_span_queue
from kaizen_processors.export.settings import DeliverySettings


def main() -> None:
    """Start the threads and end."""
    provider = TracerProvider()
    endpoint = OtlpEndpoint(f"{sys.argv[1]}/v1/traces")
    provider.add_span_processor(QueueSpanProcessor(otlp_span_queue(endpoint, DeliverySettings(shutdown_s=30.0))))
    tracer = provider.get_tracer("threads")

    def waited_for() -> None:
        threading.main_thread().join()
        for number in range(int(sys.argv[2])):
            with tracer.start_as_current_span(f"s{number}"):
                pass

    def endless(name: str) -> None:
        while True:
            with tracer.start_as_current_span(name):
                time.sleep(0.0002)

    threading.Thread(target=waited_for).start()
    for number in range(3):
        threading.Thread(target=endless, args=(f"endless{number}",), daemon=True).start()


if __name__ == "__main__":
    main()
