"""Runs that go on from a checkpoint: a span of their own, which points at the run that was cut off."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.testing import capture

if TYPE_CHECKING:
    from kaizen_otel.testing import Captured

PROGRAM = Path(__file__).with_name("durable_run.py")


def run(database: Path, how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-W", "ignore", str(PROGRAM), str(database), how],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_run_after_a_crash_points_at_the_run_that_crashed(tmp_path: Path) -> None:
    database = tmp_path / "checkpoints.db"
    crashed = run(database, "crash")
    assert crashed.returncode == os.EX_TEMPFAIL, crashed.stderr
    with closing(sqlite3.connect(database)) as connection:
        ((data,),) = connection.execute("SELECT data FROM kailash_checkpoints").fetchall()
    checkpoint = json.loads(data if data[:1] == b"{" else zlib.decompress(data, wbits=47))

    resumed = run(database, "go-on")
    assert resumed.returncode == 0, resumed.stderr
    told = json.loads(resumed.stdout.splitlines()[-1])

    assert (told["resumed"], told["links"]) == (True, [checkpoint["otel"]["traceparent"]])
    assert told["nodes"] == 1, "the first node's result came from the checkpoint"
    assert "n1" in told["results"]


class Store:
    """Checkpoints in memory: what the runtime asks of a store."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    async def save(self, key: str, data: bytes) -> None:
        self.blobs[key] = data

    async def load(self, key: str) -> bytes | None:
        return self.blobs.get(key)


def run_local(store: Store) -> Any:
    from kailash.runtime.local import LocalRuntime

    from tests.kaizen_otel.queues.flows import flow

    with LocalRuntime(checkpoint_store=store, checkpoint_after_each_node=True) as runtime:
        return runtime.execute(flow("durable", "result = 1"), idempotency_key="k")[0]


def test_a_blocking_run_says_that_it_went_on(kaizen_telemetry: Captured) -> None:
    store = Store()
    first = run_local(store)
    second = run_local(store)

    assert first["n0"]["result"] == second["n0"]["result"] == 1
    one, two = kaizen_telemetry.spans_named("invoke_workflow")
    assert "kaizen.workflow.resumed" not in one.attributes
    assert two["kaizen.workflow.resumed"] is True
    assert [f"{link.context.span_id:016x}" for link in two.raw.links] == [one.span_id]
    assert two.trace_id != one.trace_id


@pytest.mark.parametrize("watched_first", [True, False])
def test_checkpoints_are_read_with_and_without_us(watched_first: bool) -> None:
    store = Store()
    if watched_first:
        with capture():
            run_local(store)
        assert b'"otel"' in next(iter(store.blobs.values()))
        assert run_local(store)["n0"]["result"] == 1
        return
    run_local(store)
    assert b'"otel"' not in next(iter(store.blobs.values()))
    with capture() as seen:
        assert run_local(store)["n0"]["result"] == 1
        run = seen.span("invoke_workflow")
    assert (run["kaizen.workflow.resumed"], run.raw.links) == (True, ())
