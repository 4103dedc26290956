"""The committed dashboards: their panels, Grafana's own types, and ten minutes of demos for their queries."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import urllib3
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from kaizen_semconv import metrics as definitions
from tests.backends.builds import COLLECTOR_CONFIG, cache_dir
from tests.backends.demo import Totals, run_demo
from tests.backends.processes import LOOPBACK, BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint

GRAFANA: Final = COLLECTOR_CONFIG / "grafana"
OVERVIEW: Final = GRAFANA / "overview.json"
STEP_S: Final = 15
STEPS: Final = 40
RANGE_S: Final = STEP_S * STEPS
_NS: Final = 1_000_000_000
_CHECK: Final = GRAFANA / "check"


@dataclass(frozen=True, slots=True)
class Shown:
    """One query of one panel."""

    title: str
    kind: str
    query: str


def queries(dashboard: Path = OVERVIEW) -> list[Shown]:
    """Every query of every panel."""
    model: dict[str, Any] = json.loads(dashboard.read_text(encoding="utf-8"))
    return [
        Shown(panel["title"], panel["type"], target["expr"])
        for panel in model["panels"]
        for target in panel.get("targets", ())
    ]


def with_variables(query: str, job: str, budget: float) -> str:
    """A query as Grafana sends it, with everything chosen, for one service."""
    values = {
        "$__rate_interval": f"{4 * STEP_S}s",
        "$__range": f"{RANGE_S}s",
        "$job": job,
        "$agent": ".*",
        "$model": ".*",
        "$budget": str(budget),
    }
    for name, value in values.items():
        query = query.replace(name, value)
    if "$" in query:
        raise ValueError(f"an unknown variable: {query}")
    return query


# -- Grafana's own types -----------------------------------------------------------------------------------------------


def type_errors(model: dict[str, Any], folder: Path) -> str:
    """What the TypeScript compiler says of a dashboard, by the types of `@grafana/schema`; empty when it is sound."""
    tools = _type_checker()
    shutil.copy(_CHECK / "plain.ts", folder)
    (folder / "node_modules").unlink(missing_ok=True)
    (folder / "node_modules").symlink_to(tools / "node_modules")
    program = folder / "dashboard.ts"
    program.write_text(
        "import type { Dashboard } from '@grafana/schema';\n"
        "import type { Plain } from './plain.ts';\n"
        f"export const dashboard: Plain<Dashboard> = {json.dumps(model, indent=1)};\n",
        encoding="utf-8",
    )
    modules = ["--module", "nodenext", "--moduleResolution", "nodenext", "--target", "es2022"]
    flags = ["--noEmit", "--ignoreConfig", "--skipLibCheck", "--strict", "--allowImportingTsExtensions", *modules]
    command = [str(tools / "node_modules" / ".bin" / "tsc"), *flags, str(program)]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 -- our own
    if answer.returncode and "error TS" not in answer.stdout:
        raise BackendError(f"tsc did not run: {answer.stdout}{answer.stderr}")
    return answer.stdout


def _type_checker() -> Path:
    """The compiler and Grafana's types, installed once for each lock file."""
    lock = (_CHECK / "package-lock.json").read_bytes()
    folder = cache_dir() / f"grafana-types-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not (folder / "installed").exists():
        npm = shutil.which("npm")
        if npm is None:
            raise BackendError("npm is missing: on Debian, apt-get install npm")
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(_CHECK / name, folder)
        answer = subprocess.run(  # noqa: S603 -- our own lock file
            [npm, "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, check=False
        )
        if answer.returncode:
            raise BackendError(f"npm ci failed: {answer.stderr}")
        (folder / "installed").touch()
    return folder


# -- ten minutes in which the demo ran forty times ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class History:
    """What was written: a whole run of the demo every 15 s, and what one run came to."""

    job: str
    ledger: Totals
    metrics: dict[str, Metric]
    end_s: float


def history(otlp_url: str, job: str, end_s: float) -> History:
    """Write ten minutes that end at `end_s` into a Prometheus: the demo's own metrics, multiplied."""
    request, ledger = _metrics_of_a_demo(job)
    http = urllib3.PoolManager()
    for run in range(STEPS + 1):
        at_ns = int((end_s - (STEPS - run) * STEP_S) * _NS)
        answer = http.request(
            "POST",
            f"{otlp_url}/v1/metrics",
            body=_multiplied(request, run, at_ns).SerializeToString(),
            headers={"content-type": "application/x-protobuf"},
        )
        if answer.status >= 300:
            raise BackendError(f"Prometheus answered {answer.status}: {answer.data!r}")
    return History(job, ledger, {metric.name: metric for metric in _metrics(request)}, end_s)


def _metrics_of_a_demo(job: str) -> tuple[ExportMetricsServiceRequest, Totals]:
    bodies: list[bytes] = []
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/metrics":
                bodies.append(body)
            # The first spans are asked for again: the demo has something to say of its delivery.
            busy = self.path == "/v1/traces" and self.path not in seen
            seen.append(self.path)
            self.send_response(503 if busy else 200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Stay silent."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        ledger = run_demo(f"http://{LOOPBACK}:{server.server_port}", job)
        server.shutdown()
    request = ExportMetricsServiceRequest.FromString(bodies[-1])
    _add_a_loss(request)
    return request, ledger


def _add_a_loss(request: ExportMetricsServiceRequest) -> None:
    """What a run would say that had lost three spans: the demo loses none, and then there is no such series."""
    lost = request.resource_metrics[0].scope_metrics[0].metrics.add()
    lost.name = definitions.KAIZEN_TELEMETRY_DROPPED.name
    lost.unit = definitions.KAIZEN_TELEMETRY_DROPPED.unit
    lost.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    lost.sum.is_monotonic = True
    point = lost.sum.data_points.add()
    point.as_int = 3
    for key, value in (("signal", "traces"), ("error.type", "queue_full")):
        attribute = point.attributes.add()
        attribute.key, attribute.value.string_value = key, value


def _multiplied(request: ExportMetricsServiceRequest, times: int, at_ns: int) -> ExportMetricsServiceRequest:
    """The metrics as they would be after so many runs; a gauge stays what it is."""
    made = ExportMetricsServiceRequest()
    made.CopyFrom(request)
    for metric in _metrics(made):
        for number in metric.sum.data_points:
            _multiply_number(number, times)
        for histogram in metric.histogram.data_points:
            _multiply_histogram(histogram, times)
        for point in (*metric.sum.data_points, *metric.gauge.data_points, *metric.histogram.data_points):
            point.time_unix_nano = at_ns
            point.start_time_unix_nano = 0
    return made


def _multiply_number(point: NumberDataPoint, times: int) -> None:
    if point.HasField("as_int"):
        point.as_int *= times
    else:
        point.as_double *= times


def _multiply_histogram(point: HistogramDataPoint, times: int) -> None:
    point.count *= times
    point.sum *= times
    point.bucket_counts[:] = [count * times for count in point.bucket_counts]
    del point.exemplars[:]


def _metrics(request: ExportMetricsServiceRequest) -> Iterator[Metric]:
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics
