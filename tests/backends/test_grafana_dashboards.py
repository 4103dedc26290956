"""The overview dashboard: sound by Grafana's own types, and every panel shows the ledger's number."""

from __future__ import annotations

import copy
import json
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pytest

from tests.backends.dashboards import OVERVIEW, STEP_S, STEPS, History, history, queries, type_errors
from tests.backends.dashboards import with_variables as asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.backends.conftest import Prometheus

BUDGET_USD: Final = 0.5
QUERIES: Final = queries()
RUNS_IN_A_WINDOW: Final = 4  # of $__rate_interval

Answer = dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(OVERVIEW.read_text(encoding="utf-8"))
    return found


# -- Grafana's types ---------------------------------------------------------------------------------------------------


def test_the_dashboard_is_sound_by_grafanas_own_types(model: dict[str, Any], tmp_path: Path) -> None:
    assert type_errors(model, tmp_path) == ""


BROKEN: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "a number for a title": lambda model: model.update(title=5),
    "an unknown key": lambda model: model.update(editible=True),
    "no such tooltip": lambda model: model.update(graphTooltip=9),
    "a panel without a type": lambda model: model["panels"][1].pop("type"),
    "no such mode of thresholds": lambda model: model["panels"][2]["fieldConfig"]["defaults"]["thresholds"].update(
        mode="relative"
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_grafana_would_not_take_is_found(name: str, model: dict[str, Any], tmp_path: Path) -> None:
    broken = copy.deepcopy(model)
    BROKEN[name](broken)
    assert "error TS" in type_errors(broken, tmp_path)


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ten_minutes(prometheuses: dict[str, Prometheus]) -> History:
    address = prometheuses["otlp"].client.address
    end_s = float(int(time.time()))
    return history(f"http://{address}/api/v1/otlp", f"dashboard-{uuid4().hex[:8]}", end_s)


@pytest.mark.parametrize("place", range(len(QUERIES)), ids=[f"{shown.title}-{n}" for n, shown in enumerate(QUERIES)])
def test_every_panel_shows_the_ledgers_number(
    place: int, ten_minutes: History, prometheuses: dict[str, Prometheus]
) -> None:
    shown = QUERIES[place]
    labels, expected = EXPECTED[shown.title](ten_minutes, shown.query)

    question = asked(shown.query, ten_minutes.job, BUDGET_USD)
    samples = prometheuses["otlp"].client.query(question, ten_minutes.end_s)

    found = {tuple(sample.labels.get(label, "") for label in labels): sample.value for sample in samples}
    assert len(found) == len(samples)
    assert expected
    assert found == pytest.approx(expected, rel=1e-9)


def test_every_panel_has_a_question_and_a_number(model: dict[str, Any]) -> None:
    titles = {panel["title"] for panel in model["panels"] if panel["type"] != "row"}
    assert titles == EXPECTED.keys()
    assert all(panel["description"] for panel in model["panels"] if panel["type"] != "row")


# What the ledger says, in the shape of each panel's answer. One run of the demo every STEP_S seconds.

Expectation = tuple[tuple[str, ...], Answer]


def total(value: float) -> Expectation:
    return (), {(): value}


def summed(rows: Iterable[tuple[tuple[str, ...], float]], times: float) -> Answer:
    sums: Answer = defaultdict(float)
    for key, value in rows:
        sums[key] += value * times
    return dict(sums)


def executions(seen: History, *statuses: str) -> float:
    found = seen.ledger.executions.items()
    return float(sum(count for (_, _, status), count in found if not statuses or status in statuses))


def cost(seen: History) -> float:
    return float(sum(row.cost_usd for row in seen.ledger.calls.values()))


def error_rates(seen: History) -> Answer:
    failed = summed((((a,), n) for (a, _, s), n in seen.ledger.executions.items() if s == "error"), 1)
    ended = summed((((a,), n) for (a, _, s), n in seen.ledger.executions.items() if s in {"success", "error"}), 1)
    return {agent: failed.get(agent, 0.0) / count for agent, count in ended.items()}


def cost_by(place: int, seen: History, times: float) -> Answer:
    return summed((((key[place],), float(row.cost_usd)) for key, row in seen.ledger.calls.items()), times)


def cost_of_an_execution(seen: History) -> Answer:
    runs = summed((((agent,), n) for (agent, _, _), n in seen.ledger.executions.items()), 1)
    return {agent: spent / runs[agent] for agent, spent in cost_by(0, seen, 1).items() if agent in runs}


def points(seen: History, name: str) -> list[tuple[dict[str, str], Any]]:
    """The data points of a histogram, with their attributes as Prometheus' labels."""
    return [
        ({one.key.replace(".", "_"): one.value.string_value for one in point.attributes}, point)
        for point in seen.metrics[name].histogram.data_points
    ]


def counted(seen: History, name: str, *labels: str, having: str = "") -> Answer:
    found = ((labels_of, point) for labels_of, point in points(seen, name) if not having or labels_of.get(having))
    return summed(
        ((tuple(labels_of.get(label, "") for label in labels), float(point.count)) for labels_of, point in found), 1
    )


def averages(seen: History, name: str, *labels: str) -> Answer:
    sums = summed(((tuple(of[label] for label in labels), float(point.sum)) for of, point in points(seen, name)), 1)
    return {key: value / counted(seen, name, *labels)[key] for key, value in sums.items()}


def buckets(seen: History, name: str, *labels: str) -> dict[tuple[str, ...], dict[float, float]]:
    """Cumulative counts by upper edge, as Prometheus keeps them."""
    found: dict[tuple[str, ...], dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for of, point in points(seen, name):
        below = 0
        for edge, count in zip([*point.explicit_bounds, float("inf")], point.bucket_counts, strict=True):
            below += count
            found[tuple(of.get(label, "") for label in labels)][edge] += below
    return found


def quantiles(seen: History, quantile: float, name: str, *labels: str) -> Answer:
    return {key: interpolated(quantile, cumulative) for key, cumulative in buckets(seen, name, *labels).items()}


def interpolated(quantile: float, cumulative: dict[float, float]) -> float:
    """As `histogram_quantile` does: linear within the bucket that holds the rank."""
    edges = sorted(cumulative)
    rank = quantile * cumulative[edges[-1]]
    lower, below = 0.0, 0.0
    for edge in edges:
        if cumulative[edge] >= rank:
            return lower + (edge - lower) * (rank - below) / (cumulative[edge] - below)
        lower, below = edge, cumulative[edge]
    raise AssertionError("no bucket")


def execution_times(seen: History, query: str) -> Expectation:
    quantile = next(number for number in (0.5, 0.95, 0.99) if f"({number}," in query)
    return (), quantiles(seen, quantile, "kaizen.execution.duration")


def heat(seen: History, _: str) -> Expectation:
    (cumulative,) = buckets(seen, "kaizen.execution.duration").values()
    named = {"+Inf" if edge == float("inf") else f"{edge:g}": count for edge, count in cumulative.items()}
    return ("le",), {(edge,): count * RUNS_IN_A_WINDOW for edge, count in named.items()}


def told(seen: History, name: str, *labels: str) -> Answer:
    """A counter of telemetry about itself, as the demo sent it."""
    return summed(
        (
            (tuple(attributes.get(label, "") for label in labels), float(point.as_int))
            for point in seen.metrics[name].sum.data_points
            for attributes in [{one.key.replace(".", "_"): one.value.string_value for one in point.attributes}]
        ),
        1,
    )


def usage(seen: History) -> Answer:
    def by_signal(name: str) -> dict[str, float]:
        points = seen.metrics[name].gauge.data_points or seen.metrics[name].sum.data_points
        return {point.attributes[0].value.string_value: float(point.as_int) for point in points}

    limits = by_signal("kaizen.telemetry.queue.limit")
    return {(signal,): used / limits[signal] for signal, used in by_signal("kaizen.telemetry.queue.usage").items()}


PER_S: Final = 1 / STEP_S
PER_H: Final = 3600 / STEP_S
CALLS: Final = "gen_ai.client.operation.duration"
MODEL: Final = "gen_ai_request_model"

EXPECTED: Final[dict[str, Callable[[History, str], Expectation]]] = {
    "Executions": lambda seen, _: total(executions(seen) * STEPS),
    "Error rate": lambda seen, _: total(executions(seen, "error") / executions(seen, "success", "error")),
    "95th percentile": execution_times,
    "Daily cost": lambda seen, _: total(cost(seen) * STEPS),
    "Of the daily budget": lambda seen, _: total(cost(seen) * STEPS / BUDGET_USD),
    "Tokens": lambda seen, _: total(
        sum(row.input_tokens + row.output_tokens for row in seen.ledger.calls.values()) * STEPS
    ),
    "Active agents": lambda seen, _: total(len({agent for agent, _, _ in seen.ledger.executions})),
    "Quality": lambda seen, _: ((), averages(seen, "kaizen.quality.score")),
    "Agent execution rate": lambda seen, _: (
        ("agent_name", "model"),
        summed((((agent, model), n) for (agent, model, _), n in seen.ledger.executions.items()), PER_S),
    ),
    "Errors by agent": lambda seen, _: (("agent_name",), error_rates(seen)),
    "Execution time": execution_times,
    "Execution time by agent": lambda seen, _: (
        ("agent_name",),
        quantiles(seen, 0.95, "kaizen.execution.duration", "agent_name"),
    ),
    "Where the time lies": heat,
    "Token consumption": lambda seen, _: (
        ("agent_name", "token_type"),
        summed((((agent, "input"), row.input_tokens) for (agent, _), row in seen.ledger.calls.items()), PER_S)
        | summed((((agent, "output"), row.output_tokens) for (agent, _), row in seen.ledger.calls.items()), PER_S),
    ),
    "Cost an hour, by agent": lambda seen, _: (("agent_name",), cost_by(0, seen, PER_H)),
    "Cost an hour, by model": lambda seen, _: (("model",), cost_by(1, seen, PER_H)),
    "Cost of an execution": lambda seen, _: (("agent_name",), cost_of_an_execution(seen)),
    "Calls of unknown cost": lambda seen, _: (
        ("model", "reason"),
        summed(((key, count) for key, count in seen.ledger.missing.items()), RUNS_IN_A_WINDOW),
    ),
    "Model calls": lambda seen, _: (
        (MODEL,),
        {key: count * PER_S for key, count in counted(seen, CALLS, MODEL).items()},
    ),
    "Time of a model call": lambda seen, _: ((MODEL,), quantiles(seen, 0.95, CALLS, MODEL)),
    "Errors of model calls": lambda seen, _: (
        (MODEL, "error_type"),
        {key: count * PER_S for key, count in counted(seen, CALLS, MODEL, "error_type", having="error_type").items()},
    ),
    "Telemetry lost": lambda seen, _: (
        ("signal", "error_type"),
        {
            key: count * RUNS_IN_A_WINDOW
            for key, count in told(seen, "kaizen.telemetry.dropped", "signal", "error_type").items()
        },
    ),
    "Waiting for delivery": lambda seen, _: (("signal",), usage(seen)),
    "Requests sent again": lambda seen, _: (
        ("signal",),
        {key: count * PER_S for key, count in told(seen, "kaizen.telemetry.retries", "signal").items()},
    ),
    "Quality by agent": lambda seen, _: (
        ("agent_name", "evaluation"),
        averages(seen, "kaizen.quality.score", "agent_name", "evaluation"),
    ),
}
