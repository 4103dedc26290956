"""The demo as a stranger runs it: a fresh process, an empty home, no key."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = (sys.executable, "-c", "from kaizen_otel.cli import main; main()", "demo")
OURS = ("OTEL_", "KAIZEN_", "KAILASH_", "OPENAI_")

TREES = """\
agent Supervisor 3,442→116 $0.0071 q 1.00
├─ workflow
│  └─ node LLMAgentNode
│     └─ chat gpt-4o-mini 312→18 $0.0000576
├─ agent OrderClerk 2,982→65 $0.00634 q 1.00
│  ├─ workflow
│  │  └─ node LLMAgentNode
│  │     └─ chat gpt-4o 1,420→24 $0.00379
│  ├─ tool lookup_order
│  │  ├─ initialize
│  │  └─ tools/list
│  └─ workflow
│     └─ node LLMAgentNode
│        └─ chat gpt-4o (1,408 cached) 1,562→41 $0.00256
└─ agent Writer 148→33 $0.0007 q 1.00
   └─ chat gpt-4o 148→33 $0.0007
agent Supervisor 402→45 ≥$0.000567 q 1.00
├─ workflow
│  └─ node LLMAgentNode
│     └─ chat gpt-4o-mini 306→18 $0.0000567
└─ agent Technician 96→27 ≥$0.00051 q 1.00
   ├─ ✗ chat gpt-4o (usage unknown) ?
   │     kaizen.llm.errors.RateLimited · HTTP 429 · rate limited; retry_after=
   └─ chat gpt-4o 96→27 $0.00051
agent Supervisor 304→18 ≥$0.0000564 q 1.00
├─ workflow
│  └─ node LLMAgentNode
│     └─ chat gpt-4o-mini 304→18 $0.0000564
└─ ✗ agent BillingClerk ?
   └─ ✗ workflow
      └─ ✗ node LLMAgentNode
         └─ ✗ chat gpt-4o (usage unknown) ?
               kaizen.llm.errors.ProviderError · HTTP 500 · provider error: status=500
workflow
└─ agent ShiftReport 118→24 $0.0000321 q 0.67
   └─ chat gpt-4o-mini 118→24 $0.0000321
"""

TABLE = """\
agent executions errors tokens in tokens out cost quality
OrderClerk 1 0 2,982 65 $0.00634 1.00
Writer 1 0 148 33 $0.0007 1.00
Technician 1 0 96 27 ≥$0.00051 1.00
Supervisor 3 0 922 54 $0.000171 1.00
ShiftReport 1 0 118 24 $0.0000321 0.67
BillingClerk 1 1 0 0 ? -
total 8 1 4,266 203 ≥$0.00776 0.95
"""

# Tokens in (plain, cached) and out, as desk_answers.py states them, and dollars per million: in, cached, out.
GPT_4O, MINI = (Decimal("2.5"), Decimal("1.25"), Decimal(10)), (Decimal("0.15"), Decimal(0), Decimal("0.6"))
EXPECTED = {
    ("BillingClerk", "gpt-4o"): ((0, 0, 0), GPT_4O, (0, 1)),
    ("OrderClerk", "gpt-4o"): ((1420 + 1562 - 1408, 1408, 24 + 41), GPT_4O, (1, 0)),
    ("ShiftReport", "gpt-4o-mini"): ((118, 0, 24), MINI, (1, 0)),
    ("Supervisor", "gpt-4o-mini"): ((312 + 306 + 304, 0, 3 * 18), MINI, (3, 0)),
    ("Technician", "gpt-4o"): ((96, 0, 27), GPT_4O, (1, 0)),
    ("Writer", "gpt-4o"): ((148, 0, 33), GPT_4O, (1, 0)),
}


def run_demo(home: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, *options],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        cwd=home,
        env={**kept, "HOME": str(home), "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8", **environment},
    )


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    return run_demo(tmp_path_factory.mktemp("home"), "--width", "140")


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("home")
    done = run_demo(home, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert list(home.iterdir()) == []  # not even Kaizen's ~/.kailash
    return json.loads(done.stdout)


def stable(line: str) -> str:
    """A line without what changes from run to run: bars and times."""
    timeless = re.sub(r"[━╺╸┄]+|\b[\d.]+(µs|ms|s)(?=\s|$)|\bp95\b| body=.*", " ", line)
    drawing, name = re.fullmatch(r"([│├└─ ]*)(.*)", timeless, re.DOTALL).groups()  # type: ignore[union-attr]
    return drawing + re.sub(r" {2,}", " ", name).rstrip()


def test_demo_prints_the_tree_of_each_ticket(shown: subprocess.CompletedProcess[str]) -> None:
    assert (shown.returncode, shown.stderr) == (0, "")
    trees = re.findall(r"^trace [^\n]*\n(.*?)^Σ", shown.stdout, re.DOTALL | re.MULTILINE)
    assert "".join(stable(line) + "\n" for tree in trees for line in tree.splitlines()) == TREES


def test_demo_ends_with_the_table_by_agent(shown: subprocess.CompletedProcess[str]) -> None:
    lines = shown.stdout.splitlines()
    table = lines[next(index for index, line in enumerate(lines) if "executions  errors" in line) : -2]
    assert "\n".join(stable(line) for line in table if "──" not in line) + "\n" == TABLE
    assert lines[-1].startswith("Exported nowhere: set OTEL_EXPORTER_OTLP_ENDPOINT")


def test_demo_shows_questions_and_answers(shown: subprocess.CompletedProcess[str]) -> None:
    said = [line.split("  ", 1)[1] for line in shown.stdout.splitlines() if re.match(r" *(ada|grace|desk)  ", line)]
    assert said[1].endswith("it should reach you on Thursday. Sorry for waiting!")
    assert len(said) == 6


def test_json_totals_are_those_of_the_script_exactly(counted: Any) -> None:
    rows = {(row["agent"], row["model"]): row for row in counted["agents"]}
    assert set(rows) == set(EXPECTED)
    total = Decimal(0)
    for pair, ((plain, cached, out), (rate_in, rate_cached, rate_out), (successes, errors)) in EXPECTED.items():
        row = rows[pair]
        cost = (plain * rate_in + cached * rate_cached + out * rate_out) / 1_000_000
        total += cost
        assert (row["input_tokens"], row["output_tokens"]) == (plain + cached, out)
        assert Decimal(row["cost_usd"]) == cost
        assert row["executions"] == {"success": successes, "error": errors, "cancelled": 0}
    assert Decimal(counted["total"]["cost_usd"]) == total
    assert (counted["total"]["executions"], counted["total"]["model_calls"]) == (8, 10)
    assert (counted["total"]["input_tokens"], counted["total"]["output_tokens"]) == (4266, 203)
    assert len(set(counted["traces"])) == 4


def test_json_names_calls_without_usage(counted: Any) -> None:
    assert counted["missing"] == [{"model": "gpt-4o", "reason": "usage", "calls": 2}]
    assert counted["export"] == {"endpoint": None, "delivered": False, "trouble": None}


@pytest.fixture
def collector() -> Iterator[tuple[str, dict[str, list[bytes]]]]:
    """An OTLP/HTTP receiver that keeps what it gets, by path; it refuses what has a list under `refused`."""
    received: dict[str, list[bytes]] = {}

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.setdefault(self.path, []).append(body)
            self.send_response(403 if "refused" in received else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", received
        server.shutdown()
        thread.join()


def test_demo_exports_where_otlp_points(tmp_path: Path, collector: tuple[str, dict[str, list[bytes]]]) -> None:
    url, received = collector
    done = run_demo(tmp_path, "--json", OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_EXPORTER_OTLP_COMPRESSION="none")
    told = json.loads(done.stdout)
    assert told["export"] == {"endpoint": url, "delivered": True, "trouble": None}
    assert received["/v1/metrics"]
    requests = [ExportTraceServiceRequest.FromString(body) for body in received["/v1/traces"]]
    resources = [resource for request in requests for resource in request.resource_spans]
    spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    assert {span.trace_id.hex() for span in spans} >= set(told["traces"])
    names = {item.value.string_value for r in resources for item in r.resource.attributes if item.key == "service.name"}
    assert names == {"kaizen-otel-demo"}


def test_demo_says_what_a_backend_refused(tmp_path: Path, collector: tuple[str, dict[str, list[bytes]]]) -> None:
    url, received = collector
    received["refused"] = []
    done = run_demo(tmp_path, "--json", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{url}/v1/traces")
    told = json.loads(done.stdout)["export"]
    assert (told["delivered"], done.returncode) == (False, 1)
    assert re.fullmatch(r"\d+ traces refused", told["trouble"])


def test_demo_says_when_nobody_listens(tmp_path: Path) -> None:
    done = run_demo(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("Exported to http://127.0.0.1:9: NOT delivered.")
    assert done.stderr == ""


def test_offline_demo_ignores_a_real_key_and_reports_an_unpriced_model(tmp_path: Path) -> None:
    done = run_demo(tmp_path, "--offline", "--json", OPENAI_API_KEY="sk-real", KAIZEN_DEMO_MODEL="house-model-1")
    told = json.loads(done.stdout)
    assert (done.returncode, told["models"]) == (0, "local")
    assert {"model": "house-model-1", "reason": "price", "calls": 8} in told["missing"]
    assert told["total"]["cost_usd"] == "0"


def test_demo_without_kaizen_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from kaizen_otel.cli import app

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    done = CliRunner().invoke(app, ["demo"])
    assert done.exit_code == 2
    assert "pip install 'kaizen-otel[kaizen]'" in done.stderr
