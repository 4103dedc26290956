"""Other libraries on equal work: the same chat through the openai client, each library in an environment of its own.

The environments are made below the user's cache directory, once for each set of pinned packages. What is measured runs
there (`peer_run.py`): unwatched, watched by the library, and beside them a bare SDK span, turn by turn in one process.
We are measured first, in this process and in the same way, on the same answer through Kaizen's client.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import equal_work, scenes

REPOSITORY = Path(__file__).parent.parent
COMMON = ("openai==2.54.0", "httpx==0.28.1", "opentelemetry-sdk==1.45.2")
TIMEOUT_S = 900
OURS = "kaizen-otel"
ROUNDS_FOR_ONE = 4
"""Rounds of a library for each of ours: its cases are few, and the calls around it ten times as long."""


class Peer(NamedTuple):
    """One library, and the exact packages it is measured with."""

    name: str
    packages: tuple[str, ...]


PEERS = (
    # It allows any later opentelemetry-util-genai, and breaks with those from 1.0 on.
    Peer("openai-v2", ("opentelemetry-instrumentation-openai-v2==2.4b0", "opentelemetry-util-genai==0.4b0")),
    Peer("genai-openai", ("opentelemetry-instrumentation-genai-openai==1.3b0",)),
    Peer("openinference", ("openinference-instrumentation-openai==0.1.66",)),
    Peer("traceloop", ("opentelemetry-instrumentation-openai==0.62.4",)),
    Peer("logfire", ("logfire==5.2.0",)),
)


def measure_all(rounds: int) -> list[dict[str, Any]]:
    """Measure us, and every library that installs here; one that does not is said so."""
    with scenes.answering_at_once():
        ours = equal_work.figures(scenes.ours(), rounds * ROUNDS_FOR_ONE)
    return [{"peer": OURS, "packages": ["LlmClient"], **ours}, *(_measure(peer, rounds) for peer in PEERS)]


def _measure(peer: Peer, rounds: int) -> dict[str, Any]:
    print(f"{peer.name} …", file=sys.stderr)
    try:
        command = [str(_python_of(peer)), "-m", "benchmarks.peer_run", peer.name, str(rounds * ROUNDS_FOR_ONE)]
        done = _run(command)
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, json.JSONDecodeError, IndexError) as error:
        last_words = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        return {"peer": peer.name, "failed": " ".join(last_words)}
    return {"peer": peer.name, "packages": peer.packages, **figures}


def _python_of(peer: Peer) -> Path:
    packages = (*COMMON, *peer.packages)
    digest = hashlib.sha256("\n".join((sys.version, *packages)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "kaizen-otel" / "benchmarks" / f"{peer.name}-{digest}"
    python, ready = home / "bin" / "python", home / "ready"
    if not ready.exists():
        venv.create(home, clear=True, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        _run(command)
        ready.touch()
    return python


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a Python of our own making
        command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=REPOSITORY
    )


def markdown(measured: list[dict[str, Any]]) -> str:
    """The table: what each library adds to one chat, and to each chunk of a streamed one."""
    lines = [
        "| library | + µs a chat | of a bare span | attributes | + µs a streamed chunk |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for one in measured:
        if "failed" in one:
            lines.append(f"| {one['peer']} | not measured: {one['failed']} | | | |")
        else:
            numbers = (f"{one['chat_us']:.0f}", f"{one['ratio']:.1f}", str(one["attributes"]), f"{one['chunk_us']:.1f}")
            lines.append(f"| {one['peer']} ({one['packages'][0]}) | " + " | ".join(numbers) + " |")
    return "\n".join(lines)
