"""Real MCP servers as processes, for the tests of Kaizen's clients."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.testing import Captured, CapturedSpan

SCRIPT = Path(__file__).with_name("mcp_server.py")
PATHS = {"http": "http://127.0.0.1:{}/mcp", "sse": "http://127.0.0.1:{}/sse", "websocket": "ws://127.0.0.1:{}/ws"}


def stdio(log: Path) -> dict[str, Any]:
    """The configuration of a server that a client starts, and that writes down what it is sent."""
    return {
        "name": "echo",
        "transport": "stdio",
        "command": sys.executable,
        "args": [str(SCRIPT), "stdio", str(log)],
    }


def requests_in(log: Path) -> list[dict[str, Any]]:
    """What a server over stdio was sent, message by message."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def traceparent(span: CapturedSpan) -> str:
    """What a server is sent by a request below this span."""
    return f"00-{span.trace_id}-{span.span_id}-01"


def points(captured: Captured) -> list[Any]:
    """What was measured of the requests of clients."""
    return captured.metrics()["mcp.client.operation.duration"]


@contextlib.contextmanager
def listening(transport: str) -> Iterator[dict[str, Any]]:
    """The configuration of a server that listens, as long as the block lasts."""
    process = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, str(SCRIPT), transport], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield {"name": "echo", "transport": transport, "url": PATHS[transport].format(port), "port": port}
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
