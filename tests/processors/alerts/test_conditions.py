"""The language of conditions: what it says, what it refuses, and how it shows the place."""

from __future__ import annotations

import warnings

import pytest

from kaizen_processors.alerts.conditions import Condition, ConditionError, Finding

BUDGET = {"budget_limit": 100.0}

HOSTILE = [
    "__import__('os').system('true')",
    "().__class__.__bases__[0].__subclasses__() > 1",
    "9**9**9**9 > error_rate",
    "error_rate > 9**999999",
    "'a' * 999999999 > error_rate",
    '"%s" % error_rate > 1',
    "f'{error_rate}' > 1",
    "(" * 300 + "error_rate > 1" + ")" * 300,
    "(" * 30 + "error_rate > 1" + ")" * 30,
    "not " * 60 + "error_rate > 1",
    "-" * 400 + "1 < error_rate",
    "error_rate > 1e400",
    "error_rate > 1" + "0" * 400,
    "error_rate > 1j",
    "error_rate > 0x10",
    "[x for x in (1,)] > error_rate",
    "lambda: error_rate > 1",
    "(error_rate := 5) > 1",
    "error_rate.real > 1",
    "max(error_rate) > 1",
    "error_rate(1) > 1",
    "error_rate > True",
    "error_rate > None",
    "error_rate > ...",
    "error_rate in error_rate",
    "error_rate is error_rate",
    "error_rate if error_rate > 1 else error_rate",
    "await error_rate > 1",
    "*error_rate > 1",
    "error_rate > 1\nimport os",
    "error_rate > 1; error_rate",
    "error_rate > 1 # error_rate",
    "error_rate > 1 \\\n",
    "error_rate > 1\x00",
    "error_rate > 1) or (error_rate < 2",
    "\uff45rror_rate > 1",
    "error_rate > \u0661",
    "__builtins__ > 1",
    "v0 > 1",
    "error_rate @ error_rate > 1",
    "error_rate // 2 > 1",
    "error_rate % 2 > 1",
    "~error_rate > 1",
    "error_rate << 2 > 1",
    "x" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_input_is_refused(text: str) -> None:
    with pytest.raises(ConditionError):
        Condition(text)


def test_a_number_that_runs_into_a_word_is_no_number_and_python_does_not_warn() -> None:
    with warnings.catch_warnings(record=True) as seen, pytest.raises(ConditionError, match="only decimal numbers"):
        Condition("error_rate > 1and executions > 2")
    assert not seen


@pytest.mark.parametrize(
    ("text", "problem", "marked"),
    [
        ("eror_rate > 0.05", "unknown name `eror_rate`: did you mean `error_rate`?", "eror_rate"),
        ("error_rate > budget_limt", "did you mean `budget_limit`?", "budget_limt"),
        ("error_rate > 5%", "write a percentage as a fraction", "%"),
        ("error_rate > 1 & executions > 2", "write `and`", "&"),
        ("error_rate = 0.05", "compare with `==`", "="),
        ("executions", "this is a number: compare it with something", "executions"),
        ("(error_rate > 1) + 1 > 2", "this is true or false", "error_rate > 1"),
        ("1 < budget_limit < daily_cost", "this compares constants", "1 < budget_limit"),
        ("error_rate > 1 and", "this cannot be read here", "d"),
        ("error_rate > 1)", "this parenthesis closes nothing", ")"),
        ("executions / 0 > 1", "this divides by zero", "0"),
        ("executions > 2e15", "numbers go up to 1e+15", "2e15"),
        ("executions > 1e15 * 2", "numbers go up to 1e+15", "1e15 * 2"),
        ("p95_latency ** 2 > 1", "only + - * / are allowed", "p95_latency ** 2"),
    ],
)
def test_an_error_shows_the_place(text: str, problem: str, marked: str) -> None:
    with pytest.raises(ConditionError) as caught:
        Condition(text, BUDGET)
    message, shown, carets, allowed = str(caught.value).splitlines()
    assert problem in message
    assert shown.strip() == text
    assert shown[carets.index("^") : carets.rindex("^") + 1] == marked
    assert allowed.startswith("allowed: ")
    assert text[caught.value.position :].startswith(marked)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConditionError, match="allowed: active_agents, avg_latency, budget_limit, cost_per_execution"):
        Condition("speed > 1", BUDGET)


def test_a_line_break_of_a_yaml_block_is_a_blank() -> None:
    assert Condition("error_rate > 0.05\n  and executions >= 20\n").evaluate([0.1, 20.0]) is True


@pytest.mark.parametrize(
    ("text", "values", "answer"),
    [
        ("error_rate > 0.05", [0.06], True),
        ("error_rate > 0.05", [0.05], False),
        ("0.1 < error_rate <= 0.5", [0.5], True),
        ("0.1 < error_rate <= 0.5", [0.1], False),
        ("not error_rate > 0.05", [0.05], True),
        ("daily_cost > budget_limit * 0.8", [80.5], True),
        ("cost_per_hour * 24 - 4 > +budget_limit", [4.5], True),
        ("-executions < -5", [6.0], True),
        ("error_rate > 1 or executions > 1 and p95_latency > 1", [0.0, 2.0, 2.0], True),
        ("(error_rate > 1 or executions > 1) and p95_latency > 1", [0.0, 2.0, 0.0], False),
        ("executions == 5", [5.0], True),
        ("executions != 5", [5.0], False),
        ("executions > 1_000", [1001.0], True),
    ],
)
def test_it_says_what_it_says(text: str, values: list[float | None], answer: bool) -> None:
    assert Condition(text, BUDGET).evaluate(values) is answer


@pytest.mark.parametrize(
    ("text", "values", "answer"),
    [
        ("error_rate > 0.05", [None], None),
        ("not error_rate > 0.05", [None], None),
        ("error_rate == 0.05", [None], None),
        ("error_rate != 0.05", [None], None),
        ("error_rate + 1 > 0.05", [None], None),
        ("error_rate > 0.05 and executions > 1", [None, 0.0], False),
        ("error_rate > 0.05 and executions > 1", [None, 2.0], None),
        ("executions > 1 and error_rate > 0.05", [0.0, None], False),
        ("error_rate > 0.05 or executions > 1", [None, 2.0], True),
        ("error_rate > 0.05 or executions > 1", [None, 0.0], None),
        ("not (error_rate > 0.05 or executions > 1)", [None, 2.0], False),
        ("0.1 < error_rate < executions", [0.05, None], False),
        ("0.1 < error_rate < executions", [0.5, None], None),
        ("executions / error_rate > 1", [5.0, 0.0], None),
        ("not executions / error_rate > 1", [5.0, 0.0], None),
        ("executions / error_rate > 1 or executions > 4", [5.0, 0.0], True),
        ("executions * executions - executions * executions != 1", [1e200], None),
    ],
)
def test_missing_data_is_neither_true_nor_false(text: str, values: list[float | None], answer: bool | None) -> None:
    assert Condition(text).evaluate(values) is answer


@pytest.mark.parametrize(
    ("text", "values", "finding"),
    [
        ("error_rate > 0.05", [0.06], Finding("error_rate", "error_rate", 0.06, 0.05)),
        ("0.05 < error_rate", [0.06], Finding("error_rate", "error_rate", 0.06, 0.05)),
        ("cost_per_hour*24 > budget_limit", [5.0], Finding("cost_per_hour*24", "cost_per_hour", 120.0, 100.0)),
        ("p99_latency > p50_latency * 10", [900.0, 50.0], Finding("p99_latency", "p99_latency", 900.0, 500.0)),
        ("error_rate > 0.5 or p95_latency > 10", [0.1, 20.0], Finding("p95_latency", "p95_latency", 20.0, 10.0)),
        ("error_rate > 0.5 or p95_latency > 10", [None, 20.0], Finding("p95_latency", "p95_latency", 20.0, 10.0)),
        (
            "not (success_rate >= 0.9 and error_rate <= 0.5)",
            [0.5, 0.1],
            Finding("success_rate", "success_rate", 0.5, 0.9),
        ),
        ("not not error_rate > 0.5", [0.6], Finding("error_rate", "error_rate", 0.6, 0.5)),
        ("error_rate > 0.5", [0.1], Finding("error_rate", "error_rate", 0.1, 0.5)),
        ("error_rate > 0.5", [None], None),
    ],
)
def test_it_names_the_comparison_that_decided(text: str, values: list[float | None], finding: Finding | None) -> None:
    assert Condition(text, BUDGET).explain(values) == finding


def test_equal_conditions_are_equal() -> None:
    assert Condition("error_rate > 1") == Condition("error_rate > 1")
    assert Condition("daily_cost > budget_limit", BUDGET) != Condition("daily_cost > budget_limit", {"budget_limit": 1})
    assert Condition("error_rate > 1") != "error_rate > 1"


@pytest.mark.parametrize(
    "constants", [{"error_rate": 1.0}, {"Budget": 1.0}, {"a b": 1.0}, {"limit": "5"}, {"limit": True}, {"limit": 1e16}]
)
def test_constants_are_numbers_with_names_of_their_own(constants: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        Condition("error_rate > 1", constants)
