"""Servers that fork their workers, and greenlets."""

from __future__ import annotations

import http.client
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.backends.processes import free_ports, wait_for
from tests.faults.support import END_S, ROOT, environment, numbered, run, running
from tests.processors.delivery.backend import HANG, Backend, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = 3
REQUESTS = 120


def asked(port: int, path: str) -> bool:
    """Whether the server answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=END_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def gunicorn(backend: Backend, *options: str) -> Iterator[int]:
    """Gunicorn with three workers; gives its port, and stops it in order."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "gunicorn", "-w", str(WORKERS), "-b", f"127.0.0.1:{port}", *options]
    with subprocess.Popen(  # noqa: S603 - our own interpreter and program
        [*command, "tests.faults.programs.wsgi:application"],
        cwd=ROOT,
        env=environment({"BACKEND": backend.url}),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_for(lambda: asked(port, "/ready"), what="gunicorn", timeout_s=END_S)
            yield port
            process.terminate()
            _, errors = process.communicate(timeout=END_S)
            assert process.returncode == 0, errors
        finally:
            process.kill()


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--preload",),
        ("--max-requests", "15"),
        ("--preload", "--max-requests", "15"),
        ("-k", "gthread"),
        ("-k", "gevent"),
        ("--preload", "-k", "gevent"),
    ],
    ids=" ".join,
)
def test_each_worker_of_gunicorn_delivers_what_it_made(options: tuple[str, ...]) -> None:
    with Backend() as backend:
        with gunicorn(backend, *options) as port:
            for number in range(REQUESTS):
                wait_for(lambda path=f"/s{number}": asked(port, path), what="an answer", timeout_s=END_S)  # type: ignore[misc]  # bound now
        assert backend.broken == []
        made = [name for name in backend.taken if name not in {"loaded", "ready"}]
        assert sorted(made) == sorted(numbered(REQUESTS))
        assert backend.taken.count("ready") == 1
        loaded = backend.taken.count("loaded")
        assert loaded == 1 if "--preload" in options else loaded >= WORKERS


def test_greenlets_deliver() -> None:
    with Backend() as backend:
        told = run("greenlets", backend.url, 1_000)
        assert told["flushed"]["said"] is True
        assert sorted(backend.taken) == sorted(numbered(1_000))


def test_a_hanging_backend_holds_no_greenlet_up() -> None:
    with Backend(default=Reply(HANG)) as backend, running("greenlets", backend.url, 1_000) as program:
        told = program.end()
        assert told["made"]["put"] == 1_000
        assert told["flushed"]["said"] is False
        assert backend.requests
