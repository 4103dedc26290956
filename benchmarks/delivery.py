"""What arrives when the backend fails: our delivery queue beside BatchSpanProcessor with the official OTLP exporter.

Each row is one process (`benchmarks.delivery_app`) that makes spans of 20 attributes at a steady rate or at once,
flushes with two seconds' time, and ends. Rows are run one after the other; all of them take about seven minutes.

Run: python -m benchmarks.delivery [--only TEXT] [--write]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.delivery_app import FLUSH_S
from tests.faults.collectors import Collectors
from tests.processors.delivery.backend import HANG, RESET, Backend, Reply, unused_url

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = Path(__file__).parent.parent / "docs" / "delivery.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
OURS, THEIRS = "kaizen-otel", "BatchSpanProcessor"
END_S = 180.0
REPLAY_S = 30.0
FEW = 1_000
"""With fewer spans, the processor time is that of starting."""

HEADER = (
    "backend", "", "made", "delivered", "lost", "twice", f"`force_flush({FLUSH_S:g} s)`", "exit",
    "a span: p50, p99.9, max, µs", "CPU ms per 1,000", "peak MiB",
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What is wrong with the backend, and for how long (None: until the end)."""

    name: str
    spans: int
    rate: float
    reply: Reply | None = None
    """None: nobody listens."""
    seconds: float | None = None
    children: int = 0
    """The spans are made in so many children of `multiprocessing`."""
    restarts: bool = False
    """The backend is a real Collector, killed and started again twice."""
    odd: str | None = None
    """What is odd about one of the spans (`delivery_app.ODD`)."""
    killed: bool = False
    """The application is killed after its flush; ours has a spool, and a second process follows."""


FAULTS = (
    Fault("none, 2,000 spans/s", 6_000, 2_000, Reply()),
    Fault("503 for 3 s, 2,000 spans/s", 10_000, 2_000, Reply(503), 3.0),
    Fault("503 for 30 s, 2,000 spans/s", 68_000, 2_000, Reply(503), 30.0),
    Fault("503 for 3 s, 6,000 spans at once", 6_000, 0, Reply(503), 3.0),
    Fault("2 s for each request for 8 s, 2,000 spans/s", 20_000, 2_000, Reply(delay_s=2.0), 8.0),
    Fault("resets for 3 s, 2,000 spans/s", 10_000, 2_000, Reply(RESET), 3.0),
    Fault("a Collector, killed and restarted twice, 2,000 spans/s", 16_000, 2_000, restarts=True),
    Fault("429, Retry-After 3 s, then well", 500, 0, Reply(429, {"retry-after": "3"}), 0.5),
    Fault("accepts, never answers", 50, 0, Reply(HANG)),
    Fault("nobody listens", 50, 0),
    Fault("nobody listens, then kill -9; ours has a spool", 10_000, 2_000, killed=True),
    Fault("503 to the end, 6,000 spans at once", 6_000, 0, Reply(503)),
    Fault("none, half a character in the name of one span of 500", 500, 0, Reply(), odd="name"),
    Fault("none, 70 MB of text in one span of 500", 500, 0, Reply(), odd="text"),
    Fault("none, 8 children of multiprocessing", 400, 0, Reply(), children=8),
)


@contextmanager
def backend_with(fault: Fault) -> Iterator[tuple[Backend, str]]:
    """A backend with this fault, and the URL that the application is given."""
    with Backend(default=fault.reply or Reply()) as backend:
        if fault.restarts:
            with tempfile.TemporaryDirectory() as folder:
                collectors, done = Collectors(backend, Path(folder)), threading.Event()
                thread = threading.Thread(target=restart, args=(collectors, done))
                thread.start()
                try:
                    yield backend, collectors.url
                finally:
                    done.set()
                    thread.join()
        else:
            yield backend, backend.url if fault.reply else unused_url()


def restart(collectors: Collectors, done: threading.Event) -> None:
    """Run a Collector for two seconds, twice, with a second without one after each; then one until the end."""
    for _ in range(2):
        with collectors.one() as collector:
            done.wait(2.0)
            collector.process.kill()
        done.wait(1.0)
    with collectors.one():
        done.wait()


def command(kind: str, url: str, fault: Fault, spool: Path) -> list[str]:
    made = [sys.executable, "-m", "benchmarks.delivery_app", kind, url, str(fault.spans), str(fault.rate)]
    made += ["--children", str(fault.children)] if fault.children else []
    made += ["--odd", fault.odd] if fault.odd else []
    return made + (["--hold", "--spool", str(spool)] if fault.killed else [])


def run(kind: str, fault: Fault, spool: Path) -> dict[str, Any]:
    with backend_with(fault) as (backend, url):
        with subprocess.Popen(  # noqa: S603 - our own interpreter and program
            command(kind, url, fault, spool),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as child:
            healer = None
            if fault.seconds is not None:
                backend.wait_for_requests(1, 60)
                healer = threading.Timer(fault.seconds, setattr, (backend, "default", Reply()))
                healer.start()
            assert child.stdout is not None
            said: dict[str, Any] = json.loads(child.stdout.readline())
            if fault.killed:
                child.kill()
            child.wait(END_S)
            ended_at = time.monotonic()
            if healer is not None:
                healer.join()
        if fault.killed and kind == OURS:
            follow(backend, spool, fault.spans)
        arrived = set(backend.taken)
    return said | {
        "delivered": len(arrived),
        "twice": len(backend.taken) - len(arrived),
        "exit_s": None if fault.killed else ended_at - said["ended_at"],
    }


def follow(backend: Backend, spool: Path, spans: int) -> None:
    """Run a second process on the spool until everything has arrived, or for half a minute."""
    second = Fault("", 0, 0, killed=True)
    with subprocess.Popen(  # noqa: S603 - as above
        command(OURS, backend.url, second, spool), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as child:
        backend.wait_for_items(spans, REPLAY_S)
        child.kill()


def row(fault: Fault, kind: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        result = run(kind, fault, Path(folder))
    times = " ".join(f"{result[name]:,.0f}" for name in ("p50_us", "p999_us", "max_us"))
    return [
        fault.name,
        kind,
        f"{fault.spans:,}",
        f"{result['delivered']:,}",
        f"{fault.spans - result['delivered']:,}",
        f"{result['twice']:,}",
        f"{result['said']} after {result['took_s']:.1f} s",
        "killed" if result["exit_s"] is None else f"{result['exit_s']:.1f} s",
        "in children" if fault.children else times,
        f"{result['cpu_s'] * 1e6 / fault.spans:.0f}" if fault.spans >= FEW else "",
        f"{result['rss_mib']:.0f}",
    ]


def table(only: str) -> str:
    lines = ["| " + " | ".join(HEADER) + " |", "|---|---" + "|---:" * (len(HEADER) - 2) + "|"]
    for fault in FAULTS:
        for kind in (OURS, THEIRS):
            if only in fault.name:
                lines.append("| " + " | ".join(row(fault, kind)) + " |")
                print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only the faults with this in their name")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    asked = parser.parse_args()
    measured = table(asked.only)
    if asked.write:
        text = DOCUMENT.read_text("utf-8")
        head, rest = text.split(BEGIN)
        DOCUMENT.write_text(f"{head}{BEGIN}\n{measured}\n{END}{rest.split(END)[1]}", "utf-8")


if __name__ == "__main__":
    main()
