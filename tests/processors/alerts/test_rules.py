"""Rules from Python, dictionaries and files: what they hold, and how what is wrong is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kaizen_processors.alerts.conditions import Condition
from kaizen_processors.alerts.durations import parse_duration, write_duration
from kaizen_processors.alerts.rule_file import read_rules, rules_from
from kaizen_processors.alerts.rules import DEFAULT_RULES, Rule, RuleError, production_rules

if TYPE_CHECKING:
    from pathlib import Path

FILE = """\
constants:
  budget_limit: 250
rules:
  - name: high_error_rate
    condition: error_rate > 0.05 and executions >= 20
    time_window: 5m
    for: 2m
    keep_firing_for: 1m30s
    min_executions: 10
    group_by: agent
    severity: critical
    labels: {team: ai}
    annotations:
      summary: "{agent} fails {value} of its runs"
      runbook_url: https://example.com/runbook
    channels: [slack]
  - name: over_budget
    condition: daily_cost > budget_limit
    time_window: 24h
silences:
  - matchers: ['alertname="over_budget"', 'agent_name=~"test-.*"']
    starts_at: 2026-01-01T00:00:00Z
    ends_at: 2026-01-02T00:00:00+01:00
    comment: load test
"""

ONE = "rules: [{name: a, condition: error_rate > 1}]\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    with pytest.raises(RuleError) as caught:
        read_rules(path)
    return [problem.removeprefix(str(path)) for problem in caught.value.problems]


def test_a_file_says_everything_that_a_rule_holds(tmp_path: Path) -> None:
    rules = read_rules(write(tmp_path, FILE))
    assert rules.rules == (
        Rule(
            name="high_error_rate",
            condition=Condition("error_rate > 0.05 and executions >= 20"),
            window_s=300.0,
            for_s=120.0,
            keep_firing_for_s=90.0,
            min_executions=10,
            group_by="agent",
            severity="critical",
            labels={"team": "ai"},
            annotations={
                "summary": "{agent} fails {value} of its runs",
                "runbook_url": "https://example.com/runbook",
            },
            channels=("slack",),
        ),
        Rule(
            name="over_budget",
            condition=Condition("daily_cost > budget_limit", {"budget_limit": 250.0}),
            window_s=86_400.0,
        ),
    )
    (silence,) = rules.silences
    assert [str(matcher) for matcher in silence.matchers] == ['alertname="over_budget"', 'agent_name=~"test-.*"']
    assert silence.ends_at_ns - silence.starts_at_ns == 23 * 3600 * 10**9


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("rules:\n  - name: a\n    condition: eror_rate > 1\n", ":3:5", "unknown name `eror_rate`"),
        (
            "rules:\n  - name: a\n    condition: error_rate > 1\n    time_windw: 5m\n",
            ":4:5",
            "Did you mean `time_window`?",
        ),
        ("rules:\n  - name: a\n    condition: error_rate > 1\n    time_window: soon\n", ":4:5", "30s, 5m, 1h30m, 1d"),
        (
            "rules:\n  - name: a\n    condition: error_rate > 1\n    time_window: 1s\n",
            ":4:5",
            "allowed: 10s to 1d",
        ),
        ("rules:\n  - name: a\n    condition: error_rate > 1\n    severity: bad\n", ":4:5", "allowed: info, warning"),
        ("rules:\n  - name: a\n    condition: error_rate > 1\n    group_by: user\n", ":4:5", "none, agent, model"),
        ("rules:\n  - name: a\n    condition: error_rate > 1\n    min_executions: -1\n", ":4:5", "a whole number"),
        (
            "rules:\n  - name: a\n    condition: error_rate > 1\n    labels: {severity: x}\n",
            ":4:14",
            "of the alert itself",
        ),
        ("rules:\n  - name: a\n    condition: error_rate > 1\n    labels: {a: 1}\n", ":4:14", "printable characters"),
        ("rules:\n  - name: a\n    condition: error_rate > 1\n    labels: 5\n", ":4:5", "mapping of names to texts"),
        ("rules:\n  - name: a\n    condition: error_rate > 1\n    auto_mitigation: true\n", ":4:5", "not available"),
        ("rules:\n  - name: a b\n    condition: error_rate > 1\n", ":2:5", "letters, digits and _"),
        ("rules:\n  - condition: error_rate > 1\n", ":2:5", "`name` is missing"),
        ("rules:\n  - error_rate > 1\n", ":2:5", "must be a mapping with `name`, `condition`"),
        ("rules: {}\n", ":1:1", "there is no rule"),
        ("rules: 5\n", ":1:1", "`rules` must be a list"),
        ("- a\n", ":1:1", "must be a mapping with `constants`, `rules`, `budgets`, `silences`"),
        ("", ":1:1", "must be a mapping"),
        ("constants: {error_rate: 1}\nrules: []\n", ":1:13", "lower-case names"),
        ("rules: [\n", ":2:1", "is not YAML"),
        ("rules: !!python/object:os.system []\n", ":1:1", "there is no rule"),
        ("rules: !!python/name:os.system x\n", ":1:8", "is not YAML"),
        ("rules: []\nrules: []\n", ":2:1", "`rules` is there twice"),
        ("a: &a [*a]\n", ":1:4", "levels"),
        (
            "rules:\n  - {name: a, condition: error_rate > 1}\n  - {name: a, condition: error_rate > 2}\n",
            ":3:6",
            "two rules named `a`",
        ),
        (
            f"{ONE}silences:\n  - matchers: ['a=~\"(\"']\n    ends_at: 2026-01-01\n",
            ":3:5",
            "allowed: a regular expression",
        ),
        (
            f"{ONE}silences:\n  - matchers: ['a=\"b\"']\n",
            ":3:5",
            "`ends_at` is missing",
        ),
    ],
)
def test_each_problem_has_its_line_and_what_is_allowed(tmp_path: Path, text: str, place: str, problem: str) -> None:
    found = problems_of(tmp_path, text)
    assert any(line.startswith(f"{place}: ") and problem in line for line in found), found


WRONG = """\
constants: {Budget: 3, limit: x}
rules:
  - name: a b
    condition: eror_rate > 1 and (foo < 2 or 3 > 2)
    time_window: soon
    time_windw: 5m
    labels: {severity: x, ok: 1}
  - severity: loud
    condition: error_rate > 1 and
  - {name: twin, condition: 'p95_latency > "1" & x = 2', group_by: user}
  - {name: twin}
  - 5
budgets:
  - {limit_usd: -1, period: weekly}
  - {name: b, limit_usd: 1, at: 5, colour: red}
silences:
  - {matchers: [x, y], starts_at: soon, ends_at: 2026-02-31}
more: !!python/name:os.system x
rules: []
"""


def test_all_problems_are_shown_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = [problem.splitlines()[0] for problem in problems_of(tmp_path, WRONG)]
    assert [problem.split(" Allowed: ")[0].split("; allowed: ")[0] for problem in found] == [
        ":1:13: constant 'Budget': allowed are lower-case names that nothing measured has",
        ":1:24: constant limit cannot be 'x'",
        ":3:5: `name` allowed: letters, digits and _, no digit first, at most 100",
        ":4:5: unknown name `eror_rate`: did you mean `error_rate`?",
        ":4:5: unknown name `foo`",
        ":4:5: this compares constants: it is always the same",
        ":5:5: `time_window` cannot be 'soon'",
        ":6:5: unknown key 'time_windw'. Did you mean `time_window`?",
        ":7:14: `labels.severity` is a label of the alert itself",
        ":7:27: `labels.ok` allowed: a line of 1 to 1024 printable characters",
        ":8:5: `name` is missing",
        ":8:5: `severity` cannot be 'loud'",
        ":9:5: this cannot be read here",
        ':10:18: `"` is not allowed: there are no texts here',
        ":10:18: `&` is not allowed: write `and`",
        ":10:18: nothing is assigned here: compare with `==`",
        ":10:58: `group_by` cannot be 'user'",
        ":11:5: `condition` is missing",
        ":11:6: there are two rules named `twin`",
        ":12:5: must be a mapping with " + found[19].partition("with ")[2],
        ":14:5: `name` is missing",
        ":14:6: `limit_usd` cannot be -1",
        ":14:21: `period` cannot be 'weekly'",
        ":15:29: `at` must be a list",
        ":15:36: unknown key 'colour'.",
        ":17:6: `matchers` 'x' is no matcher",
        ":17:6: `matchers` 'y' is no matcher",
        ":17:24: `starts_at` 'soon' is no moment",
        ":17:41: `ends_at` '2026-02-31' is no moment",
        ":18:1: unknown key 'more'.",
        ":18:7: is not YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:python/name:os.system'",
        ":19:1: `rules` is there twice",
    ]


def test_what_cannot_be_read_hides_no_unknown_name() -> None:
    with pytest.raises(RuleError) as caught:
        rules_from({"rules": [{"name": "a", "condition": "eror_rate > 5% and max(executions) > 1 or limit.x > 1"}]})
    assert [problem.splitlines()[0].partition("condition: ")[2] for problem in caught.value.problems] == [
        "`%` is not allowed: write a percentage as a fraction, 0.05 for 5 %",
        "unknown name `eror_rate`: did you mean `error_rate`?",
    ]


def test_a_bomb_of_aliases_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "more than 50000 values" in problems_of(tmp_path, "\n".join(lines))[0]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"nowhere\.yaml: cannot be read: No such file"):
        read_rules(tmp_path / "nowhere.yaml")


def test_the_dictionaries_of_an_application_are_read_the_same_way() -> None:
    given = {
        "rules": [
            {
                "name": "high_error_rate",
                "condition": "error_rate > 0.05",
                "time_window": "5m",
                "severity": "warning",
                "channels": ["slack"],
                "auto_mitigation": False,
                "mitigation_actions": ["scale_up"],
            }
        ]
    }
    (rule,) = rules_from(given).rules
    assert (rule.name, rule.window_s, rule.channels) == ("high_error_rate", 300.0, ("slack",))
    with pytest.raises(RuleError, match=r"^alerting\.rules\[0\]\.severity: `severity` cannot be 'loud'"):
        rules_from({"rules": [{**given["rules"][0], "severity": "loud"}]}, where="alerting")


def test_constants_may_come_from_the_application() -> None:
    data = {"rules": [{"name": "a", "condition": "daily_cost > budget_limit"}]}
    (rule,) = rules_from(data, constants={"budget_limit": 5.0}).rules
    assert rule.condition.evaluate([6.0]) is True
    with pytest.raises(RuleError, match="unknown name `budget_limit`"):
        rules_from(data)


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        ("{user} is slow", "unknown place {user}"),
        ("{value.__class__}", "unknown place"),
        ("{", "a brace on its own"),
        ("{agent} is slow", "known only with group_by: agent"),
        ("", "1 to 1024 characters"),
    ],
)
def test_annotations_have_only_known_places(annotation: str, problem: str) -> None:
    with pytest.raises(RuleError, match=problem):
        Rule(name="a", condition=Condition("error_rate > 1"), annotations={"summary": annotation})


def test_the_built_in_rules_are_those_of_the_documentation() -> None:
    assert [(rule.name, rule.condition.text, rule.severity) for rule in DEFAULT_RULES] == [
        ("high_error_rate", "error_rate > 0.1", "warning"),
        ("high_latency", "p95_latency > 10000", "critical"),
        ("high_cost", "cost_per_hour > 100", "warning"),
        ("low_quality", "quality_average < 0.7", "warning"),
    ]
    assert [(r.name, r.condition.text, r.window_s, r.severity) for r in production_rules(50.0)] == [
        ("high_error_rate", "error_rate > 0.05", 300.0, "warning"),
        ("execution_latency_spike", "p95_latency > 10000", 600.0, "critical"),
        ("cost_budget_exceeded", "daily_cost > budget_limit", 86_400.0, "warning"),
    ]
    assert production_rules(50.0)[2].condition.evaluate([50.01]) is True


def test_a_rule_cannot_be_changed() -> None:
    rule: Any = DEFAULT_RULES[0]
    with pytest.raises(AttributeError):
        rule.window_s = 1.0
    with pytest.raises(TypeError):
        rule.labels["a"] = "b"


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("5m", 300.0), ("1h30m", 5400.0), (90, 90.0), ("1d", 86_400.0), (0, 0.0)]
)
def test_durations_are_read_and_written(text: str | int, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(write_duration(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "5 m", "m", "-5m", "1.5h", "5mm", True, None, float("nan"), float("inf"), -1]
)
def test_other_texts_are_no_durations(text: object) -> None:
    assert parse_duration(text) is None
