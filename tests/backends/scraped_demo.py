"""Runs the demo and stays, still instrumented, until its stdin is closed: so that Prometheus has time to scrape it.

Its argument is the line that it prints after the demo's totals.
"""

from __future__ import annotations

import sys
from unittest.mock import patch

import kaizen_otel
from kaizen_otel.demo.command import demo

if __name__ == "__main__":
    with patch.object(kaizen_otel, "uninstrument"):  # else the endpoint has nothing to show after the run
        demo(offline=True, as_json=True)
        sys.stdout.write(f"{sys.argv[1]}\n")
        sys.stdout.flush()
        sys.stdin.read()
