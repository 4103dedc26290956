"""Real backends for the length of the test session: built when this version is not in the cache, started, stopped.

Nothing is skipped: without Go, or when a backend does not start, the tests fail and say what to do.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import pytest

from tests.backends.builds import COLLECTOR_CONFIG, PROGRAMS, build
from tests.backends.demo import Totals, run_demo
from tests.backends.jaeger import JaegerClient
from tests.backends.processes import LOOPBACK, Backend, free_ports, running
from tests.backends.prometheus import PrometheusClient
from tests.backends.promtool import Promtool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HERE: Final = COLLECTOR_CONFIG.parent / "tests" / "backends"
COLLECTOR_CONFIGS: Final = (
    COLLECTOR_CONFIG / "otelcol" / "config.yaml",
    COLLECTOR_CONFIG / "prometheus" / "collector-remote-write.yaml",
    COLLECTOR_CONFIG / "prometheus" / "collector-otlp.yaml",
    _HERE / "every-route.yaml",
)
# The ways from the Collector to Prometheus.
ROUTES: Final = ("scrape", "remote-write", "otlp")
# A person waits 15 s for a scrape; a test does not.
_SHIPPED_SCRAPE_INTERVAL: Final = "scrape_interval: 15s"
_TESTED_SCRAPE_INTERVAL: Final = "scrape_interval: 1s"
_PROMETHEUS_FLAGS: Final = (
    "--web.enable-remote-write-receiver",
    "--web.enable-otlp-receiver",
    "--enable-feature=exemplar-storage",
)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus: its client, and the folder whose files name what it scrapes."""

    client: PrometheusClient
    targets: Path

    def scrape(self, kind: str, address: str) -> None:
        """Have it scrape `host:port` as a target of one of the shipped kinds, e.g. `applications`."""
        self.targets.joinpath(f"{kind}.yaml").write_text(f'- targets: ["{address}"]\n', encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Collector:
    """A running Collector, by its addresses."""

    backend: Backend
    otlp_http: str
    otlp_grpc: str


@dataclass(frozen=True, slots=True)
class Jaeger:
    """A running Jaeger: its client, and where it takes OTLP."""

    client: JaegerClient
    otlp_grpc: str


@pytest.fixture(scope="session", autouse=True)
def loopback_without_proxy() -> Iterator[None]:
    """A proxy that the machine uses for the world must not be asked for our own servers."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, f"{LOOPBACK},localhost")
        yield


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    """Prometheus' tool that checks and tests rules."""
    return Promtool(build(PROGRAMS["promtool"]))


@pytest.fixture(scope="session")
def otelcol_binary() -> Path:
    """The Collector's program."""
    return build(PROGRAMS["otelcol-kaizen"])


@pytest.fixture(scope="session")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    """Jaeger, run from the shipped configuration."""
    binary = build(PROGRAMS["jaeger"])
    folder = tmp_path_factory.mktemp("jaeger")
    health, query, query_grpc, grpc, http = (f"{LOOPBACK}:{port}" for port in free_ports(5))
    environment = {
        "JAEGER_HEALTH_ENDPOINT": health,
        "JAEGER_QUERY_ENDPOINT": query,
        "JAEGER_QUERY_GRPC_ENDPOINT": query_grpc,
        "JAEGER_GRPC_ENDPOINT": grpc,
        "JAEGER_HTTP_ENDPOINT": http,
    }
    command = [str(binary), "--config", str(COLLECTOR_CONFIG / "jaeger" / "config.yaml")]
    with running("jaeger", command, folder=folder, health=f"{health}/status", environment=environment):
        yield Jaeger(JaegerClient(query), grpc)


@pytest.fixture(scope="session")
def prometheuses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Prometheus]]:
    """One Prometheus at the end of each way from the Collector, so that no way's numbers hide another's."""
    binary = build(PROGRAMS["prometheus"])
    with ExitStack() as stack:
        yield {
            route: stack.enter_context(_running_prometheus(binary, tmp_path_factory.mktemp(f"prometheus-{route}")))
            for route in ROUTES
        }


@contextmanager
def _running_prometheus(binary: Path, folder: Path) -> Iterator[Prometheus]:
    """Prometheus from the shipped configuration, with no targets yet."""
    shipped = (COLLECTOR_CONFIG / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    assert _SHIPPED_SCRAPE_INTERVAL in shipped
    config = folder / "prometheus.yml"
    config.write_text(shipped.replace(_SHIPPED_SCRAPE_INTERVAL, _TESTED_SCRAPE_INTERVAL), encoding="utf-8")
    targets = folder / "targets"
    targets.mkdir()
    address = f"{LOOPBACK}:{free_ports(1)[0]}"
    command = [
        str(binary),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={address}",
        *_PROMETHEUS_FLAGS,
    ]
    with running(folder.name, command, folder=folder, health=f"{address}/-/ready"):
        yield Prometheus(PrometheusClient(address), targets)


@pytest.fixture(scope="session")
def collector(
    otelcol_binary: Path, jaeger: Jaeger, prometheuses: dict[str, Prometheus], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collector]:
    """The Collector, run from the shipped configurations, with every way to Prometheus at once."""
    health, grpc, http, page, telemetry = (f"{LOOPBACK}:{port}" for port in free_ports(5))
    telemetry_host, _, telemetry_port = telemetry.partition(":")
    environment = {
        "OTELCOL_HEALTH_ENDPOINT": health,
        "OTELCOL_GRPC_ENDPOINT": grpc,
        "OTELCOL_HTTP_ENDPOINT": http,
        "OTELCOL_PROMETHEUS_ENDPOINT": page,
        "OTELCOL_TELEMETRY_HOST": telemetry_host,
        "OTELCOL_TELEMETRY_PORT": telemetry_port,
        "JAEGER_OTLP_ENDPOINT": jaeger.otlp_grpc,
        "PROMETHEUS_REMOTE_WRITE_ENDPOINT": f"http://{prometheuses['remote-write'].client.address}/api/v1/write",
        "PROMETHEUS_OTLP_ENDPOINT": f"http://{prometheuses['otlp'].client.address}/api/v1/otlp/v1/metrics",
    }
    command = [str(otelcol_binary)]
    for config in COLLECTOR_CONFIGS:
        command += ["--config", str(config)]
    folder = tmp_path_factory.mktemp("otelcol")
    with running("otelcol", command, folder=folder, health=f"{health}/", environment=environment) as backend:
        prometheuses["scrape"].scrape("collector", page)
        prometheuses["scrape"].scrape("collector-telemetry", telemetry)
        yield Collector(backend, f"http://{http}", f"http://{grpc}")


@pytest.fixture(scope="session")
def scraping_prometheus(collector: Collector, prometheuses: dict[str, Prometheus]) -> Prometheus:
    """The Prometheus that scrapes: the Collector, and what a test adds."""
    collector.backend.check_alive()
    return prometheuses["scrape"]


@pytest.fixture(scope="session", params=ROUTES)
def prometheus(request: pytest.FixtureRequest, collector: Collector, prometheuses: dict[str, Prometheus]) -> Prometheus:
    """The Prometheus at the end of each way from the Collector: a test that uses it runs once per way."""
    collector.backend.check_alive()
    return prometheuses[request.param]


@pytest.fixture(scope="session")
def demo_service() -> str:
    """The demo's `service.name` in this session."""
    return f"demo-{uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def demo_totals(collector: Collector, demo_service: str) -> Totals:
    """One run of the demo into the Collector: what its ledger says."""
    return run_demo(collector.otlp_http, demo_service)
