"""Rules written for Prometheus: what is written, what cannot be, and what its reader is warned of."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kaizen_processors.alerts.promql.measures import measure_expression, measure_scope
from kaizen_processors.alerts.promql.rule_groups import UntranslatableError, prometheus_rules
from kaizen_processors.alerts.promql.translate import annotation_of, number
from kaizen_processors.alerts.promql.unit_tests import promtool_tests
from kaizen_processors.alerts.promql.workload import Workload, find_workload
from kaizen_processors.alerts.rules import DEFAULT_RULES, Rule, production_rules
from kaizen_processors.alerts.vocabulary import MEASURES
from kaizen_semconv import metrics as m
from tests.processors.alerts.support import rule


def written(*rules: Rule, **options: Any) -> list[dict[str, Any]]:
    (group,) = prometheus_rules(rules, **options).document["groups"]
    return list(group["rules"])


def alert_of(one: Rule) -> dict[str, Any]:
    return written(one)[-1]


@pytest.mark.parametrize(
    ("condition", "expression"),
    [
        ("error_rate > 0.1", "all:kaizen_error_rate:5m > 0.1"),
        ("0.1 < error_rate", "0.1 < all:kaizen_error_rate:5m"),
        ("not error_rate > 0.1", "all:kaizen_error_rate:5m <= 0.1"),
        (
            "0.1 < error_rate < 0.5",
            "(0.1 < all:kaizen_error_rate:5m) and (all:kaizen_error_rate:5m < 0.5)",
        ),
        (
            "not 0.1 < error_rate < 0.5",
            "(0.1 >= all:kaizen_error_rate:5m) or (all:kaizen_error_rate:5m >= 0.5)",
        ),
        (
            "not (error_rate > 0.1 and executions > 5)",
            "(all:kaizen_error_rate:5m <= 0.1) or (all:kaizen_executions:5m <= 5)",
        ),
        (
            "cost_per_hour / throughput_rpm > 1",
            "(all:kaizen_cost_per_hour:5m / (all:kaizen_throughput_rpm:5m != 0)) > 1",
        ),
        ("cost_per_hour / 60 > -1", "(all:kaizen_cost_per_hour:5m / 60) > -1"),
        ("-cost_per_hour < 1", "-(all:kaizen_cost_per_hour:5m) < 1"),
        ("daily_cost > 10", "all:kaizen_daily_cost:1d > 10"),
    ],
)
def test_conditions_become_filters(condition: str, expression: str) -> None:
    assert alert_of(rule(condition))["expr"] == expression


def test_an_alert_carries_everything_that_its_rule_says() -> None:
    one = rule(
        group_by="agent",
        for_s=90.0,
        keep_firing_for_s=60.0,
        min_executions=20,
        severity="critical",
        labels={"team": "ai"},
        annotations={"summary": "{agent}: {value} > {threshold} in {window}", "braces": "{{value}} {{{{ $value }}}}"},
    )
    assert alert_of(one) == {
        "alert": "high_error_rate",
        "expr": "(agent:kaizen_error_rate:5m > 0.1) and (agent:kaizen_executions:5m >= 20)",
        "for": "1m30s",
        "keep_firing_for": "1m",
        "labels": {"severity": "critical", "team": "ai"},
        "annotations": {
            "summary": "{{ $labels.agent_name }}: {{ $value | humanizePercentage }} > 10.0% in 5m",
            "braces": '{value} {{ "{{" }} $value }}',
        },
    }


def test_what_alerts_name_is_recorded_before_them_once() -> None:
    rules = written(rule(), rule("error_rate > 0.5", "worse"), rule("error_rate > 0.5", "longer", window_s=600.0))
    assert [one.get("record") or one["alert"] for one in rules] == [
        "all:kaizen_error_rate:10m",
        "all:kaizen_error_rate:5m",
        "high_error_rate",
        "worse",
        "longer",
    ]


def test_a_selector_is_in_every_series() -> None:
    (record, _) = written(rule(), selector='job="desk"')
    assert record["expr"].count("kaizen_agent_executions_total{") == record["expr"].count('job="desk"}')
    (record, _) = written(rule("p95_latency > 10000"), selector='job="desk"', interval_s=15.0)
    assert 'kaizen_execution_duration_seconds_bucket{job="desk"}' in record["expr"]


def test_series_and_labels_are_those_of_the_registry() -> None:
    known = {definition.name.replace(".", "_"): definition for definition in m.ALL}
    for measure in MEASURES:
        expression = measure_expression(measure, measure_scope(measure, "none", 300.0))
        assert any(name in expression for name in known), expression


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            rule("quality_average < 0.5", group_by="model"),
            "`quality_average` by model: kaizen_quality_score has no label",
        ),
        (rule("active_agents > 5", group_by="agent"), "`active_agents` by agent: kaizen_active_agents has no label"),
        (rule("p95_latency > 700000"), "`p95_latency` against 700000 ms: the highest bucket ends at 600000 ms"),
        (
            rule("error_rate > 0.1 or p95_latency > 5000", annotations={"summary": "over {threshold}"}),
            "the place {threshold}: a condition with `or` does not say which comparison decided",
        ),
        (
            rule("p99_latency > p50_latency * 10", annotations={"summary": "over {threshold}"}),
            "the place {threshold}: it is no constant",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_by_name_and_reason(given: Rule, problem: str) -> None:
    with pytest.raises(UntranslatableError, match="rule high_error_rate: cannot be said in PromQL") as caught:
        prometheus_rules([given, rule(name="fine")])
    (said,) = caught.value.problems
    assert problem in said


def test_its_reader_is_warned_where_engines_may_differ() -> None:
    (warning,) = prometheus_rules([rule("p95_latency > 3000"), rule("p95_latency > 5000", "edge")]).warnings
    assert warning.startswith("rule high_error_rate: 3000 ms is no edge of a bucket")
    assert warning.endswith("may judge `p95_latency` differently; the nearest edge is 2000 ms")
    assert "needs a scrape interval" in prometheus_rules([rule(window_s=30.0)]).warnings[0]


def test_the_built_in_rules_need_no_warning() -> None:
    assert prometheus_rules(DEFAULT_RULES).warnings == ()
    assert prometheus_rules(production_rules(100.0)).warnings == ()


def test_the_file_reads_back_as_what_was_meant() -> None:
    made = prometheus_rules([rule(annotations={"summary": "ü: 'quoted' # {value}\nnext"})])
    text = made.to_yaml("rules.yaml")
    assert text.startswith("# Generated by `kaizen-otel rules` from rules.yaml")
    assert yaml.safe_load(text) == made.document


@given(st.floats(-1e15, 1e15, allow_nan=False))
def test_numbers_read_back_the_same(value: float) -> None:
    assert float(number(value)) == value


@given(st.text(alphabet="{}ab$ \"'\\", max_size=20))
def test_no_text_of_an_annotation_becomes_a_template(text: str) -> None:
    doubled = text.replace("{", "{{").replace("}", "}}")
    template = annotation_of(doubled, rule())
    # What Go would run is only what we put there.
    assert template.replace('{{ "{{" }}', "").count("{{") == 0
    assert template.replace('{{ "{{" }}', "{{") == text


@pytest.mark.parametrize("one", [*DEFAULT_RULES, *production_rules(77.0)], ids=lambda one: one.condition.text)
def test_loads_are_found_that_fire_and_that_do_not(one: Rule) -> None:
    for fires in (True, False):
        workload = find_workload(one, fires=fires)
        assert workload is not None
        assert workload.judge(one) is fires


def test_a_rule_that_is_always_true_is_said_to_be_half_tested() -> None:
    document, untested = promtool_tests([rule("error_rate >= 0")], "rules.yaml")
    assert untested == ("rule high_error_rate: found no load under which it is quiet",)
    assert [test["name"] for test in document["tests"]] == [
        "high_error_rate fires",
        "high_error_rate is quiet without data",
    ]


def test_a_loads_measures_agree_with_each_other() -> None:
    load = Workload(per_minute=30, cost_usd=0.02, tokens=500, duration_s=3.0)
    assert load.measure("daily_cost", 300.0) == pytest.approx(24 * (load.measure("cost_per_hour", 300.0) or 0))
    assert load.measure("executions", 300.0) == 150
    assert load.measure("p95_latency", 300.0) == pytest.approx(4_850)
    assert set(MEASURES) == {name for name in MEASURES if load.measure(name, 300.0) is not None}
