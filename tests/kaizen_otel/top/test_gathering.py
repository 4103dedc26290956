"""Frames as they are read from a store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kaizen_otel import worker_card
from kaizen_otel.top.frame import SORTS, Frame
from kaizen_otel.top.gathering import frame_of, service_of
from kaizen_otel.worker_card import CARD, WorkerCard
from kaizen_processors.pricing.price import Price
from tests.kaizen_otel.top.frames import NS
from tests.processors.store.host import Host
from tests.processors.windows.records import CENT, call, execution

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_otel.top.frame import By

COUNTS = {"exported": 5, "waiting": 1, "spooled": 2, "dropped": 0}


def frame(host: Host, window_s: float = 300.0, by: By = "agent", sort: str = "cost") -> Frame:
    with host.reader() as reader:
        return frame_of(reader, window_s, by, sort)


def busy(folder: Path) -> Host:
    """Two workers; ann is cheap and quick, ben dear and fails."""
    host = Host(folder, 2)
    for worker, agent, model, price in zip(host.workers * 2, "aabb", "mnmn", (1, 2, 30, 40), strict=True):
        name = {"a": "ann", "b": "ben"}[agent]
        worker.see(call(name, model, (100, 10), price=Price(price * CENT)))
        status = "error" if name == "ben" and model == "n" else "success"
        worker.see(execution(name, model, status=status, duration_ms=1_000 if name == "ben" else 10))
    host.settle()
    return host


def test_a_frame_adds_up_all_workers(tmp_path: Path) -> None:
    found = frame(busy(tmp_path))

    assert [worker.heard_ns > worker.started_ns - 1 for worker in found.workers] == [True, True]
    assert (found.overall.total_executions, found.overall.cost_usd, found.overall.tokens_total) == (4, 0.73, 440)
    assert [(row.agent_name, row.total_executions, row.cost_usd) for row in found.rows] == [
        ("ben", 2, 0.70),
        ("ann", 2, 0.03),
    ]
    assert found.overall.observed_s == 10.0
    assert found.overall.throughput_rpm == 24.0
    assert found.overall.daily_cost is None


def test_by_model_a_row_is_a_model(tmp_path: Path) -> None:
    found = frame(busy(tmp_path), by="model", sort="name")

    assert [(row.model, row.agent_name, row.model_calls, row.cost_usd) for row in found.rows] == [
        ("m", None, 2, 0.31),
        ("n", None, 2, 0.42),
    ]


@pytest.mark.parametrize(
    ("sort", "first"),
    [("cost", "ben"), ("errors", "ben"), ("latency", "ben"), ("name", "ann"), ("executions", "ann"), ("tokens", "ann")],
)
def test_rows_are_sorted_by_what_asks_for_attention(sort: str, first: str, tmp_path: Path) -> None:
    assert frame(busy(tmp_path), sort=sort).rows[0].agent_name == first


def test_what_is_not_known_comes_last_and_bad_quality_first(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    for name, quality in (("good", 0.9), ("none", None), ("bad", 0.2)):
        host.workers[0].see(execution(name, quality_score=quality))
    host.settle()

    assert [row.agent_name for row in frame(host, sort="quality").rows] == ["bad", "good", "none"]
    assert "quality" in SORTS


def test_a_window_holds_what_lies_in_it(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    host.workers[0].see(execution("old"))
    host.pass_time(600)
    host.workers[0].see(execution("new"))
    host.settle()

    assert [row.agent_name for row in frame(host, 60.0).rows] == ["new"]
    assert {row.agent_name for row in frame(host, 3_600.0).rows} == {"old", "new"}
    assert frame(host, 3_600.0).overall.observed_s == pytest.approx(610.0)


def test_an_empty_store_is_a_frame_of_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    host.workers[0].tick()
    found = frame(host)

    assert (found.service, found.rows, found.firing, list(found.budgets)) == ("store", [], [], [])
    assert found.overall.total_executions == 0
    assert found.overall.error_rate is None
    assert found.overall.active_agents is None


def test_workers_say_what_they_are_and_what_runs(tmp_path: Path) -> None:
    host = busy(tmp_path)
    now_ns = host.clock.time_ns()
    first, second = (worker.store for worker in host.workers)
    first.put_blob(CARD, WorkerCard("desk", {"ann": None, "ben": now_ns - 1}, {"traces": COUNTS}, 1, 4).pack())
    second.put_blob(CARD, WorkerCard("desk", {"ann": now_ns + NS, "cat": None}, {"traces": COUNTS}, 2, 1).pack())
    for worker in host.workers:
        worker.tick()
    found = frame(host)

    assert found.service == "desk"
    assert found.overall.active_agents == 2  # ann, and cat, who has never ended
    assert (found.failures, found.mistakes) == (3, 5)
    (traces,) = found.delivery
    assert traces == ("traces", 10, 2, 4, 0)


def test_the_name_outlives_its_workers(tmp_path: Path) -> None:
    host = Host(tmp_path, 2)
    for worker in host.workers:
        worker.store.fold_blobs(CARD, worker_card.last_of_the_gone)
    host.workers[1].store.put_blob(CARD, WorkerCard("desk", {"ann": None}).pack())
    host.pass_time(1)
    host.workers[1].store.shutdown()
    host.pass_time(61)

    with host.reader() as reader:
        assert reader.blobs(CARD)[0] == []
        assert service_of(reader) == "desk"
    assert frame(host).overall.active_agents is None


@pytest.mark.parametrize("noise", [b"", b"noise", b"[]", b"{}", b'{"service": 1, "active": 2, "delivery": 3}'])
def test_a_card_that_cannot_be_read_is_none(noise: bytes, tmp_path: Path) -> None:
    host = busy(tmp_path)
    host.workers[0].store.put_blob(CARD, noise)
    host.workers[0].tick()

    assert worker_card.unpack(noise) is None
    assert frame(host).service == "store"


def test_a_frame_is_json(tmp_path: Path) -> None:
    said = json.loads(json.dumps(frame(busy(tmp_path)).as_dict(), allow_nan=False))

    assert said["overall"]["total_executions"] == 4
    assert [row["agent_name"] for row in said["agents"]] == ["ben", "ann"]
    assert said["workers"][0]["started_at"] == "2026-01-01T00:00:10.000Z"
