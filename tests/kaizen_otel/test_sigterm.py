"""What SIGTERM does to a process, with `flush_on_sigterm` and without: real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import kaizen_otel
from kaizen_otel.sigterm import SigtermFlush
from kaizen_processors.export.spool import Spool
from kaizen_processors.fence import Fence
from tests.processors.delivery.backend import HANG, Backend, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPANS = 20

START = """
import faulthandler, os, signal, sys, threading, time
import kaizen_otel
from opentelemetry import trace

faulthandler.dump_traceback_later(60, exit=True)  # nobody waits for ever

def make_spans():
    tracer = trace.get_tracer("application")
    for number in range(20):
        tracer.start_span(f"s{number}").end()

def tell(*words):
    # Not print(): a signal handler may run in the middle of another print().
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def ready():
    tell("ready")

def wait():
    while True:
        time.sleep(60)
"""


@contextmanager
def process(program: str, backend: Backend, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program that says when it is ready."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "KAIZEN_OTEL_"))}
    env |= {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{backend.url}/v1/traces", **variables}
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", START + program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    ) as running:
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            assert line == "ready\n", running.communicate()
            yield running
        finally:
            running.kill()


def terminate(running: subprocess.Popen[str], times: int = 1) -> tuple[int, str]:
    """Exit status and what it still printed."""
    for _ in range(times):
        running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=30)
    assert "Traceback" not in err, err
    return running.returncode, out


WAITING = """
kaizen_otel.instrument()
make_spans()
ready()
wait()
"""
ON = {"KAIZEN_OTEL_FLUSH_ON_SIGTERM": "true"}


def test_all_is_delivered_and_the_process_is_killed_by_the_signal() -> None:
    with Backend() as backend, process(WAITING, backend, **ON) as running:
        status, _ = terminate(running)
        assert status == -signal.SIGTERM
        assert len(backend.taken) == SPANS


def test_without_it_sigterm_is_pythons() -> None:
    # The first answer never comes, so that what is not yet delivered is known.
    with Backend(Reply(HANG)) as backend, process(WAITING, backend) as running:
        status, _ = terminate(running)
        assert status == -signal.SIGTERM
        assert backend.taken == []


def test_a_signal_that_comes_twice_delivers_once_and_kills_once() -> None:
    with Backend() as backend, process(WAITING, backend, **ON) as running:
        status, _ = terminate(running, times=3)
        assert status == -signal.SIGTERM
        assert sorted(backend.taken) == sorted(set(backend.taken))
        assert len(backend.taken) == SPANS


def test_a_backend_that_hangs_costs_no_more_than_the_exit_timeout_and_the_rest_is_spooled(tmp_path: Path) -> None:
    variables = {**ON, "KAIZEN_OTEL_EXIT_TIMEOUT_S": "1s", "KAIZEN_OTEL_SPOOL": str(tmp_path)}
    with Backend(default=Reply(HANG)) as backend, process(WAITING, backend, **variables) as running:
        status, _ = terminate(running)
        assert status == -signal.SIGTERM
    spool = Spool(tmp_path, "traces")
    left = 0
    while (record := spool.next()) is not None:
        left += record.items
    spool.close()
    assert left == SPANS


OWN_HANDLER = """
def ours(number, frame):
    tell("application", number == signal.SIGTERM, frame is not None)
    os._exit(7)  # without what Python would still deliver at its end

signal.signal(signal.SIGTERM, ours)
kaizen_otel.instrument()
make_spans()
ready()
wait()
"""


def test_the_applications_handler_is_called_once_after_delivery_and_decides() -> None:
    with Backend() as backend, process(OWN_HANDLER, backend, **ON) as running:
        status, out = terminate(running, times=2)
        assert (status, out) == (7, "application True True\n")
        assert len(backend.taken) == SPANS


LATER_HANDLER = """
kaizen_otel.instrument()

def theirs(number, frame):
    tell("application")
    os._exit(5)

signal.signal(signal.SIGTERM, theirs)
make_spans()
ready()
wait()
"""


def test_a_handler_that_is_installed_later_wins() -> None:
    with Backend(Reply(HANG)) as backend, process(LATER_HANDLER, backend, **ON) as running:
        assert terminate(running) == (5, "application\n")


ASYNCIO = """
import asyncio

async def main(before):
    stop = asyncio.Event()
    seen = []
    loop = asyncio.get_running_loop()
    def stopped():
        seen.append(1)
        stop.set()
    if before:
        loop.add_signal_handler(signal.SIGTERM, stopped)
    kaizen_otel.instrument()
    if not before:
        loop.add_signal_handler(signal.SIGTERM, stopped)
    make_spans()
    ready()
    await stop.wait()
    await asyncio.sleep(0.1)
    tell("stopped", len(seen))

asyncio.run(main(sys.argv[1] == "before"))
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_handler_of_asyncio_is_called_once_whenever_it_is_installed(when: str) -> None:
    with Backend() as backend, process(ASYNCIO, backend, when, **ON) as running:
        assert terminate(running) == (0, "stopped 1\n")
        assert len(backend.taken) == SPANS


CHILD = """
kaizen_otel.instrument()
made, say = os.pipe()
child = os.fork()
if child == 0:
    make_spans()
    os.write(say, b"1")
    wait()
os.read(made, 1)
ready()
tell(child)
tell(os.WTERMSIG(os.waitpid(child, 0)[1]))
wait()
"""


def test_a_forked_child_delivers_its_own() -> None:
    with Backend() as backend, process(CHILD, backend, **ON) as running:
        assert running.stdout is not None
        os.kill(int(running.stdout.readline()), signal.SIGTERM)
        assert running.stdout.readline() == f"{int(signal.SIGTERM)}\n"
        assert len(backend.taken) == SPANS


@pytest.fixture
def sigterm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("sigterm")
def test_uninstrument_puts_the_handler_before_ours_back() -> None:
    def theirs(*_: object) -> None:
        """Do nothing."""

    signal.signal(signal.SIGTERM, theirs)
    kaizen_otel.instrument(flush_on_sigterm=True)
    assert signal.getsignal(signal.SIGTERM) is not theirs
    kaizen_otel.uninstrument()
    assert signal.getsignal(signal.SIGTERM) is theirs


@pytest.mark.usefixtures("sigterm")
def test_uninstrument_on_another_thread_leaves_a_handler_that_passes_straight_on() -> None:
    seen: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    delivered: list[float] = []
    flush = SigtermFlush(lambda timeout_s, _: delivered.append(timeout_s), 1.0, Fence())
    assert flush.install()
    thread = threading.Thread(target=flush.uninstall)
    thread.start()
    thread.join()
    signal.raise_signal(signal.SIGTERM)
    assert (seen, delivered) == ([signal.SIGTERM], [])


@pytest.mark.usefixtures("sigterm")
def test_what_fails_in_delivery_is_counted_and_the_signal_goes_on() -> None:
    seen: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    fence = Fence()

    def fail(timeout_s: float, final: bool) -> None:
        raise RuntimeError(timeout_s, final)

    flush = SigtermFlush(fail, 1.0, fence)
    assert flush.install()
    signal.raise_signal(signal.SIGTERM)
    flush.uninstall()
    assert seen == [signal.SIGTERM]
    assert fence.counts() == {"sigterm:RuntimeError": 1}


@pytest.mark.usefixtures("sigterm")
def test_a_signal_in_the_middle_of_delivery_is_the_same_wish_once_more() -> None:
    seen: list[int] = []
    delivered: list[bool] = []
    signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))

    def deliver(_timeout_s: float, final: bool) -> None:
        delivered.append(final)
        if len(delivered) == 1:
            flush._handler(signal.SIGTERM, None)

    flush = SigtermFlush(deliver, 5.0, Fence())
    assert flush.install()
    signal.raise_signal(signal.SIGTERM)
    assert (seen, delivered) == ([signal.SIGTERM], [False])
    signal.raise_signal(signal.SIGTERM)
    assert len(delivered) == 2  # a later one is a new one
    flush.uninstall()


@pytest.mark.usefixtures("sigterm")
def test_a_process_that_ignores_sigterm_goes_on_ignoring_it() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert not SigtermFlush(lambda *_: None, 1.0, Fence()).install()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


@pytest.mark.usefixtures("sigterm")
def test_on_another_thread_it_is_not_installed_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=kaizen_otel.instrument, kwargs={"flush_on_sigterm": True})
    thread.start()
    thread.join()
    kaizen_otel.uninstrument()
    assert signal.getsignal(signal.SIGTERM) is before
    assert "only the main thread can handle signals; call instrument() there" in caplog.text
