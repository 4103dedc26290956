"""An application that makes spans, flushes, and ends in one of several ways; it tells what it sees as lines of JSON.

Run: python -m tests.faults.programs.app URL [options]
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import contextlib
import json
import os
import secrets
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from kaizen_processors.export.accounts import DeliveryCounts
    from kaizen_processors.export.delivery import DeliveryQueue

_ended_s: list[float] = []
# The first one registered runs last: behind everything that delivers at exit.
atexit.register(lambda: tell("ended", exit_s=time.monotonic() - _ended_s[0]) if _ended_s else None)

from opentelemetry.sdk.trace import TracerProvider  # noqa: E402 - it registers an end of its own

from kaizen_processors.export.endpoint import OtlpEndpoint  # noqa: E402 - as above
from kaizen_processors.export.queue_processors import QueueSpanProcessor, otlp_span_queue  # noqa: E402 - as above
from kaizen_processors.export.settings import DeliverySettings  # noqa: E402 - as above
from kaizen_processors.export.spool import Spool  # noqa: E402 - as above


def tell(event: str, **figures: object) -> None:
    """Write one line for the test to read."""
    sys.stdout.write(json.dumps({"event": event, **figures}) + "\n")
    sys.stdout.flush()


def figures(counts: DeliveryCounts) -> dict[str, Any]:
    """The accounts as plain figures."""
    return {
        "put": counts.put,
        "exported": counts.exported,
        "spooled": counts.spooled,
        "pending": counts.pending,
        "dropped": counts.dropped,
        "pending_bytes": counts.pending_bytes,
    }


def options() -> argparse.Namespace:
    """What the test asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--spans", type=int, default=50)
    parser.add_argument("--rate", type=float, default=0.0, help="spans a second; 0: at once")
    parser.add_argument("--prefix", default="s")
    parser.add_argument("--random-bytes", type=int, default=0, help="bytes in each span that do not compress")
    parser.add_argument("--spool")
    parser.add_argument("--settings", default="{}")
    parser.add_argument("--timeout", type=float, default=10.0)
    parser.add_argument("--flush", type=float, default=0.0, help="seconds; 0: no flush")
    parser.add_argument("--end", choices=("return", "os_exit", "hold", "asyncio"), default="return")
    parser.add_argument("--tell-every", type=int, default=0, help="tell the accounts after so many spans")
    return parser.parse_args()


def make_spans(tracer: Any, queue: DeliveryQueue[ReadableSpan], options: argparse.Namespace) -> None:
    """Make the spans, at a steady rate or at once."""
    began_s = time.monotonic()
    for number in range(options.spans):
        noise = {"noise": secrets.token_hex(options.random_bytes // 2)} if options.random_bytes else {}
        with tracer.start_as_current_span(f"{options.prefix}{number}", attributes={"index": number, **noise}):
            pass
        if options.rate and number % 50 == 49:
            ahead_s = (number + 1) / options.rate - (time.monotonic() - began_s)
            if ahead_s > 0:
                threading.Event().wait(ahead_s)
        if options.tell_every and number % options.tell_every == options.tell_every - 1:
            tell("so_far", **figures(queue.counts()))


async def serve() -> None:
    """Wait for ever, as a server does."""
    tell("serving")
    await asyncio.Event().wait()


def main() -> None:
    """Run the application."""
    asked = options()
    endpoint = OtlpEndpoint(f"{asked.url}/v1/traces", timeout_s=asked.timeout)
    spool = Spool(asked.spool, "traces") if asked.spool else None
    queue = otlp_span_queue(endpoint, DeliverySettings(**json.loads(asked.settings)), spool)
    queue.start()
    provider = TracerProvider()
    provider.add_span_processor(QueueSpanProcessor(queue))
    tell("started")
    make_spans(provider.get_tracer("app"), queue, asked)
    tell("made", **figures(queue.counts()))
    if asked.flush:
        began_s = time.monotonic()
        said = provider.force_flush(int(asked.flush * 1_000))
        tell("flushed", said=said, took_s=time.monotonic() - began_s, **figures(queue.counts()))
    atexit.register(lambda: _ended_s.append(time.monotonic()))  # the last one registered runs first
    if asked.end == "hold":
        sys.stdin.read()
    elif asked.end == "asyncio":
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve())
    elif asked.end == "os_exit":
        os._exit(0)


if __name__ == "__main__":
    main()
