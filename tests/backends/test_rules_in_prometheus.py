"""One rule, two engines: what `kaizen-otel rules` writes fires in Prometheus when the rule fires in the process."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import pytest

from kaizen_processors.alerts.conditions import Condition
from kaizen_processors.alerts.durations import write_duration
from kaizen_processors.alerts.evaluator import Evaluator
from kaizen_processors.alerts.evaluator_options import EvaluatorOptions
from kaizen_processors.alerts.promql.rule_groups import prometheus_rules
from kaizen_processors.alerts.promql.unit_tests import promtool_tests, unit_tests_to_yaml
from kaizen_processors.alerts.rules import DEFAULT_RULES, Rule, production_rules
from tests.backends.promtool import input_series, write_yaml
from tests.backends.recording import SCRAPE_S, Execution, RecordedValues, incident, series_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.backends.promtool import Promtool

MINUTES: Final = 95
NAMED: Final = {"summary": "{name}"}  # the value differs a little: the table of differences says how much


def rule(name: str, condition: str, **fields: Any) -> Rule:
    constants = {"budget_limit": 100.0}
    return Rule(name=name, condition=Condition(condition, constants), annotations=NAMED, **fields)


def write_rules(folder: Path, rules: Sequence[Rule]) -> Path:
    path = folder / "rules.yaml"
    path.write_text(prometheus_rules(rules).to_yaml("a test"), encoding="utf-8")
    return path


VARIED: Final = (
    rule("plain", "error_rate > 0.1"),
    rule("by_agent", "error_rate > 0.1 and executions >= 20", group_by="agent", min_executions=10, for_s=120.0),
    rule("by_model", "cost_per_hour * 24 > budget_limit", group_by="model", labels={"team": "ai"}),
    rule("either", "p95_latency > 10000 or quality_average < 0.55", keep_firing_for_s=300.0),
    rule("neither", "not (success_rate >= 0.9 and quality_average >= 0.55)", group_by="agent"),
    rule("chain", "10 < throughput_rpm <= 30", group_by="agent", window_s=600.0),
    rule("quotient", "avg_latency / p50_latency > 1.5 and tokens_per_second > 100"),
    rule("agents", "active_agents == 2", for_s=60.0),
    rule("daily", "daily_cost > budget_limit / 5", window_s=86_400.0),
    rule("dear", "cost_per_execution > 0.15 and cost_per_token > 0.0001", group_by="agent"),
    rule("silence", "executions < 1"),
    # The editor never fails: there is no series of its errors.
    rule("calm", "error_rate < 0.01 and executions > 1", group_by="agent"),
)


@pytest.mark.parametrize(
    "rules", [DEFAULT_RULES, production_rules(50.0), VARIED], ids=["default", "production", "varied"]
)
def test_what_is_written_passes_promtool(promtool: Promtool, rules: Sequence[Rule], tmp_path: Path) -> None:
    path = write_rules(tmp_path, rules)
    assert promtool.check_rules(path).content
    document, untested = promtool_tests(rules, path.name)
    assert untested == ()
    tests = tmp_path / "tests.yaml"
    tests.write_text(unit_tests_to_yaml(document, "a test"), encoding="utf-8")
    answer = promtool.test_rules(tests)
    assert answer.content, answer.text


def test_the_tests_that_are_written_can_fail(promtool: Promtool, tmp_path: Path) -> None:
    path = write_rules(tmp_path, DEFAULT_RULES)
    document, _ = promtool_tests(DEFAULT_RULES, path.name)
    tests = tmp_path / "tests.yaml"
    tests.write_text(unit_tests_to_yaml(document, "a test"), encoding="utf-8")
    right = path.read_text(encoding="utf-8")
    for was, becomes in (("error_rate:5m > 0.1", "error_rate:5m > 1"), ("> 10000", "< 10000"), ("warning", "info")):
        assert was in right
        path.write_text(right.replace(was, becomes), encoding="utf-8")
        assert not promtool.test_rules(tests).content


def random_condition(source: random.Random) -> str:
    def comparison() -> str:
        name, number = source.choice(
            [
                ("error_rate", "0.1"),
                ("success_rate", "0.8"),
                ("avg_latency", "2000"),
                ("p95_latency", "5000"),
                ("throughput_rpm", "30"),
                ("cost_per_hour", "20"),
                ("cost_per_execution", "0.02"),
                ("quality_average", "0.6"),
                ("executions", "100"),
                ("tokens_per_second", "500"),
                ("executions / throughput_rpm", "4"),
                ("-(cost_per_hour - 5)", "2"),
            ]
        )
        operator = source.choice(["<", "<=", ">", ">="])
        text = f"{name} {operator} {number}" if source.random() < 0.7 else f"{number} {operator} {name}"
        return f"not {text}" if source.random() < 0.3 else text

    parts = [comparison() for _ in range(source.randint(1, 3))]
    text = parts[0]
    for part in parts[1:]:
        text = f"({text}) {source.choice(['and', 'or'])} {part}"
    return f"not ({text})" if source.random() < 0.3 else text


def test_random_conditions_mean_the_same_in_both(promtool: Promtool, tmp_path: Path) -> None:
    source = random.Random(20260101)  # noqa: S311 - the same conditions every time
    rules = [
        rule(f"r{number}", random_condition(source), group_by=source.choice(["none", "agent"])) for number in range(60)
    ]
    path = write_rules(tmp_path, rules)
    document, untested = promtool_tests(rules, path.name)
    assert len(untested) < 15  # some are always true, or never
    tests = tmp_path / "tests.yaml"
    tests.write_text(unit_tests_to_yaml(document, "a test"), encoding="utf-8")
    answer = promtool.test_rules(tests)
    assert answer.content, answer.text


class Clock:
    """The time of the recording."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def time_ns(self) -> int:
        return int(self.now_s * 1e9)

    monotonic_ns = time_ns


def replay(rules: Sequence[Rule], executions: Sequence[Execution], minutes: int) -> Iterator[tuple[int, list[Any]]]:
    """What fires in the process at each minute."""
    clock, values = Clock(), RecordedValues(executions)
    evaluator = Evaluator(rules, values, options=EvaluatorOptions(clock=clock))
    for minute in range(minutes + 1):
        clock.now_s = values.now_s = minute * 60.0
        evaluator.tick()
        yield minute, list(evaluator.alerts())


REPLAYED: Final = (
    *(rule(one.name, one.condition.text, severity=one.severity) for one in DEFAULT_RULES),
    *VARIED,
)


def test_a_recording_fires_the_same_alerts_at_the_same_minutes(promtool: Promtool, tmp_path: Path) -> None:
    executions = incident(MINUTES)
    checks = []
    fired = set()
    for minute, alerts in replay(REPLAYED, executions, MINUTES):
        if minute < 10:  # windows are not full: the table of differences says what that means
            continue
        for one in REPLAYED:
            expected = [alert for alert in alerts if alert.type == one.name]
            fired |= {(one.name, bool(expected))}
            checks.append(
                {
                    "eval_time": f"{minute}m",
                    "alertname": one.name,
                    "exp_alerts": [
                        {
                            "exp_labels": {k: v for k, v in alert.labels.items() if k != "alertname"},
                            "exp_annotations": dict(alert.annotations),
                        }
                        for alert in expected
                    ],
                }
            )
    # Each rule is quiet at some minutes and fires at others, or the comparison would say little.
    assert fired == {(one.name, fires) for one in REPLAYED for fires in (True, False)}
    write_rules(tmp_path, REPLAYED)
    document = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": write_duration(SCRAPE_S),
                "input_series": input_series(series_of(executions, MINUTES * 60)),
                "alert_rule_test": checks,
            }
        ],
    }
    answer = promtool.test_rules(write_yaml(tmp_path / "tests.yaml", document))
    assert answer.content, answer.text[:6_000]
