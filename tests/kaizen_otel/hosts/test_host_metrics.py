"""Four prefork workers: each answers for all of them, and a worker that is killed takes nothing with it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from decimal import Decimal
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.kaizen_otel.hosts.test_servers import APPLICATIONS, NAMES, free_port, get_all, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kaizen_otel.demo.model_server import ModelServer

WORKERS = 4
DEADLINE_S = 90.0

Sums = dict[tuple[str, ...], float]


def get(port: int, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as answer:
        return str(answer.read().decode())


def wait_for(what: str, condition: Callable[[], Any]) -> Any:
    """Ask until the answer is true, and give it."""
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline_s, f"never {what}"
        time.sleep(0.2)


def by_worker(port: int, path: str, count: int = WORKERS) -> dict[int, Any]:
    """What each of the workers says."""
    found: dict[int, Any] = {}

    def ask() -> bool:
        said = get(port, path)
        if path == "metrics":
            first, _, page = said.partition("\n")
            found[int(first.split()[-1])] = page
        else:
            one = json.loads(said)
            found[one["pid"]] = one
        return len(found) >= count

    wait_for("did each worker answer", ask)
    return found


def samples(page: str, *endings: str) -> Sums:
    """The samples of a page whose names end so, by name and labels."""
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.endswith(endings)
    }


def counted(page: str) -> Sums:
    """All that only ever grows."""
    return samples(page, "_total", "_count", "_sum", "_bucket")


def greatest(pages: dict[int, str]) -> Sums:
    """Of each counter the largest value that any page shows."""
    found: Sums = {}
    for page in pages.values():
        for key, value in counted(page).items():
            found[key] = max(value, found.get(key, 0.0))
    return found


def of_ledgers(sums: dict[int, Any]) -> Sums:
    """What the counters must say, from the exact sums of each process."""
    found: Counter[tuple[str, ...]] = Counter()
    dollars: dict[tuple[str, ...], Decimal] = {}
    for one in sums.values():
        for agent, model, status, count in one["executions"]:
            key = ("kaizen_agent_executions_total", f"agent_name={agent}", f"model={model}", f"status={status}")
            found[key] += count
        for agent, model, tokens_in, tokens_out, cost in one["calls"]:
            of = (f"agent_name={agent}", f"model={model}")
            found["kaizen_tokens_consumed_total", *of, "token_type=input"] += tokens_in
            found["kaizen_tokens_consumed_total", *of, "token_type=output"] += tokens_out
            costs = ("kaizen_cost_usd_total", *of)
            dollars[costs] = dollars.get(costs, Decimal(0)) + Decimal(cost)
    return {**found, **{key: float(amount) for key, amount in dollars.items()}}


def kaizen_counters(page: str) -> Sums:
    wanted = ("kaizen_agent_executions_total", "kaizen_tokens_consumed_total", "kaizen_cost_usd_total")
    return samples(page, *wanted)


def executions(page: str) -> float:
    return sum(samples(page, "kaizen_agent_executions_total").values())


def serve_at(port: int) -> str | None:
    try:
        return get(port, "metrics")
    except (OSError, HTTPException):  # nobody listens, or who did was just killed
        return None


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["workers", "forked after instrument()"])
def test_any_worker_answers_for_all_and_a_killed_one_takes_nothing_with_it(
    options: list[str], model_server: ModelServer, tmp_path: Path
) -> None:
    port, metrics_port = free_port(), free_port()
    command = ["gunicorn", f"{APPLICATIONS}:wsgi", "--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS), *options]
    given = {"KAIZEN_OTEL_STORE": str(tmp_path / "desk.db"), "KAIZEN_OTEL_PROMETHEUS_PORT": str(metrics_port)}
    with serving(command, port, model_server, tmp_path, settings=given):
        requests = 0
        pids: set[str] = set()
        while len(pids) < WORKERS or requests < 5 * len(NAMES):
            answers = get_all(port, NAMES)
            requests += len(answers)
            pids |= {answer[-2] for answer in answers}

        if options:  # the other time they find out by themselves, with their ticks
            by_worker(port, "flush")

        def all_agree() -> dict[int, str] | None:
            pages = by_worker(port, "metrics")
            at_port = serve_at(metrics_port)
            same = at_port is not None and all(counted(page) == counted(at_port) for page in pages.values())
            return pages if same and executions(next(iter(pages.values()))) == requests else None

        pages: dict[int, str] = wait_for("did all workers and the port say the same", all_agree)
        page = next(iter(pages.values()))
        sums = by_worker(port, "sums")
        assert kaizen_counters(page) == of_ledgers(sums)
        assert samples(page, "kaizen_execution_duration_seconds_count") == {
            ("kaizen_execution_duration_seconds_count", f"agent_name={name}", "model=gpt-4o"): requests / len(NAMES)
            for name in NAMES
        }
        assert samples(page, "kaizen_active_agents") == {("kaizen_active_agents", "environment="): len(NAMES)}
        holders = [pid for pid, one in sums.items() if one["port"] is not None]
        assert len(holders) == (0 if options else 1)  # with --preload it is the process that forked them
        victim = holders[0] if holders else next(iter(sums))
        requests += len(get_all(port, NAMES))
        before = greatest(by_worker(port, "metrics"))  # what was shown a moment ago, and is in no tick yet

        os.kill(victim, signal.SIGKILL)

        after_kill = wait_for("was the port taken over", lambda: serve_at(metrics_port))
        assert counted(after_kill) == before
        assert executions(after_kill) == requests
        wait_for("was the killed worker replaced", lambda: victim not in by_worker(port, "sums"))
        more = len(get_all(port, NAMES))
        if options:
            by_worker(port, "flush")
        grown = wait_for(
            "was the further work counted",
            lambda: (found := serve_at(metrics_port)) is not None and executions(found) == requests + more and found,
        )
        assert all(counted(grown)[key] >= value for key, value in before.items())
        failures = {one["pid"]: one["failures"] for one in by_worker(port, "sums").values()}
        assert not any(failures.values()), failures

    log = (tmp_path / "server.log").read_text()
    assert "Traceback" not in log, log
    assert "kaizen" not in log.lower().replace(str(tmp_path).lower(), ""), log
