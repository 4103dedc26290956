"""What the pages state and the code knows: the demo's tree, metrics, queries, versions."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from kaizen_processors.alerts.alert import ExecutionLink
from kaizen_semconv import metrics as m
from tests.docs.pages import ROOT, blocks_of
from tests.examples.programs import environment, lasting
from tests.processors.alerts.support import alert as alert_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

README = ROOT / "README.md"
METRICS = ROOT / "docs" / "metrics.md"
_SERIES = re.compile(r"\b((?:kaizen|gen_ai)_\w+?)(_bucket|_sum|_count)?(?:\{([^}]*)\})?(?=\[)")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")


def tables(page: Path, header: str) -> list[list[list[str]]]:
    """The cells of each table with this header."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(rf"^\| {re.escape(header)} \|\n\|[-| ]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found
    return [[_cells(line) for line in rows.splitlines()] for rows in found]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r" \|(?= )", line[1:-1])]


def table(page: Path, header: str) -> list[list[str]]:
    """The cells of the first table with this header."""
    return tables(page, header)[0]


def about_agents(definition: m.MetricDefinition) -> bool:
    return definition.name.startswith("kaizen.") and not about_telemetry(definition)


def about_telemetry(definition: m.MetricDefinition) -> bool:
    return definition.name.startswith(("kaizen.telemetry.", "otel.sdk."))


def labels_of(definition: m.MetricDefinition) -> set[str]:
    """The labels in Prometheus, without those that all metrics of OpenTelemetry's own names have."""
    return {key.replace(".", "_") for key in definition.attributes if not key.startswith("otel.component.")}


def by_prometheus() -> dict[str, m.MetricDefinition]:
    """The registry's metrics, by the name that they have in Prometheus."""
    definitions = {definition.name: definition for definition in m.ALL}
    header = "name | Prometheus | instrument | unit | attributes | meaning | versions"
    rows = table(ROOT / "semconv" / "docs" / "metrics.md", header)
    return {names(row[1])[0]: definitions[names(row[0])[0]] for row in rows}


def names(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def test_the_readme_shows_what_the_demo_prints(tmp_path: Path) -> None:
    (shown,) = [block.body for block in blocks_of(README) if block.said == "demo"]
    done = subprocess.run(
        [sys.executable, "-c", "from kaizen_otel.cli import main; main()", "demo", "--offline", "--width", "96"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=True,
        cwd=tmp_path,
        env=environment(tmp_path),
    )
    printed = lasting(done.stdout)
    # The rows of the table stand in the order of their time.
    for part in lasting(shown).split("\n\n"):
        assert sorted(part.splitlines()) in [sorted(other.splitlines()) for other in printed.split("\n\n")]


def test_the_readme_names_the_metrics_about_agents() -> None:
    told = {names(metric)[0]: set(names(labels)) for metric, labels in table(README, "metric | labels")}
    assert told == {name: labels_of(metric) for name, metric in by_prometheus().items() if about_agents(metric)}


@pytest.mark.parametrize(("number", "belongs"), [(0, about_agents), (1, about_telemetry)], ids=["agents", "telemetry"])
def test_metric_tables_are_those_of_the_registry(number: int, belongs: Callable[[m.MetricDefinition], bool]) -> None:
    rows = tables(METRICS, "metric | in Prometheus | kind | labels | what")[number]
    assert {
        names(row[0])[0]: (names(row[1])[0], row[2].replace("-", "").replace(" ", ""), set(names(row[3])))
        for row in rows
    } == {
        metric.name: (name, metric.instrument.value.removeprefix("observable_"), labels_of(metric))
        for name, metric in by_prometheus().items()
        if belongs(metric)
    }


@pytest.mark.parametrize(
    "query",
    [
        names(cell)[0]
        for page in (METRICS, ROOT / "docs" / "backends.md")
        for found in tables(page, "question | PromQL")
        for _, cell in found
    ],
)
def test_queries_name_series_and_labels_that_exist(query: str) -> None:
    found = list(_SERIES.finditer(query)) or list(re.finditer(r"\b(kaizen_\w+)()(?:\{([^}]*)\})?", query))
    assert found
    for series in found:
        name, suffix, matchers = series.groups()
        definition = by_prometheus()[name]
        assert bool(suffix) is (definition.instrument is m.Instrument.HISTOGRAM)
        known = {*labels_of(definition), *(("le",) if suffix == "_bucket" else ())}
        grouped = {label.strip() for group in _GROUPED.findall(query) for label in group.split(",")}
        assert {*_LABEL.findall(matchers or ""), *grouped} <= known


def test_the_keys_of_an_alert_are_those_that_handlers_get() -> None:
    alert = alert_of(executions=(ExecutionLink("1", "desk", "success", 2.0),)).as_dict()
    rows = {names(key): meaning for key, meaning in table(ROOT / "docs" / "alerts.md", "key of an alert | what")}
    assert sorted(key for keys in rows for key in keys) == sorted(alert)
    assert set(alert["executions"][0]) <= set(names(rows[("executions",)]))


def test_the_buckets_that_pages_name_are_edges() -> None:
    edges = {float(edge) for edge in m.KAIZEN_EXECUTION_DURATION.boundaries}
    named = {float(edge) for edge in re.findall(r'le="([\d.]+)"', METRICS.read_text(encoding="utf-8"))}
    assert named
    assert named <= edges


def test_supported_versions_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    given = [*project["dependencies"], *project["optional-dependencies"]["kaizen"]]
    bounds = dict(re.split(r">=|,", one)[:2] for one in given)
    supported = README.read_text(encoding="utf-8").split("## Supported")[1].split("##")[0]
    for name in ("kailash-kaizen", "kailash"):
        assert f"`{name}` {bounds[name]} and newer" in " ".join(supported.split())
    assert f"OpenTelemetry SDK {bounds['opentelemetry-sdk']} to 1.45" in supported
    assert "opentelemetry-sdk>=1.43,<1.46" in project["dependencies"]
    assert f"Python {project['requires-python'].removeprefix('>=')} and newer" in supported


def test_pages_say_nothing_of_the_machine_they_were_written_on() -> None:
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.py")):
        assert not re.search(r"/(?:work|home|root|tmp/\w+/)\b", page.read_text(encoding="utf-8")), page
