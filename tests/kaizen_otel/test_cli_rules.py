"""`kaizen-otel rules`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from typer.testing import CliRunner

from kaizen_otel.cli import app

if TYPE_CHECKING:
    from pathlib import Path

RULES = """\
rules:
  - name: over_budget
    condition: daily_cost > budget_limit
    time_window: 24h
"""


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["rules", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES, encoding="utf-8")
    return path


def test_without_a_file_it_prints_the_built_in_rules() -> None:
    status, out, _ = run()
    assert status == 0
    names = [one.get("alert") for one in yaml.safe_load(out)["groups"][0]["rules"]]
    assert [name for name in names if name] == ["high_error_rate", "high_latency", "high_cost", "low_quality"]


def test_it_writes_rules_and_tests_that_name_them(file: Path, tmp_path: Path) -> None:
    rules, tests = tmp_path / "prometheus.yaml", tmp_path / "tests.yaml"
    status, out, err = run(file, "--constant", "budget_limit=5", "-o", rules, "--tests", tests, "--interval", "30s")
    assert (status, out, err) == (0, "", "")
    group = yaml.safe_load(rules.read_text(encoding="utf-8"))["groups"][0]
    assert group["interval"] == "30s"
    assert group["rules"][-1]["expr"] == "all:kaizen_daily_cost:1d > 5"
    assert yaml.safe_load(tests.read_text(encoding="utf-8"))["rule_files"] == ["prometheus.yaml"]


def test_tests_elsewhere_find_the_rules_by_their_whole_path(file: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    rules, tests = tmp_path / "prometheus.yaml", tmp_path / "sub" / "tests.yaml"
    assert run(file, "--constant", "budget_limit=5", "-o", rules, "--tests", tests)[0] == 0
    assert yaml.safe_load(tests.read_text(encoding="utf-8"))["rule_files"] == [str(rules)]


def test_the_production_rules_need_a_budget() -> None:
    assert run("--preset", "production")[0] == 2
    status, out, _ = run("--preset", "production", "--constant", "budget_limit=100")
    assert status == 0
    assert "all:kaizen_daily_cost:1d > 100" in out


def test_what_cannot_be_said_is_status_1(file: Path) -> None:
    file.write_text("rules: [{name: a, condition: p95_latency > 1e6}]\n", encoding="utf-8")
    status, out, err = run(file)
    assert (status, out) == (1, "")
    assert "rule a: cannot be said in PromQL: `p95_latency` against 1e+06 ms" in err


def test_warnings_are_shown(file: Path) -> None:
    file.write_text("rules: [{name: a, condition: p95_latency > 3000}]\n", encoding="utf-8")
    status, _, err = run(file)
    assert status == 0
    assert err.startswith("warning: rule a: 3000 ms is no edge of a bucket")


def test_budgets_stay_in_the_process(file: Path) -> None:
    file.write_text("budgets: [{name: month, limit_usd: 5, period: monthly}]\n", encoding="utf-8")
    status, out, err = run(file)
    assert (status, err) == (0, "warning: budgets are counted in the process, not in Prometheus: month\n")
    assert yaml.safe_load(out)["groups"][0]["rules"] == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["{file}"], ":3:5: unknown name `budget_limit`"),
        (["nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["{file}", "--preset", "default"], "not both"),
        (["--preset", "strict"], "allowed: default, production"),
        (["--constant", "budget"], "NAME=NUMBER"),
        (["--constant", "error_rate=5"], "nothing measured has"),
        (["--interval", "soon"], "a duration such as 15s"),
        (["--selector", "job"], "is no matcher"),
        (["--tests", "tests.yaml"], "--tests needs --output"),
        (["-o", "nowhere/rules.yaml"], "No such file"),
    ],
)
def test_wrong_input_is_status_2_and_says_what_is_allowed(file: Path, arguments: list[str], problem: str) -> None:
    status, out, err = run(*(argument.format(file=file) for argument in arguments))
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert problem in err
