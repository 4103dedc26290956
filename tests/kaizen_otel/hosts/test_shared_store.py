"""Four workers of a web server share a store: one alert of each kind, exact sums, and a successor of who judged."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.pricing import PriceBook
from kaizen_processors.store import StoreReader, store_of_pid
from kaizen_processors.usage import Usage
from kaizen_processors.windows import Group
from tests.kaizen_otel.hosts.test_servers import APPLICATIONS, NAMES, free_port, get_all, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer

RULES = """\
rules:
  - {name: busy, condition: executions >= 8, time_window: 1h}
budgets:
  - {name: all, limit_usd: 0.0000001, period: monthly, at: [100]}
"""
WAIT_S = 90.0


def wait_until(what: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < deadline_s, "it did not come to that"
        time.sleep(0.1)


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def trace_ids_in(path: Path) -> set[str]:
    return {
        span["traceId"]
        for line in read_lines(path)
        for resource in line.get("resourceSpans", ())
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    }


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["each instruments", "forked after instrument()"])
def test_four_workers_are_one_host(options: list[str], model_server: ModelServer, tmp_path: Path) -> None:
    store, alerts, rules = (tmp_path / name for name in ("host.db", "alerts.txt", "rules.yaml"))
    rules.write_text(RULES, encoding="utf-8")
    settings = {
        "KAIZEN_OTEL_STORE": str(store),
        "KAIZEN_OTEL_ALERT_RULES": str(rules),
        "KAIZEN_TEST_ALERTS": str(alerts),
        "KAIZEN_OTEL_TRACE_URL_TEMPLATE": "http://traces/{trace_id}",
    }
    port = free_port()
    command = ["gunicorn", f"{APPLICATIONS}:wsgi", "--bind", f"127.0.0.1:{port}", "--workers", "4", *options]
    asked = 0

    def ask_all() -> set[int]:
        nonlocal asked
        asked += len(NAMES)
        return {int(answer[-2]) for answer in get_all(port, NAMES)}

    def told() -> Counter[str]:
        lines = alerts.read_text(encoding="utf-8").splitlines() if alerts.exists() else []
        return Counter(line.rpartition(" ")[0] for line in lines)

    with serving(command, port, model_server, tmp_path, settings=settings):
        workers: set[int] = set()
        while len(workers) < 4:
            workers |= ask_all()
        wait_until(store.exists)
        with StoreReader(store) as reader:
            wait_until(lambda: reader.window(Group(), 3_600).sums.executions == asked)
            wait_until(lambda: len(told()) == 2)
            assert {store_of_pid(pid) for pid in workers} == {store}
            judge = reader.holder()
            assert judge is not None

            if judge.pid in workers:  # else it is the process that forks them
                os.kill(judge.pid, signal.SIGKILL)
                wait_until(lambda: reader.holder() not in {None, judge})
            assert judge.pid in workers or options
            for _ in range(3):
                ask_all()
            successor = reader.holder()
            assert successor is not None
            assert successor.is_alive(reader.now_ns())
            wait_until(lambda: reader.window(Group(), 3_600).sums.executions == asked)
            assert {alert["type"] for alert in reader.alerts()} == {"busy", "all"}

    assert "telemetry failed" not in (tmp_path / "server.log").read_text(encoding="utf-8")
    assert told() == {"busy firing": 1, "all firing": 1}
    (busy,) = (alert for alert in read_lines(alerts.with_suffix(".json")) if alert["type"] == "busy")
    named = busy["executions"]
    assert len({one["execution_id"] for one in named}) == 3  # also where the judge ran nothing
    assert [one["value"] for one in named] == sorted((one["value"] for one in named), reverse=True)
    assert [one["url"] for one in named] == [f"http://traces/{one['trace_id']}" for one in named]
    assert {one["trace_id"] for one in named} <= trace_ids_in(tmp_path / "runs.jsonl")
    with StoreReader(store) as reader:
        sums = reader.window(Group(), 3_600).sums
        (budget,) = reader.budgets()
        assert [worker for worker in reader.workers() if worker.is_alive(reader.now_ns())] == []
    assert (sums.executions, sums.model_calls, sums.success) == (asked, asked, asked)
    price = PriceBook().price("openai", "gpt-4o", Usage(100, 20), SYSTEM_CLOCK.time_ns()).amount
    assert price
    assert sums.cost_units == budget.spent_units == asked * price
