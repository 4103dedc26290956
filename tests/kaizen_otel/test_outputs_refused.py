"""Outputs that cannot be opened: an error that says what to change, and nothing left behind of the others."""

from __future__ import annotations

import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.metric_exporter import _EXPORTERS_LOGS, StoppableExporter
from kaizen_otel.patches.switch import active
from kaizen_otel.patches.table import PATCHER
from kaizen_processors.export import endings
from kaizen_processors.export.delivery import DeliveryQueue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GLOBAL = ("opentelemetry.trace.set_tracer_provider", "opentelemetry.metrics.set_meter_provider")


@pytest.fixture
def made_global(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """The providers that were made global."""
    made: list[object] = []
    for name in GLOBAL:
        monkeypatch.setattr(name, made.append)
    yield made
    kaizen_otel.uninstrument()


@pytest.fixture
def port() -> Iterator[int]:
    """A port that is free, and afterwards is free again."""
    with socket.create_server(("localhost", 0)) as server:
        free = int(server.getsockname()[1])
    yield free
    socket.create_server(("localhost", free)).close()


def left_of(before: set[threading.Thread]) -> set[str]:
    """Names of the threads that were begun since, and do not end."""
    begun = set(threading.enumerate()) - before
    for thread in begun:
        thread.join(10)
    return {thread.name for thread in begun if thread.is_alive()}


def filters() -> int:
    found = [one for name in _EXPORTERS_LOGS for one in logging.getLogger(name).filters]
    return sum(isinstance(getattr(one, "__self__", None), StoppableExporter) for one in found)


ENDPOINT = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"
INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({ENDPOINT: "http://localhost:1", INTERVAL: "0"}, f"{INTERVAL}: cannot be 0; allowed: milliseconds"),
        ({ENDPOINT: "http://[::1", PROTOCOL: "grpc"}, f"{ENDPOINT}, .*Invalid IPv6 URL; allowed: an address"),
        ({ENDPOINT: "collector:4318"}, f"{ENDPOINT}, .*not an http.*'collector:4318'; allowed: an address"),
    ],
)
def test_metrics_that_cannot_leave_by_otlp_are_served_nowhere_either(
    variables: dict[str, str], said: str, port: int, made_global: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    before = filters()
    with pytest.raises(kaizen_otel.SettingsError, match=said):
        kaizen_otel.instrument(prometheus_port=port)
    assert filters() == before
    assert made_global == []


def test_a_port_that_is_taken_leaves_no_file_no_thread_and_no_global_provider(
    tmp_path: Path, made_global: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:1/v1/traces")
    before = set(threading.enumerate())
    with socket.create_server(("localhost", 0)) as server, pytest.raises(kaizen_otel.SettingsError, match="listen"):
        kaizen_otel.instrument(
            prometheus_host="localhost", prometheus_port=server.getsockname()[1], file=tmp_path / "run.jsonl"
        )
    assert list(tmp_path.iterdir()) == []
    assert left_of(before) == set()
    assert made_global == []


@pytest.mark.parametrize("refused", ["file", "events", "spans"])
def test_what_is_refused_later_closes_the_endpoint_and_the_file(
    refused: str, port: int, tmp_path: Path, made_global: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(threading.enumerate())
    if refused != "file":
        signal = {"events": "LOGS", "spans": "TRACES"}[refused]
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "collector:4318")
    path = tmp_path if refused == "file" else tmp_path / "run.jsonl"
    with pytest.raises(kaizen_otel.SettingsError):
        kaizen_otel.instrument(prometheus_port=port, file=path, set_global=True)
    assert left_of(before) == set()
    assert made_global == []


@pytest.mark.parametrize("part", ["QualityDesk", "HostDesk", "SigtermFlush"])
@pytest.mark.parametrize("raised", [RuntimeError("can't start new thread"), KeyboardInterrupt()])
def test_a_part_that_cannot_begin_leaves_nothing_open_and_nothing_patched(
    part: str, raised: BaseException, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    before, patched, factory = set(threading.enumerate()), PATCHER.patched(), logging.getLogRecordFactory()
    monkeypatch.setattr(f"kaizen_otel.telemetry.{part}", fail)
    file, store = tmp_path / "run.jsonl", tmp_path / "runs.db"
    with pytest.raises(type(raised)):
        kaizen_otel.instrument(
            prometheus_port=port, file=file, store=store, log_correlation=True, flush_on_sigterm=True
        )
    assert left_of(before) == set()
    assert active() is None
    assert PATCHER.patched() == patched
    assert logging.getLogRecordFactory() is factory


def open_queues() -> set[DeliveryQueue[Any]]:
    return {one for one in endings._live if isinstance(one, DeliveryQueue) and not one.ended}


@pytest.mark.telemetry_fails
@pytest.mark.parametrize(("refused", "watched"), [("LOGS", True), ("LOGS", False), ("TRACES", True), ("TRACES", False)])
def test_spans_and_events_that_later_settings_export_leave_together_or_not_at_all(
    refused: str, watched: bool, tmp_path: Path, made_global: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1")
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{refused}_ENDPOINT", "collector:4318")
    file = tmp_path / "spans.jsonl" if watched else None
    kaizen_otel.instrument(config={"exporters": {"otlp": False}}, metrics=False, file=file)
    before = open_queues()
    telemetry = active()
    assert telemetry is not None
    telemetry.settings_desk.apply_kaizen_config({"exporters": {"otlp": True}})
    assert telemetry.settings.otlp is False
    assert telemetry.fence.counts() == {"settings:SettingsError": 1}
    assert kaizen_otel.stats()["delivery"] == {}
    assert kaizen_otel.stats()["export"] == ("own" if watched else "none")
    assert open_queues() == before
    assert made_global == []
