"""Ends of real processes: forks, multiprocessing's children, dead and hanging endpoints at exit."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.processors.delivery.backend import HANG, Backend, Reply, unused_url

if TYPE_CHECKING:
    from pathlib import Path

WORK = """
import os
import sys
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from opentelemetry.sdk.trace import TracerProvider

from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.queue_processors import QueueSpanProcessor, otlp_span_queue
from kaizen_processors.export.settings import DeliverySettings

endpoint = OtlpEndpoint(sys.argv[1] + "/v1/traces")
processor = QueueSpanProcessor(otlp_span_queue(endpoint, DeliverySettings(interval_s=30.0)))
provider = TracerProvider()
provider.add_span_processor(processor)
tracer = provider.get_tracer("test")


def work(number):
    with tracer.start_as_current_span(f"s{number}"):
        return number


def process(kind):
    context = multiprocessing.get_context(kind)
    children = [context.Process(target=work, args=(number,)) for number in range(1, 9)]
    for child in children:
        child.start()
    for child in children:
        child.join()


def pool(kind):
    with_pool = multiprocessing.get_context(kind).Pool(2)
    with_pool.map(work, range(1, 9), chunksize=1)
    with_pool.close()
    with_pool.join()


def executor(kind):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(kind)) as children:
        list(children.map(work, range(1, 9)))


def fork(kind):
    for number in range(1, 9):
        child = os.fork()
        if child == 0:
            work(number)
            sys.exit()
        os.waitpid(child, 0)


def ended_before(kind):
    provider.shutdown()
    process(kind)


def used_before(kind):
    work(100)
    assert processor.force_flush()
    process(kind)


if __name__ == "__main__":
    work(0)
    globals()[sys.argv[2]](sys.argv[3])
"""

EXIT = """
import atexit
import sys
import time

ended = []
atexit.register(lambda: print(time.monotonic() - ended[0], flush=True))  # the first registered runs last

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.queue_processors import (
    QueueLogRecordProcessor,
    QueueSpanProcessor,
    otlp_log_queue,
    otlp_span_queue,
)

endpoint = OtlpEndpoint(sys.argv[1] + "/v1/traces")
queue = otlp_span_queue(endpoint)
logs = otlp_log_queue(OtlpEndpoint(sys.argv[1] + "/v1/logs"))
provider, log_provider = TracerProvider(), LoggerProvider()
provider.add_span_processor(QueueSpanProcessor(queue))
log_provider.add_log_record_processor(QueueLogRecordProcessor(logs))
log_provider.get_logger("test").emit(body="s-log")
for number in range(200):
    with provider.get_tracer("test").start_as_current_span(f"s{number}"):
        pass
atexit.register(lambda: ended.append(time.monotonic()))
"""

THREADLESS = """
import sys
import threading

from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.queue_processors import otlp_span_queue
from tests.processors.delivery.support import span

queue = otlp_span_queue(OtlpEndpoint(sys.argv[1] + "/v1/traces"))


def refuse(self):
    raise RuntimeError("can't start new thread")


threading.Thread.start = refuse
for number in range(20):
    queue.put(span(number))
"""


def run(text: str, folder: Path, *arguments: str) -> str:
    program = folder / "program.py"
    program.write_text(text, "utf-8")
    done = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, str(program), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": ":".join(path for path in ("", *sys.path) if path), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("way", "kind"),
    [
        ("process", "fork"),
        ("process", "spawn"),
        ("process", "forkserver"),
        ("pool", "fork"),
        ("executor", "fork"),
        ("executor", "spawn"),
        ("fork", "none"),
        ("used_before", "fork"),
    ],
)
def test_children_deliver_everything_once(way: str, kind: str, tmp_path: Path) -> None:
    with Backend() as backend:
        run(WORK, tmp_path, backend.url, way, kind)
        own = ["s0", "s100"] if way == "used_before" else ["s0"]
        assert sorted(backend.taken) == sorted([*own, *(f"s{number}" for number in range(1, 9))])


def test_a_queue_that_has_ended_stays_ended_in_children(tmp_path: Path) -> None:
    with Backend() as backend:
        run(WORK, tmp_path, backend.url, "ended_before", "fork")
        assert backend.taken == ["s0"]


def test_a_process_that_just_ends_has_delivered(tmp_path: Path) -> None:
    with Backend() as backend:
        run(EXIT, tmp_path, backend.url)
        assert len(backend.taken) == 201


def test_a_dead_endpoint_does_not_hold_the_exit_up(tmp_path: Path) -> None:
    assert float(run(EXIT, tmp_path, unused_url())) < 2.5


def test_a_hanging_endpoint_holds_the_exit_up_for_two_seconds_whatever_the_number_of_queues(tmp_path: Path) -> None:
    with Backend(default=Reply(HANG)) as backend:
        assert float(run(EXIT, tmp_path, backend.url)) < 3.0


def test_a_process_that_can_start_no_thread_still_delivers(tmp_path: Path) -> None:
    with Backend() as backend:
        run(THREADLESS, tmp_path, backend.url)
        assert len(backend.taken) == 20


def test_a_process_that_can_start_no_thread_ends_with_a_hanging_endpoint(tmp_path: Path) -> None:
    with Backend(default=Reply(HANG)) as backend:
        began_s = time.monotonic()
        run(THREADLESS, tmp_path, backend.url)
        assert time.monotonic() - began_s < 20
        assert backend.taken == []
