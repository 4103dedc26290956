"""An application on gevent: everything that can be a greenlet is one.

Run: python -m tests.faults.programs.greenlets URL SPANS
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402 - patched first, as gevent wants it

import gevent  # noqa: E402 - as above
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402 - as above

from kaizen_processors.export.endpoint import OtlpEndpoint  # noqa: E402 - as above
from kaizen_processors.export.queue_processors import QueueSpanProcessor, otlp_span_queue  # noqa: E402 - as above
from tests.faults.programs.app import figures, tell  # noqa: E402 - as above

GREENLETS = 20


def main() -> None:
    """Make the spans in greenlets, and flush."""
    url, spans = sys.argv[1], int(sys.argv[2])
    queue = otlp_span_queue(OtlpEndpoint(f"{url}/v1/traces"))
    provider = TracerProvider()
    provider.add_span_processor(QueueSpanProcessor(queue))
    tracer = provider.get_tracer("greenlets")

    def work(first: int) -> None:
        for number in range(first, spans, GREENLETS):
            with tracer.start_as_current_span(f"s{number}"):
                gevent.sleep(0)

    gevent.joinall([gevent.spawn(work, first) for first in range(GREENLETS)], raise_error=True)
    tell("made", **figures(queue.counts()))
    tell("flushed", said=provider.force_flush(1_500))


if __name__ == "__main__":
    main()
