from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from kaizen_otel import __version__, cli
from kaizen_otel.cli import COMMANDS, app
from kaizen_processors.export.otlp_file import OtlpJsonFileExporter
from kaizen_processors.trace_tree import SpanNode
from tests.processors.desk_spans import begin_agent, begin_chat, desk, end, used

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan


def run(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of `kaizen-otel …` on a screen of 100 columns."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "100"})
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def spans() -> list[ReadableSpan]:
    return desk()


@pytest.fixture
def file(tmp_path: Path, spans: list[ReadableSpan]) -> Path:
    path = tmp_path / "spans.jsonl"
    OtlpJsonFileExporter(path).export(spans)
    return path


def test_open_shows_the_tree_then_the_table_by_agent(file: Path, spans: list[ReadableSpan]) -> None:
    status, out, err = run("open", file)
    assert (status, err) == (0, "")
    tree, table = out.split("\n\n")
    assert tree.startswith(f"trace {SpanNode.from_sdk(spans[0]).trace_id} · support-desk · ")
    assert tree.splitlines()[1:3] == [
        "agent supervisor                        ━━━━━━━━━━━━━━━━━━━━━━  4.20s  6,021→1,514  ≥$0.0104  q 0.50",
        "├─ chat gpt-4o-mini                     ╺━━━━━                  1.00s  1,204→310     $0.0009",
    ]
    assert tree.splitlines()[-1] == (
        "Σ 3 executions · 4 model calls, 1 failed · 6,021→1,514 tokens, 2,048 cached · ≥$0.0104"
    )
    assert [line.split()[0] for line in table.splitlines()[2:-2]] == ["researcher", "supervisor", "writer"]
    assert table.splitlines()[-1] == "total                3       0  4.20s      6,021       1,514  ≥$0.0104     0.67"


def test_open_shows_every_trace_of_the_file_and_one_table(file: Path) -> None:
    OtlpJsonFileExporter(file).export([end(begin_agent("other"), 1)])
    status, out, _ = run("open", file)
    assert status == 0
    assert out.count("trace ") == 2
    assert out.count("tokens in") == 1


def test_a_trace_is_chosen_by_the_beginning_of_its_id(file: Path) -> None:
    other = end(begin_agent("other"), 1)
    OtlpJsonFileExporter(file).export([other])
    status, out, _ = run("open", file, "--trace", SpanNode.from_sdk(other).trace_id[:12].upper())
    assert status == 0
    assert "agent other" in out
    assert "agent supervisor" not in out


def test_an_agent_is_chosen_with_all_that_is_below_it(file: Path) -> None:
    status, out, _ = run("open", file, "--agent", "researcher")
    assert status == 0
    assert out.splitlines()[1].startswith("agent researcher ")
    assert "tool lookup_order" in out
    assert "supervisor" not in out
    assert out.splitlines()[-1].startswith("total                1       0  1.40s      3,916         894  $0.0095")


def test_an_agent_that_calls_itself_is_one_tree(tmp_path: Path) -> None:
    outer = begin_agent("loop")
    inner = begin_agent("loop", outer)
    path = tmp_path / "spans.jsonl"
    OtlpJsonFileExporter(path).export([end(inner, 1), end(outer, 2)])
    _, out, _ = run("open", path, "--agent", "loop")
    assert "\nagent loop " in out
    assert "\n└─ agent loop " in out


def test_json_has_spans_in_the_order_of_the_tree_and_the_same_totals(file: Path) -> None:
    status, out, _ = run("open", file, "--json")
    assert status == 0
    report: dict[str, Any] = json.loads(out)
    (trace,) = report["traces"]
    assert [(span["name"], span["depth"]) for span in trace["spans"][:4]] == [
        ("invoke_agent supervisor", 0),
        ("chat gpt-4o-mini", 1),
        ("invoke_agent researcher", 1),
        ("chat gpt-4o-mini", 2),
    ]
    assert trace["spans"][3]["attributes"]["http.response.status_code"] == 429
    assert trace["spans"][3]["duration_ms"] == 250
    assert trace["totals"] == report["totals"]
    assert report["totals"] == {
        "executions": 3,
        "still_running": 0,
        "errors": 0,
        "cancelled": 0,
        "p95_latency_ms": 4200,
        "model_calls": 4,
        "failed_model_calls": 1,
        "input_tokens": 6021,
        "output_tokens": 1514,
        "cache_read_input_tokens": 2048,
        "cost_usd": 0.0104,
        "cost_complete": False,
        "quality_average": pytest.approx(0.67),
    }
    assert [agent["agent_name"] for agent in report["agents"]] == ["researcher", "supervisor", "writer"]


def test_json_of_numbers_that_json_has_not_is_still_json(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    odd: dict[str, Any] = {"nan": float("nan"), "inf": float("inf"), "low": float("-inf"), "many": (1.0, float("nan"))}
    OtlpJsonFileExporter(path).export([end(begin_agent("a"), 1, **odd)])
    status, out, _ = run("open", path, "--json")
    assert status == 0
    attributes = json.loads(out, parse_constant=pytest.fail)["traces"][0]["spans"][0]["attributes"]
    assert (attributes["nan"], attributes["inf"], attributes["low"]) == ("NaN", "Infinity", "-Infinity")
    assert attributes["many"] == [1.0, "NaN"]


def test_json_of_a_deep_trace_is_flat(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    chain = [begin_agent("0")]
    for _ in range(2_000):
        chain.append(begin_chat("m", chain[-1]))
    OtlpJsonFileExporter(path).export([end(span, 1, **used(1, 1, 0.1)) for span in chain])
    status, out, _ = run("open", path, "--json")
    assert status == 0
    assert json.loads(out)["traces"][0]["spans"][-1]["depth"] == 2_000
    assert run("open", path)[0] == 0


def test_a_torn_last_line_is_a_warning(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:100])
    status, out, err = run("open", file)
    assert status == 0
    assert "agent supervisor" in out
    assert err == f"warning: {file}:2: is torn, its spans are lost\n"


@pytest.mark.parametrize(
    "content", ["no json at all, and this is long enough\n", '{"other": 1}\n', '{"resourceSpans": 1}\n']
)
def test_a_bad_file_is_an_error_with_its_place(file: Path, content: str) -> None:
    with file.open("a") as appended:
        appended.write(content)
    status, out, err = run("open", file)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {file}:2: ")
    assert err.count("\n") == 1


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    assert run("open", tmp_path / "no") == (2, "", f"error: {tmp_path / 'no'}: No such file or directory\n")
    assert run("open", tmp_path) == (2, "", f"error: {tmp_path}: Is a directory\n")


def test_nothing_that_matches_is_status_1(file: Path) -> None:
    assert run("open", file, "--agent", "nobody") == (1, "", f"error: {file}: no spans that match\n")
    assert run("open", file, "--trace", "zz") == (1, "", f"error: {file}: no spans that match\n")
    file.write_text("")
    assert run("open", file) == (1, "", f"error: {file}: no spans\n")


def test_help_names_every_command_without_loading_one() -> None:
    program = (
        "import sys\n"
        "from kaizen_otel.cli import app\n"
        "try:\n"
        "    app(['--help'])\n"
        "except SystemExit as exit:\n"
        "    assert not exit.code\n"
        "lazy = {'rich', 'google.protobuf', 'kaizen_otel.commands.open_file', 'kaizen_otel.demo'}\n"
        "loaded = lazy & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    assert done.stderr == ""
    assert done.returncode == 0
    for name, (_, about) in COMMANDS.items():
        assert f"  {name}" in done.stdout
        assert about in done.stdout


def test_version() -> None:
    assert run("--version") == (0, f"kaizen-otel {__version__}\n", "")


def test_without_a_command_the_help_is_shown() -> None:
    _, out, err = run()
    assert "Usage: kaizen-otel" in out + err


def test_an_unknown_command_is_a_usage_error() -> None:
    status, _, err = run("nonsense")
    assert status == 2
    assert "nonsense" in err


def test_the_script_runs_the_app(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["kaizen-otel", "--version"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert capsys.readouterr().out == f"kaizen-otel {__version__}\n"
