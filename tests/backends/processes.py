"""Starts a backend as a child process of the test session, waits on its health and stops it by its process id."""

from __future__ import annotations

import http.client
import os
import random
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

LOOPBACK: Final = "127.0.0.1"
POLL_INTERVAL_S: Final = 0.05
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 15.0
# Below the range from which Linux takes the ports of outgoing connections (32768 and up): nothing but another
# listener can take one of these between our look and the server's bind.
_FIRST_PORT: Final = 20_000
_LAST_PORT: Final = 32_000
_LOG_TAIL_CHARS: Final = 4_000

T = TypeVar("T")


class BackendError(RuntimeError):
    """A backend did not start, died, or did not answer as it must; the message carries the end of its log."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A running child process and the file that its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check_alive(self) -> None:
        """Raise when the process has ended.

        Raises:
            BackendError: It has; with its exit code and the end of its log.
        """
        code = self.process.poll()
        if code is not None:
            raise BackendError(f"{self.name} ended with exit code {code}:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The end of what it wrote to stdout and stderr."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL_CHARS:]


def free_ports(count: int) -> list[int]:
    """Find `count` different loopback TCP ports that nothing listens on."""
    found: list[int] = []
    candidates = random.sample(range(_FIRST_PORT, _LAST_PORT), _LAST_PORT - _FIRST_PORT)
    for port in candidates:
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        found.append(port)
    return found


@contextmanager
def running(
    name: str, command: list[str], *, folder: Path, health: str, environment: Mapping[str, str] | None = None
) -> Iterator[Backend]:
    """Run a backend for the length of a `with` block, from its first healthy answer on.

    Args:
        name: For messages.
        command: The program and its arguments.
        folder: Its working directory. Its output goes to the file `log` there, and it gets no input: an inherited
            pipe would hang whoever waits for it.
        health: `host:port/path` that answers 200 as soon as it is ready.
        environment: Variables besides those of the test session.

    Raises:
        BackendError: It ended, or was not healthy in time.
    """
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 -- programs that this session has built
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal goes to pytest alone, which then stops us in order
        )
    backend = Backend(name, process, log)
    try:
        wait_for(lambda: _is_healthy(backend, health), what=f"{name} to be healthy", timeout_s=START_TIMEOUT_S)
        yield backend
    finally:
        stop(backend)


def stop(backend: Backend) -> None:
    """Ask the process to end, by its id; kill it when it does not listen."""
    backend.process.terminate()
    try:
        backend.process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        backend.process.kill()
        backend.process.wait()


def wait_for(
    probe: Callable[[], T | None], *, what: str, timeout_s: float, explain: Callable[[], str] | None = None
) -> T:
    """Ask `probe` until its answer is neither None nor False.

    Args:
        probe: The question; asked at least once.
        what: What is waited for, for the message.
        timeout_s: How long.
        explain: Adds the last state seen to the message.

    Raises:
        BackendError: The time is over.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = probe()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > deadline:
            detail = f"\n{explain()}" if explain is not None else ""
            raise BackendError(f"waited {timeout_s:g} s in vain for {what}{detail}")
        time.sleep(POLL_INTERVAL_S)


def get(address: str, path: str, *, timeout_s: float = 10.0) -> tuple[int, bytes]:
    """GET from a loopback server: no proxy, no redirects. Returns the status and the body.

    Raises:
        OSError: Nobody listens there, or the connection broke.
    """
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _is_healthy(backend: Backend, health: str) -> bool:
    backend.check_alive()
    address, _, path = health.partition("/")
    try:
        status, _ = get(address, f"/{path}")
    except OSError:  # not listening yet
        return False
    return status == http.client.OK
