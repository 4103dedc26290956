"""`opentelemetry-instrument python app.py`: an application that says nothing of telemetry is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_otel.demo.model_server import Reply, Rule

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer

APP = """
import sys
import warnings

warnings.simplefilter("ignore")

from kaizen_otel.demo.loopback import lift_loopback_guard

with lift_loopback_guard(sys.argv[1]):
    from kaizen.core.framework import Kaizen

    agent = Kaizen().create_agent("qa", {"model": "gpt-4o", "provider": "openai"})
    print("answer:", agent.execute(question="x")["answer"])
"""
TREE = {
    "create_agent qa": None,
    "invoke_agent qa": None,
    "invoke_workflow": "invoke_agent qa",
    "node LLMAgentNode": "invoke_workflow",
    "chat gpt-4o": "node LLMAgentNode",
}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A Kaizen application without a word on telemetry."""
    path = tmp_path / "app.py"
    path.write_text(APP)
    return path


def run_app(app: Path, server: ModelServer, **environment: str) -> str:
    """Run the application as a user would, and give what it printed."""
    server.script([Rule(replies=Reply(text="seen"))])
    command = Path(sys.executable).with_name("opentelemetry-instrument")
    inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    done = subprocess.run(  # noqa: S603 - our own file
        [command, sys.executable, app, server.url],
        env={**inherited, "HOME": str(app.parent), **environment},
        cwd=app.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "answer: seen" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert len(server.requests) == 1
    return done.stdout


def test_spans_reach_the_exporter_that_the_environment_names(app: Path, model_server: ModelServer) -> None:
    printed = run_app(
        app, model_server, OTEL_TRACES_EXPORTER="console", OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none"
    )

    spans = _json_objects(printed)
    names = {span["context"]["span_id"]: span["name"] for span in spans}
    # Each once: Kailash's own tracer, which would add `workflow.*` here, is silent meanwhile.
    assert sorted(names.values()) == sorted(TREE)
    assert {span["name"]: names.get(span["parent_id"]) for span in spans} == TREE
    chat = next(span for span in spans if span["name"] == "chat gpt-4o")
    assert chat["attributes"]["gen_ai.usage.input_tokens"] == 100


def test_without_an_sdk_distribution_our_own_outputs_work(app: Path, model_server: ModelServer, tmp_path: Path) -> None:
    written = tmp_path / "spans.jsonl"
    run_app(
        app, model_server, OTEL_PYTHON_CONFIGURATOR="none", OTEL_PYTHON_DISTRO="none", KAIZEN_OTEL_FILE=str(written)
    )

    spans = [
        span
        for line in written.read_text().splitlines()
        for resource in json.loads(line).get("resourceSpans", [])
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert sorted(span["name"] for span in spans) == sorted(TREE)


def test_a_disabled_instrumentation_leaves_the_application_alone(app: Path, model_server: ModelServer) -> None:
    printed = run_app(
        app,
        model_server,
        OTEL_TRACES_EXPORTER="console",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="kaizen",
    )

    assert "chat gpt-4o" not in printed


def _json_objects(text: str) -> list[Any]:
    """The pretty-printed objects that the console exporter mixes with the application's own lines."""
    decoder, found, position = json.JSONDecoder(), [], text.find("{")
    while position >= 0:
        value, position = decoder.raw_decode(text, position)
        found.append(value)
        position = text.find("{", position)
    return found
