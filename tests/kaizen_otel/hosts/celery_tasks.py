"""A Celery application: an agent for each task, on a broker that is a folder.

KAIZEN_CELERY_FOLDER     where messages and results are
KAIZEN_CELERY_TRACED     set: OpenTelemetry's own instrumentation of Celery is on, on both sides

As a program it sends the tasks that its arguments name, waits for them, and prints the answers.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from celery import Celery
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor

from tests.kaizen_otel.hosts import applications

_FOLDER = Path(os.environ["KAIZEN_CELERY_FOLDER"])

app: Any = Celery("tasks", broker="filesystem://", backend=f"file://{_FOLDER / 'results'}")
app.conf.broker_transport_options = {
    "data_folder_in": str(_FOLDER / "messages"),
    "data_folder_out": str(_FOLDER / "messages"),
    "control_folder": str(_FOLDER / "control"),
    "polling_interval": 0.05,
}
app.conf.worker_hijack_root_logger = False

if "KAIZEN_CELERY_TRACED" in os.environ:
    CeleryInstrumentor().instrument()  # type: ignore[no-untyped-call]  # untyped in 0.66


@app.task(name="ask")
def ask(name: str) -> tuple[str, int]:
    """The answer, and the process that gave it."""
    return applications.ask(name), os.getpid()


def main(names: list[str]) -> None:
    """Send a task for each name, all at once, below one span."""
    with trace.get_tracer("app").start_as_current_span("caller"):
        sent = [ask.delay(name) for name in names]
    for result in sent:
        answer, process = result.get(timeout=120, interval=0.05)
        sys.stdout.write(f"{answer} {process}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
