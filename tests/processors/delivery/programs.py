"""Programs that tests of processes run, and how."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.processors.delivery.backend import HANG, Backend, Reply
from tests.processors.delivery.grpc_backend import GrpcBackend, GrpcReply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORK = """
import os
import sys
import threading
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from opentelemetry.sdk.trace import TracerProvider

from kaizen_processors.export.queue_processors import QueueSpanProcessor, otlp_span_queue
from kaizen_processors.export.settings import DeliverySettings
from tests.processors.delivery.support import endpoint_of

endpoint = endpoint_of(sys.argv[1], "traces")
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


def exporting(kind):
    # Forks again and again while a thread of the parent exports without a pause.
    enough = threading.Event()
    made = []

    def make():
        while not enough.is_set():
            work(f"p{len(made)}")
            made.append(len(made))
            assert processor.force_flush()

    maker = threading.Thread(target=make)
    maker.start()
    for number in range(1, 61):
        child = os.fork()
        if child == 0:
            work(number)
            sys.exit()
        _, status = os.waitpid(child, 0)
        assert status == 0, status
    enough.set()
    maker.join()
    assert processor.force_flush()
    print(len(made))


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
import multiprocessing
import sys
import time

ended = []
atexit.register(lambda: print(time.monotonic() - ended[0], flush=True))  # the first registered runs last

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from kaizen_processors.export.queue_processors import (
    QueueLogRecordProcessor,
    QueueSpanProcessor,
    otlp_log_queue,
    otlp_span_queue,
)
from tests.processors.delivery.support import endpoint_of

queue = otlp_span_queue(endpoint_of(sys.argv[1], "traces"))
logs = otlp_log_queue(endpoint_of(sys.argv[1], "logs"))
provider, log_provider = TracerProvider(), LoggerProvider()
provider.add_span_processor(QueueSpanProcessor(queue))
log_provider.add_log_record_processor(QueueLogRecordProcessor(logs))


def work():
    log_provider.get_logger("test").emit(body="s-log")
    for number in range(200):
        with provider.get_tracer("test").start_as_current_span(f"s{number}"):
            pass
    ended.append(time.monotonic())


if sys.argv[2:] == ["child"]:
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    ended.append(time.monotonic())
    child.join()
else:
    work()
"""

THREADLESS = """
import sys
import threading

from kaizen_processors.export.queue_processors import otlp_span_queue
from tests.processors.delivery.support import endpoint_of, span

queue = otlp_span_queue(endpoint_of(sys.argv[1], "traces"))


def refuse(self):
    raise RuntimeError("can't start new thread")


threading.Thread.start = refuse
for number in range(20):
    queue.put(span(number))
"""


FORKS = """
import os
import sys
import time

from kaizen_processors.export.queue_processors import otlp_span_queue
from tests.processors.delivery.support import endpoint_of, span

queue = otlp_span_queue(endpoint_of(sys.argv[1], "traces"))
queue.put(span(0))
queue.force_flush(0.5)
for _ in range(20):
    began_s = time.monotonic()
    child = os.fork()
    if child == 0:
        os._exit(0)
    print(time.monotonic() - began_s)
    os.waitpid(child, 0)
"""


FORKED_SENDER = """
import faulthandler
import os
import sys
import threading

from kaizen_processors.export.grpc_sender import OtlpGrpcSender
from kaizen_processors.export.sender import OtlpHttpSender, Verdict
from tests.processors.delivery.support import endpoint_of

endpoint = endpoint_of(sys.argv[1], "traces")
sender = (OtlpGrpcSender if sys.argv[1].startswith("grpc") else OtlpHttpSender)(endpoint, "traces")
enough = threading.Event()
outcomes = set()


def send():
    while not enough.is_set():
        outcomes.add(sender.send(b"", "").verdict)


sending = threading.Thread(target=send, daemon=True)
sending.start()
ends = []
for _ in range(150):
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(20, exit=True)
        os._exit(sender.send(b"", "", 5.0).verdict is not Verdict.DELIVERED)
    ends.append(os.waitpid(child, 0)[1])
    assert not ends[-1], ends
enough.set()
sending.join()
assert outcomes == {Verdict.DELIVERED}, outcomes
print(*ends)
"""


WRAPPED = """
import atexit
import multiprocessing
import os
import sys
import time

ended = []
atexit.register(lambda: print(time.monotonic() - ended[0], flush=True))  # the first registered runs last

from opentelemetry.sdk.trace import TracerProvider, export

from kaizen_processors.export import wrap_exporter


class FileExporter(export.SpanExporter):
    def export(self, spans):
        if sys.argv[1] == "hangs":
            time.sleep(3600)
        file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, "".join(span.name + "\\n" for span in spans).encode())
        os.close(file)
        return export.SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(getattr(export, sys.argv[2])(wrap_exporter(FileExporter())))
tracer = provider.get_tracer("test")


def work(number):
    with tracer.start_as_current_span(f"s{number}"):
        pass


if __name__ == "__main__":
    work(0)
    context = multiprocessing.get_context(sys.argv[3])
    children = [context.Process(target=work, args=(number,)) for number in range(1, 9)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    atexit.register(lambda: ended.append(time.monotonic()))
"""

LARGE = """
import re
import sys
from pathlib import Path

from kaizen_processors.export.queue_processors import otlp_span_queue
from tests.processors.delivery.support import endpoint_of, span


def most_kb():
    # Not `ru_maxrss`: that begins with what the process that started this one had.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])


queue = otlp_span_queue(endpoint_of(sys.argv[1], "traces"))
queue.put(span(0))
queue.force_flush(0.5)
before_kb = most_kb()
for number in range(2_048):
    queue.put(span(number, text=f"{number:04}" * 250_000))
print((most_kb() - before_kb) // 1024)
counts = queue.counts()
assert counts.pending + counts.dropped_total == counts.put == 2_049, counts
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


TRANSPORTS = ["http", "grpc"]


@contextmanager
def backend_of(transport: str, *, hangs: bool = False) -> Iterator[tuple[str, list[str]]]:
    """The URL of a running backend, and the names of what it has taken."""
    if transport == "http":
        with Backend(default=Reply(HANG) if hangs else None) as backend:
            yield backend.url, backend.taken
    else:
        with GrpcBackend(default=GrpcReply(HANG) if hangs else None) as over_grpc:
            yield f"grpc://{over_grpc.target}", over_grpc.taken
