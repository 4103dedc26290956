"""Processes that fork: while they export, and children that leave without a word.

Run: python -m tests.faults.programs.forks URL (exporting|loading|os_exit) CHILDREN [MODULE]
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import TracerProvider

from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.queue_processors import QueueSpanProcessor, otlp_span_queue
from kaizen_processors.export.settings import DeliverySettings
from tests.faults.programs.app import tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Tracer

FAST = DeliverySettings(interval_s=0.01, batch_items=20, wake_items=5, shutdown_s=30.0)


def provider_to(url: str) -> TracerProvider:
    """A provider whose queue sends small batches, often."""
    provider = TracerProvider()
    provider.add_span_processor(QueueSpanProcessor(otlp_span_queue(OtlpEndpoint(f"{url}/v1/traces"), FAST)))
    return provider


def make(tracer: Tracer, name: str) -> None:
    """Make one span."""
    with tracer.start_as_current_span(name):
        pass


def forked(child: Callable[[], None]) -> int:
    """Run a function in a child, which then ends as any program does; gives the child's exit code."""
    process = os.fork()
    if process == 0:
        child()
        sys.exit()
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def exporting(provider: TracerProvider, children: int) -> None:
    """Fork while another thread makes spans, and a third one sends them."""
    tracer, done, made = provider.get_tracer("forks"), threading.Event(), [0]

    def busy() -> None:
        while not done.wait(0.0005):
            make(tracer, f"parent{made[0]}")
            made[0] += 1

    thread = threading.Thread(target=busy)
    thread.start()
    codes = {forked(lambda number=number: make(tracer, f"child{number}")) for number in range(children)}  # type: ignore[misc]  # bound now
    done.set()
    thread.join()
    tell("forked", codes=sorted(codes), parent=made[0])


class Held:
    """Holds the import of a module until somebody has forked, or it takes too long for that."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.reached, self.forked = threading.Event(), threading.Event()

    def find_spec(self, name: str, *_: object) -> None:
        """Find nothing: the next finder does."""
        if name == self.module and not self.forked.is_set():
            self.reached.set()
            self.forked.wait(1.0)


def loading(provider: TracerProvider, children: int) -> None:
    """Fork while the first request of the parent is still importing what it needs."""
    held, tracer = Held(sys.argv[4]), provider.get_tracer("forks")
    sys.meta_path.insert(0, held)
    make(tracer, "parent0")
    held.reached.wait(30)

    def child(number: int) -> None:
        held.forked.set()
        make(tracer, f"child{number}")

    codes = {forked(lambda number=number: child(number)) for number in range(children)}  # type: ignore[misc]  # bound now
    held.forked.set()
    tell("forked", codes=sorted(codes), parent=1, held=held.reached.is_set())


def os_exit(provider: TracerProvider, children: int) -> None:
    """Children that leave by `os._exit`, each second one after a flush."""
    tracer = provider.get_tracer("forks")

    def leave(number: int) -> None:
        make(tracer, f"child{number}")
        if number % 2 == 0:
            provider.force_flush(30_000)
        os._exit(0)

    make(tracer, "parent0")
    for number in range(children):
        forked(lambda number=number: leave(number))  # type: ignore[misc]  # bound now
        make(tracer, f"parent{number + 1}")
    tell("forked", parent=children + 1)


if __name__ == "__main__":
    {"exporting": exporting, "loading": loading, "os_exit": os_exit}[sys.argv[2]](
        provider_to(sys.argv[1]), int(sys.argv[3])
    )
