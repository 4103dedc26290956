"""An application that forks while its own metrics are exported; each process records in one histogram.

Run: python -m tests.faults.programs.metric_forks CHILDREN
"""

from __future__ import annotations

import os
import sys
import threading

from opentelemetry import metrics

import kaizen_otel


def main() -> None:
    """Record once in the parent, then fork; each child records once, too, and ends as programs do."""
    kaizen_otel.instrument(exit_timeout_s=20.0)
    recorded = metrics.get_meter("application").create_histogram("recorded")
    recorded.record(1.0)
    assert kaizen_otel.flush()
    enough = threading.Event()
    failed: list[str] = []
    exporting = threading.Thread(target=flush_until, args=(enough, failed))
    exporting.start()
    children = []
    for _ in range(int(sys.argv[1])):
        child = os.fork()
        if child == 0:
            recorded.record(1.0)
            sys.exit()
        children.append(child)
    ends = [os.waitpid(child, 0)[1] for child in children]
    enough.set()
    exporting.join()
    assert not any(ends), ends
    if failed:
        sys.exit(failed[0])  # raised on its thread, it would end nothing but that


def flush_until(enough: threading.Event, failed: list[str]) -> None:
    """Have a request in flight most of the time; note what fails."""
    while not enough.is_set():
        try:
            if not kaizen_otel.flush():
                failed.append("a flush left something")
        except Exception as error:  # noqa: BLE001 - told of by the main thread
            failed.append(f"a flush raised {error!r}")
            return


if __name__ == "__main__":
    main()
