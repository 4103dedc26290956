"""How far the numbers of Prometheus are from those of the process: what docs/alerts.md says, measured again."""

from __future__ import annotations

import json
import re
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import pytest

from kaizen_processors.alerts.promql.measures import measure_expression, measure_scope
from kaizen_processors.alerts.values import EVERYTHING
from kaizen_processors.alerts.vocabulary import MEASURES
from tests.backends.builds import COLLECTOR_CONFIG, PROGRAMS, build
from tests.backends.processes import LOOPBACK, free_ports, get, running
from tests.backends.promtool import openmetrics
from tests.backends.recording import SCRAPE_S, RecordedValues, noise, series_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.backends.promtool import Promtool

MINUTES: Final = 60
WINDOW_S: Final = 300.0
STEP_S: Final = 60
PAGE: Final = COLLECTOR_CONFIG.parent / "docs" / "alerts.md"
_ROW: Final = re.compile(r"^\| `(\w+)` \| ([\d.]+) % \| ([\d.]+) % \|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A recording in a real Prometheus, and its exact numbers."""

    address: str
    start_s: float
    values: RecordedValues

    def prometheus_says(self, measure: str) -> dict[int, float]:
        """The measure at each minute of the recording."""
        expression = measure_expression(measure, measure_scope(measure, "none", WINDOW_S))
        asked = {
            "query": expression,
            "start": self.start_s,
            "end": self.start_s + MINUTES * 60,
            "step": STEP_S,
        }
        status, body = get(self.address, f"/api/v1/query_range?{urlencode(asked)}")
        assert status == 200, body
        result = json.loads(body)["data"]["result"]
        return {round((at - self.start_s) / 60): float(value) for at, value in result[0]["values"]} if result else {}

    def process_says(self, measure: str, minute: int) -> float | None:
        """The exact number."""
        self.values.now_s = minute * 60.0
        return self.values.value(measure, EVERYTHING, MEASURES[measure].window_s or WINDOW_S)


def replayed(promtool: Promtool, folder: Path, *, born: bool) -> Iterator[Replayed]:
    executions = noise(MINUTES, seed=7)
    start_s = time.time() // 7_200 * 7_200 - 14_400.0  # whole blocks of Prometheus, in the past
    series = series_of(executions, MINUTES * 60, born=born)
    samples = folder / "samples"
    samples.write_text("".join(openmetrics(series, start_s, SCRAPE_S)), encoding="utf-8")
    answer = promtool.backfill(samples, folder / "tsdb")
    assert answer.content, answer.text
    config = folder / "prometheus.yml"
    config.write_text("global: {}\n", encoding="utf-8")
    address = f"{LOOPBACK}:{free_ports(1)[0]}"
    command = [
        str(build(PROGRAMS["prometheus"])),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={address}",
    ]
    with running("prometheus", command, folder=folder, health=f"{address}/-/ready"):
        yield Replayed(address, start_s, RecordedValues(executions))


@pytest.fixture(scope="module")
def steady(promtool: Promtool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    yield from replayed(promtool, tmp_path_factory.mktemp("steady"), born=True)


@pytest.fixture(scope="module")
def fresh(promtool: Promtool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    yield from replayed(promtool, tmp_path_factory.mktemp("fresh"), born=False)


def differences(recording: Replayed, measure: str, minutes: range) -> list[float]:
    """The relative differences, in percent, at these minutes."""
    there = recording.prometheus_says(measure)
    found = []
    for minute in minutes:
        exact = recording.process_says(measure, minute)
        assert exact
        found.append(100 * abs(there[minute] - exact) / abs(exact))
    return found


def page() -> str:
    """Its text, however its lines are broken."""
    return " ".join(PAGE.read_text(encoding="utf-8").split())


def percentages() -> dict[str, tuple[float, float]]:
    """The page's table: for each measure the usual and the largest difference, in percent."""
    rows = _ROW.findall(PAGE.read_text(encoding="utf-8"))
    return {measure: (float(usual), float(most)) for measure, usual, most in rows}


def test_the_page_has_a_row_for_each_measure() -> None:
    assert set(percentages()) == set(MEASURES) - {"daily_cost"}


@pytest.mark.parametrize("measure", sorted(set(MEASURES) - {"daily_cost"}))
def test_differences_over_full_windows_are_those_of_the_page(steady: Replayed, measure: str) -> None:
    found = differences(steady, measure, range(6, MINUTES))
    assert (statistics.median(found), max(found)) == pytest.approx(percentages()[measure], abs=0.06)


def test_a_whole_days_cost_is_exact_once_the_counter_is_there(steady: Replayed, fresh: Replayed) -> None:
    exact = steady.process_says("daily_cost", MINUTES)
    assert exact is not None
    assert steady.prometheus_says("daily_cost")[MINUTES] == pytest.approx(exact, rel=1e-9)
    # A counter that appears with its first value: Prometheus has not seen it grow to that.
    missed = (exact - fresh.prometheus_says("daily_cost")[MINUTES]) / exact
    assert f"{100 * missed:.1f} % of the first hour" in page()


@pytest.mark.parametrize(("minute", "measure"), [(1, "throughput_rpm"), (4, "throughput_rpm"), (1, "executions")])
def test_the_first_window_is_as_low_as_the_page_says(fresh: Replayed, minute: int, measure: str) -> None:
    exact = fresh.process_says(measure, minute)
    assert exact
    low = 100 * (exact - fresh.prometheus_says(measure)[minute]) / exact
    assert f"`{measure}` {low:.0f} % too low after {minute} min" in page()


def test_before_there_are_executions_neither_says_anything(fresh: Replayed) -> None:
    for measure in ("error_rate", "p95_latency", "cost_per_execution", "quality_average"):
        assert 0 not in fresh.prometheus_says(measure)
        assert fresh.process_says(measure, 0) is None
