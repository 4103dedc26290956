"""An application that says no more than `kaizen_otel.instrument()`; the environment says the rest.

Run: python -m tests.faults.programs.instrumented SPANS [handle]
"""

from __future__ import annotations

import signal
import sys

from opentelemetry import trace

import kaizen_otel
from tests.faults.programs.app import tell


def main() -> None:
    """Make the spans, and wait for the end."""
    if "handle" in sys.argv:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    kaizen_otel.instrument()
    tracer = trace.get_tracer("application")
    for number in range(int(sys.argv[1])):
        with tracer.start_as_current_span(f"s{number}"):
            pass
    if "flush" in sys.argv:
        tell("flushed", said=kaizen_otel.flush(30.0))
    tell("made")
    sys.stdin.read()


if __name__ == "__main__":
    main()
