"""An application whose spool is in a folder that it may not write.

Run: python -m tests.faults.programs.denied URL FOLDER SPANS
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider

from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.queue_processors import QueueSpanProcessor, otlp_span_queue
from kaizen_processors.export.spool import Spool
from tests.faults.programs.app import figures, tell

_NOBODY = 65_534


def main() -> None:
    """Make the spans."""
    url, folder, spans = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    queue = otlp_span_queue(OtlpEndpoint(f"{url}/v1/traces"), spool=Spool(folder / "spool", "traces"))
    provider = TracerProvider()
    provider.add_span_processor(QueueSpanProcessor(queue))
    tracer = provider.get_tracer("denied")
    with tracer.start_as_current_span("first"):
        pass
    # Everything that is loaded when used has been loaded: who has no rights may not read it either.
    provider.force_flush(30_000)
    folder.chmod(0o500)
    if os.geteuid() == 0:  # nothing is denied to root
        os.seteuid(_NOBODY)
    for number in range(spans):
        with tracer.start_as_current_span(f"s{number}"):
            pass
    said = provider.force_flush(1_000)
    counts = figures(queue.counts())
    tell("flushed", said=said, **(counts | {"put": counts["put"] - 1}))
    sys.stdin.read()


if __name__ == "__main__":
    main()
