"""The metrics of a host, as one of its workers gives them."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client.parser import text_string_to_metric_families

import kaizen_otel
from kaizen_otel.patches.switch import active
from kaizen_otel.settings import SettingsError
from kaizen_processors.host_metrics import unpack
from kaizen_processors.host_metrics.reading import Kind
from kaizen_processors.host_metrics.shared import METRICS
from kaizen_processors.store import StoreError, StoreReader
from tests.examples.programs import environment
from tests.processors.forking import needs_fork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.demo.model_server import ModelServer
    from kaizen_otel.host_sum import HostMetrics
    from kaizen_otel.telemetry import Telemetry
    from kaizen_processors.store import Store

ROOT = Path(__file__).parents[2]

Samples = dict[tuple[str, ...], float]


@pytest.fixture(autouse=True)
def _end() -> Iterator[None]:
    yield
    kaizen_otel.uninstrument()


def run_agent(name: str = "qa", model: str = "gpt-4o") -> None:
    from kaizen.core.framework import Kaizen

    Kaizen().create_agent(name, {"model": model, "provider": "openai"}).execute(question="hi")


def telemetry() -> Telemetry:
    found = active()
    assert found is not None
    return found


def host() -> HostMetrics:
    found = telemetry().metrics.host
    assert found is not None
    return found


def store() -> Store:
    found = telemetry().performance.store
    assert found is not None
    return found


def samples(page: str) -> Samples:
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def executions(page: str, agent: str = "qa") -> float | None:
    return samples(page).get(
        (
            "kaizen_agent_executions_total",
            f"agent_name={agent}",
            "model=gpt-4o",
            "status=success",
        )
    )


def scrape(port: int | None) -> str:
    with urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("conventions", [41, 42])
def test_names_and_labels_are_those_of_the_official_exporter(
    conventions: int, kaizen_offline: ModelServer, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"prometheus_port": 0, "conventions": conventions, "environment": "test"}
    kaizen_otel.instrument(**given)
    run_agent()
    official = samples(scrape(telemetry().metrics.prometheus_port))
    kaizen_otel.uninstrument()

    kaizen_otel.instrument(**given, store=tmp_path / "desk.db")
    run_agent()
    ours = samples(scrape(telemetry().metrics.prometheus_port))

    assert len(kaizen_offline.requests) == 2
    assert {one for one in ours if one[0] != "target_info"} == {one for one in official if one[0] != "target_info"}
    same = {one for one in ours if not one[0].endswith("_sum") and "_bucket" not in one[0] and one[0] != "target_info"}
    assert {one: ours[one] for one in same} == {one: official[one] for one in same}


def test_what_the_host_is_says_nothing_of_one_process(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    kaizen_otel.instrument(host_metrics=True, store=tmp_path / "desk.db", service_name="desk")
    run_agent()

    (info,) = [one for one in samples(kaizen_otel.host_metrics()) if one[0] == "target_info"]
    assert len(kaizen_offline.requests) == 1
    assert "service_name=desk" in info
    assert not any(label.startswith(("service_instance_id", "process_")) for label in info)


def test_without_a_store_the_host_is_this_process(kaizen_offline: ModelServer) -> None:
    kaizen_otel.instrument(host_metrics=True)
    run_agent()

    assert len(kaizen_offline.requests) == 1
    assert executions(kaizen_otel.host_metrics()) == 1


def test_without_an_endpoint_or_a_wish_nothing_is_kept(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    assert kaizen_otel.host_metrics() == "# kaizen-otel: nothing is watched here\n"
    kaizen_otel.instrument(store=tmp_path / "desk.db")
    run_agent()

    assert len(kaizen_offline.requests) == 1
    assert telemetry().metrics.host is None
    assert kaizen_otel.host_metrics() == "# kaizen-otel: metrics are not kept for this; set host_metrics\n"


@pytest.mark.parametrize("deferred", [False, True], ids=["at once", "deferred"])
def test_the_applications_own_metrics_are_what_they_were(
    deferred: bool, kaizen_offline: ModelServer, tmp_path: Path
) -> None:
    reader = InMemoryMetricReader()
    kaizen_otel.instrument(
        meter_provider=MeterProvider([reader], shutdown_on_exit=False),
        prometheus_port=0,
        store=tmp_path / "desk.db",
        deferred_histograms=deferred,
    )
    run_agent()
    assert kaizen_otel.flush()

    data = reader.get_metrics_data()
    assert data is not None
    assert len(kaizen_offline.requests) == 1
    theirs = {
        metric.name: [getattr(point, "count", None) for point in metric.data.data_points]
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }
    assert theirs["kaizen.execution.duration"] == [1]
    assert theirs["gen_ai.client.token.usage"] == [1, 1]
    page = samples(scrape(telemetry().metrics.prometheus_port))
    assert page["kaizen_execution_duration_seconds_count", "agent_name=qa", "model=gpt-4o"] == 1
    assert sum(value for one, value in page.items() if one[0] == "gen_ai_client_token_usage_count") == 2


def test_an_instrumentation_goes_on_from_the_one_before(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    for runs in (1, 2, 3):
        kaizen_otel.instrument(host_metrics=True, store=path)
        run_agent()
        page = kaizen_otel.host_metrics()
        assert executions(page) == runs
        assert samples(page)["kaizen_execution_duration_seconds_count", "agent_name=qa", "model=gpt-4o"] == runs
        kaizen_otel.uninstrument()
    assert len(kaizen_offline.requests) == 3


PROGRAM = """
import sys
import kaizen_otel
from tests.examples.offline import lift_loopback_guard

with lift_loopback_guard(sys.argv[1]):
    kaizen_otel.instrument(host_metrics=True, store=sys.argv[2])
    from kaizen.core.framework import Kaizen
    agent = Kaizen().create_agent("qa", {"model": "gpt-4o", "provider": "openai"})
    agent.execute(question="hi")
    agent.execute(question="hi")
"""


def test_a_process_that_ends_leaves_what_it_counted_to_the_last(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    # It is over before the first tick.
    path = tmp_path / "desk.db"
    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", PROGRAM, kaizen_offline.url, str(path)],
        env=environment(tmp_path, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "kaizen-otel" not in ran.stderr, ran.stderr

    kaizen_otel.instrument(host_metrics=True, store=path)
    run_agent()

    assert executions(kaizen_otel.host_metrics()) == 3


FORKING = """
import os, sys
import kaizen_otel
from tests.examples.offline import lift_loopback_guard

with lift_loopback_guard(sys.argv[1]):
    kaizen_otel.instrument(host_metrics=True, store=sys.argv[2])
    from kaizen.core.framework import Kaizen
    agent = Kaizen().create_agent("qa", {"model": "gpt-4o", "provider": "openai"})
    agent.execute(question="hi")
    child = os.fork()
    if child == 0:
        agent.execute(question="hi")
        os._exit(0 if kaizen_otel.flush() else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    print(kaizen_otel.host_metrics())
"""


@needs_fork
def test_a_forked_child_counts_only_what_it_did_itself(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    # The SDK's histograms go over a fork with everything that the parent recorded.
    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, kaizen_offline.url, str(tmp_path / "d.db")],
        env=environment(tmp_path, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr

    assert executions(ran.stdout) == 2
    assert samples(ran.stdout)["kaizen_execution_duration_seconds_count", "agent_name=qa", "model=gpt-4o"] == 2


def test_what_is_shown_is_written_down_first(kaizen_offline: ModelServer, tmp_path: Path) -> None:
    # Killed in the next moment it would otherwise take back what a page has said: a counter that goes down.
    path = tmp_path / "desk.db"
    kaizen_otel.instrument(host_metrics=True, store=path)
    run_agent()
    page = kaizen_otel.host_metrics()
    with StoreReader(path) as reader:
        ((_, packed),), _ = reader.blobs(METRICS)

    assert len(kaizen_offline.requests) == 1
    stream = unpack(packed).streams["kaizen.agent.executions", Kind.COUNTER]
    assert list(stream.points.values()) == [1] == [executions(page)]


@pytest.mark.telemetry_fails
def test_what_cannot_be_written_is_not_shown(
    kaizen_offline: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kaizen_otel.instrument(host_metrics=True, store=tmp_path / "desk.db")
    run_agent()
    assert executions(kaizen_otel.host_metrics()) == 1
    with monkeypatch.context() as full:
        full.setattr(store(), "write_blob", _full)
        run_agent()
        assert executions(kaizen_otel.host_metrics()) == 1

    assert executions(kaizen_otel.host_metrics()) == 2
    assert len(kaizen_offline.requests) == 2
    assert telemetry().fence.counts() == {"host_metrics.tell:StoreError": 1}


def _full(_kind: str, _data: bytes) -> None:
    raise StoreError("full", "no room")


@pytest.mark.telemetry_fails
def test_while_the_store_cannot_be_read_the_last_known_holds(
    kaizen_offline: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "desk.db"
    kaizen_otel.instrument(host_metrics=True, store=path)
    run_agent()
    kaizen_otel.uninstrument()
    kaizen_otel.instrument(host_metrics=True, store=path)
    run_agent()
    assert executions(kaizen_otel.host_metrics()) == 2

    monkeypatch.setattr(store(), "blobs", _locked)
    run_agent()

    assert executions(kaizen_otel.host_metrics()) == 3
    assert len(kaizen_offline.requests) == 3
    assert telemetry().fence.counts() == {"host_metrics.read:StoreError": 1}


def _locked(_kind: str) -> Any:
    raise StoreError("locked", "another process has it")


def test_a_sum_that_was_never_known_is_not_served(
    kaizen_offline: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What one worker counted is less than what the host had: to Prometheus a counter that began anew.
    kaizen_otel.instrument(host_metrics=True, store=tmp_path / "desk.db")
    run_agent()
    monkeypatch.setattr(store(), "blobs", _locked)

    assert len(kaizen_offline.requests) == 1
    assert kaizen_otel.host_metrics() == "# kaizen-otel: the metrics of this host are not known: locked\n"


@pytest.mark.telemetry_fails
def test_damaged_figures_of_another_worker_are_left_out_and_counted(
    kaizen_offline: ModelServer, tmp_path: Path
) -> None:
    path = tmp_path / "desk.db"
    kaizen_otel.instrument(host_metrics=True, store=path)
    leaving = store()
    leaving.before_the_end(lambda: leaving.put_blob(METRICS, b"noise"))
    run_agent()
    kaizen_otel.uninstrument()

    kaizen_otel.instrument(host_metrics=True, store=path)
    run_agent()

    assert executions(kaizen_otel.host_metrics()) == 1
    assert len(kaizen_offline.requests) == 2
    assert telemetry().fence.counts().keys() == {"host_metrics.unpack:PackedError"}


def test_a_port_of_a_stranger_is_an_error_at_start_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        port = stranger.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
            kaizen_otel.instrument(prometheus_port=port, prometheus_host="127.0.0.1", store=tmp_path / "desk.db")
    assert active() is None


@pytest.mark.parametrize("stored", [True, False])
def test_a_port_that_only_a_preset_asks_for_costs_a_warning(
    stored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        port = stranger.getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", str(port))
        path = tmp_path / "desk.db" if stored else None
        kaizen_otel.instrument(preset="production", prometheus_host="127.0.0.1", store=path)
        assert kaizen_otel.stats()["prometheus_port"] is None
        assert f"cannot listen on 127.0.0.1:{port}" in caplog.text
    if stored:
        telemetry().performance.tick()
        assert kaizen_otel.stats()["prometheus_port"] == port


def test_prometheus_switched_on_by_kaizens_own_dictionary_serves_the_host(
    kaizen_offline: ModelServer, tmp_path: Path
) -> None:
    from kaizen.core.framework import Kaizen

    kaizen_otel.instrument(store=tmp_path / "desk.db")
    kaizen = Kaizen(config={"exporters": {"prometheus": {"port": 0}}})
    kaizen.create_agent("qa", {"model": "gpt-4o", "provider": "openai"}).execute(question="hi")

    assert len(kaizen_offline.requests) == 1
    assert executions(scrape(host().prometheus_port)) == 1


def test_the_end_does_not_wait_for_an_answer_that_a_signal_interrupted(
    kaizen_offline: ModelServer, tmp_path: Path
) -> None:
    kaizen_otel.instrument(host_metrics=True, store=tmp_path / "desk.db")
    run_agent()
    with host()._lock:  # as if this thread were in the middle of an answer
        kaizen_otel.uninstrument()

    assert len(kaizen_offline.requests) == 1
    assert active() is None
