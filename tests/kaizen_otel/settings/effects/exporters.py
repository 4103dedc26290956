"""`Kaizen(config={'exporters': …})`: where it goes."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import kaizen_otel
from tests.kaizen_otel.otlp_endpoint import receiving
from tests.kaizen_otel.settings.effects.acting import DURATION, runs, says, telemetry

if TYPE_CHECKING:
    from collections.abc import Callable


def console(on: object, off: object) -> Callable[[pytest.CaptureFixture[str]], None]:
    def check(output: pytest.CaptureFixture[str]) -> None:
        kaizen_otel.instrument()
        said = []
        for asked in (on, off):
            says({"exporters": {"console": asked}})
            runs()
            kaizen_otel.flush(30.0)
            said.append("desk" in output.readouterr().err)
        assert said == [True, False]

    return check


def console_width(output: pytest.CaptureFixture[str]) -> None:
    kaizen_otel.instrument(preset=None)
    widest = []
    for width in (60, 100):
        says({"exporters": {"console": {"width": width}}})
        runs(f"desk {'of a very long name ' * 6}")
        kaizen_otel.flush(30.0)
        widest.append(max(map(len, output.readouterr().err.splitlines())))
    assert widest[0] <= 60 < widest[1] <= 100


def file(on: object, off: object, name: str) -> Callable[[], None]:
    def check() -> None:
        kaizen_otel.instrument()
        says({"exporters": {"file": on}})
        runs("written")
        says({"exporters": {"file": off}})
        runs("unwritten")
        kaizen_otel.flush(30.0)
        text = Path(name).read_text("utf-8")
        assert ("invoke_agent written" in text, "invoke_agent unwritten" in text) == (True, False)

    return check


def prometheus(asked: object) -> Callable[[], None]:
    def check() -> None:
        kaizen_otel.instrument()
        says({"exporters": {"prometheus": asked}})
        runs()
        assert "kaizen_agent_executions_total" in page()

    return check


def page(host: str = "localhost") -> str:
    port = telemetry().metrics.prometheus_port
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as answer:
        return str(answer.read(), "utf-8")


def prometheus_host() -> None:
    kaizen_otel.instrument()
    says({"exporters": {"prometheus": {"port": 0, "host": "127.0.0.2"}}})
    assert "target_info" in page("127.0.0.2")


def otlp(asked: object) -> Callable[[], None]:
    def check() -> None:
        with receiving() as (url, received), pytest.MonkeyPatch.context() as patch:
            # The providers are private here: the API takes a global one only once in a process.
            patch.setattr("opentelemetry.trace.set_tracer_provider", lambda _: None)
            patch.setattr("opentelemetry.metrics.set_meter_provider", lambda _: None)
            patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
            kaizen_otel.instrument(file="spans.jsonl", prometheus_port=0, config={"exporters": {"otlp": False}})
            runs("unseen")
            says({"exporters": {"otlp": asked}})
            runs("seen")
            kaizen_otel.record_evaluation("helpful", score=0.9)
            assert kaizen_otel.flush(30.0)
            assert [name for name in received.spans if name.startswith("invoke_agent")] == ["invoke_agent seen"]
            assert DURATION in received.metrics
            assert received.events == ["gen_ai.evaluation.result"]
            kaizen_otel.uninstrument()

    return check


EFFECTS: dict[str, Callable[..., None]] = {
    "exporters.console": console(on=True, off=False),
    "exporters.console.enabled": console(on={"enabled": True}, off={"enabled": False}),
    "exporters.console.width": console_width,
    "exporters.file": file(on=True, off=False, name="kaizen-otel.jsonl"),
    "exporters.file.enabled": file(on={"enabled": True}, off={"enabled": False}, name="kaizen-otel.jsonl"),
    "exporters.file.path": file(on={"path": "a.jsonl"}, off={"path": "b.jsonl"}, name="a.jsonl"),
    "exporters.prometheus.port": prometheus({"port": 0}),
    "exporters.prometheus.enabled": prometheus({"port": 0, "enabled": True}),
    "exporters.prometheus.host": prometheus_host,
    "exporters.otlp": otlp(asked=True),
    "exporters.otlp.enabled": otlp(asked={"enabled": True}),
}
