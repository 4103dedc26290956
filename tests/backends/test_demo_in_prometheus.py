"""The demo's metrics in Prometheus: names, labels and values, by each of the four ways that lead there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from kaizen_otel import Settings
from kaizen_semconv import metrics as definitions
from tests.backends.builds import COLLECTOR_CONFIG
from tests.backends.conftest import ROUTES
from tests.backends.demo import scraped_demo
from tests.backends.processes import LOOPBACK, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kaizen_semconv.metrics import MetricDefinition
    from tests.backends.conftest import Collector, Prometheus
    from tests.backends.demo import Totals
    from tests.backends.prometheus import PrometheusClient, Sample

DOCUMENT: Final = (COLLECTOR_CONFIG.parent / "docs" / "backends.md").read_text(encoding="utf-8")
RELATIVE_TOLERANCE: Final = 1e-9
DIRECT: Final = "application"
PUSHING_ROUTES: Final = tuple(route for route in ROUTES if route != "scrape")
DEFAULT_CONVENTIONS: Final = Settings().conventions

# OTel's name -> Prometheus' name. Written out: this is the contract with everybody's dashboards.
COUNTERS_AND_GAUGES: Final = {
    "kaizen.agent.executions": "kaizen_agent_executions_total",
    "kaizen.tokens.consumed": "kaizen_tokens_consumed_total",
    "kaizen.cost.usd": "kaizen_cost_usd_total",
    "kaizen.usage.missing": "kaizen_usage_missing_total",
    "kaizen.active_agents": "kaizen_active_agents",
}
HISTOGRAMS: Final = {
    "kaizen.execution.duration": "kaizen_execution_duration_seconds",
    "kaizen.quality.score": "kaizen_quality_score",
    "gen_ai.client.operation.duration": "gen_ai_client_operation_duration_seconds",
    "gen_ai.client.token.usage": "gen_ai_client_token_usage",
    "gen_ai.invoke_agent.duration": "gen_ai_invoke_agent_duration_seconds",
    "gen_ai.invoke_workflow.duration": "gen_ai_invoke_workflow_duration_seconds",
    "gen_ai.execute_tool.duration": "gen_ai_execute_tool_duration_seconds",
    "mcp.client.operation.duration": "mcp_client_operation_duration_seconds",
}
# About telemetry itself: each is there where it has something to say.
ABOUT_TELEMETRY: Final = {
    "kaizen.telemetry.dropped": "kaizen_telemetry_dropped_total",
    "kaizen.telemetry.spooled": "kaizen_telemetry_spooled_total",
    "kaizen.telemetry.replayed": "kaizen_telemetry_replayed_total",
    "kaizen.telemetry.retries": "kaizen_telemetry_retries_total",
    "kaizen.telemetry.queue.usage": "kaizen_telemetry_queue_usage_bytes",
    "kaizen.telemetry.queue.limit": "kaizen_telemetry_queue_limit_bytes",
    "kaizen.telemetry.spool.usage": "kaizen_telemetry_spool_usage_bytes",
    "kaizen.telemetry.spool.limit": "kaizen_telemetry_spool_limit_bytes",
    "kaizen.telemetry.failures": "kaizen_telemetry_failures_total",
    "kaizen.telemetry.disabled_observers": "kaizen_telemetry_disabled_observers",
    "otel.sdk.exporter.span.exported": "otel_sdk_exporter_span_exported_total",
    "otel.sdk.exporter.log.exported": "otel_sdk_exporter_log_exported_total",
    "otel.sdk.exporter.metric_data_point.exported": "otel_sdk_exporter_metric_data_point_exported_total",
    "otel.sdk.processor.span.queue.size": "otel_sdk_processor_span_queue_size",
    "otel.sdk.processor.log.queue.size": "otel_sdk_processor_log_queue_size",
}
# What the demo does not do: its MCP server is another process, without us.
ELSEWHERE: Final = {"mcp.server.operation.duration"}
# The labels of the contract, exactly these.
LABELS: Final = {
    "kaizen_agent_executions_total": {"agent_name", "model", "status"},
    "kaizen_tokens_consumed_total": {"agent_name", "model", "token_type"},
    "kaizen_cost_usd_total": {"agent_name", "model"},
    "kaizen_usage_missing_total": {"model", "reason"},
    "kaizen_active_agents": {"environment"},
    "kaizen_execution_duration_seconds_count": {"agent_name", "model"},
    "kaizen_quality_score_count": {"agent_name", "evaluation"},
}
# Added by the ways themselves, or by Prometheus.
ADDED_LABELS: Final = {"job", "instance", "le"}
CONTRACT_EDGES_S: Final = ("0.1", "0.25", "0.5", "1.0", "2.0", "5.0", "10.0", "20.0", "30.0", "60.0", "120.0", "300.0")


@dataclass(frozen=True, slots=True)
class Shown:
    """One run of the demo as one Prometheus has it, and what the ledger of that run says."""

    client: PrometheusClient
    matching: str
    ledger: Totals

    def eventually(self, metric: str, labels: tuple[str, ...], expected: Mapping[Any, float]) -> None:
        """Assert a metric's series and values; the last export or scrape may still be on its way."""

        def matches(samples: list[Sample]) -> bool:
            found = {tuple(sample.labels[label] for label in labels): sample.value for sample in samples}
            return len(found) == len(samples) and found == pytest.approx(dict(expected), rel=RELATIVE_TOLERANCE, abs=0)

        self.client.wait_for(f"{metric}{{{self.matching}}}", until=matches)


@pytest.fixture(scope="module")
def scraped(
    prometheuses: dict[str, Prometheus], collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shown]:
    """A demo whose own endpoint is scraped."""
    del collector  # it names its own targets first
    port = free_ports(1)[0]
    with scraped_demo(tmp_path_factory.mktemp("scraped-demo"), port) as ledger:
        prometheus = prometheuses["scrape"]
        prometheus.scrape("applications", f"{LOOPBACK}:{port}")
        yield Shown(prometheus.client, f'job="kaizen",instance="{LOOPBACK}:{port}"', ledger)


@pytest.fixture(scope="module", params=[*ROUTES, DIRECT])
def shown(request: pytest.FixtureRequest, prometheuses: dict[str, Prometheus]) -> Shown:
    """The demo at the end of each way: a test that uses it runs once per way."""
    if request.param == DIRECT:
        direct: Shown = request.getfixturevalue("scraped")
        return direct
    ledger: Totals = request.getfixturevalue("demo_totals")
    service: str = request.getfixturevalue("demo_service")
    return Shown(prometheuses[request.param].client, f'job="{service}"', ledger)


def test_executions_are_the_ledgers(shown: Shown) -> None:
    expected = {key: float(count) for key, count in shown.ledger.executions.items()}
    shown.eventually("kaizen_agent_executions_total", ("agent_name", "model", "status"), expected)


def test_tokens_are_the_ledgers(shown: Shown) -> None:
    expected: dict[tuple[str, ...], float] = {}
    for key, row in shown.ledger.calls.items():
        expected[*key, "input"] = row.input_tokens
        expected[*key, "output"] = row.output_tokens
    assert sum(expected.values()) > 0
    shown.eventually("kaizen_tokens_consumed_total", ("agent_name", "model", "token_type"), expected)


def test_cost_is_the_ledgers(shown: Shown) -> None:
    expected = {key: float(row.cost_usd) for key, row in shown.ledger.calls.items()}
    assert sum(expected.values()) > 0
    shown.eventually("kaizen_cost_usd_total", ("agent_name", "model"), expected)


def test_calls_of_unknown_cost_are_the_ledgers(shown: Shown) -> None:
    expected = {key: float(count) for key, count in shown.ledger.missing.items()}
    assert expected
    shown.eventually("kaizen_usage_missing_total", ("model", "reason"), expected)


def test_every_agent_that_ran_is_active(shown: Shown) -> None:
    agents = {agent for agent, _, _ in shown.ledger.executions}
    shown.eventually("kaizen_active_agents", (), {(): float(len(agents))})


def test_each_execution_has_a_duration(shown: Shown) -> None:
    expected: dict[tuple[str, ...], float] = {}
    for (agent, model, _), count in shown.ledger.executions.items():
        expected[agent, model] = expected.get((agent, model), 0) + count
    shown.eventually("kaizen_execution_duration_seconds_count", ("agent_name", "model"), expected)


def test_every_metric_of_the_contract_is_there_and_nothing_else_of_ours(shown: Shown) -> None:
    shown.client.wait_for(f"kaizen_cost_usd_total{{{shown.matching}}}")
    parts = {f"{name}_{part}" for name in HISTOGRAMS.values() for part in ("bucket", "count", "sum")}
    found = shown.client.metric_names(f"{{{shown.matching}}}")
    ours = {name for name in found if name.startswith(("kaizen_", "gen_ai_", "mcp_"))}
    assert ours - set(ABOUT_TELEMETRY.values()) == parts | set(COUNTERS_AND_GAUGES.values())


@pytest.mark.parametrize("route", ROUTES)
def test_what_became_of_the_telemetry_itself_arrives_with_it(
    route: str, demo_totals: Totals, demo_service: str, prometheuses: dict[str, Prometheus]
) -> None:
    client, matching = prometheuses[route].client, f'job="{demo_service}"'
    client.wait_for(f"kaizen_telemetry_queue_limit_bytes{{{matching}}}")
    found = {name for name in client.metric_names(f"{{{matching}}}") if name.startswith(("kaizen_telemetry_", "otel_"))}
    assert found <= set(ABOUT_TELEMETRY.values())
    (limit,) = client.query(f'kaizen_telemetry_queue_limit_bytes{{{matching},signal="traces"}}')
    assert limit.value == 16 * 1024 * 1024
    # Nothing is lost on the way to a Collector that is there.
    assert client.query(f"kaizen_telemetry_dropped_total{{{matching}}} > 0") == []
    assert client.query(f"otel_sdk_exporter_span_exported_total{{{matching}}} > 0")
    assert demo_totals.delivered


def test_the_tables_above_have_every_registered_metric_of_the_default_conventions() -> None:
    default = {definition.name for definition in registered() if DEFAULT_CONVENTIONS in definition.versions}
    assert default == COUNTERS_AND_GAUGES.keys() | HISTOGRAMS.keys() | ABOUT_TELEMETRY.keys() | ELSEWHERE


@pytest.mark.parametrize("metric", LABELS)
def test_labels_are_those_of_the_contract(shown: Shown, metric: str) -> None:
    shown.client.wait_for(f"{metric}{{{shown.matching}}}")
    labels = shown.client.labels_of(metric, matching=f"{{{shown.matching}}}")
    assert {label for label in labels if not label.startswith("otel_scope_")} - ADDED_LABELS == LABELS[metric]


@pytest.mark.parametrize("name", [name for name in HISTOGRAMS if name.startswith("gen_ai.")])
def test_labels_of_the_conventions_metrics_are_registered_ones(shown: Shown, name: str) -> None:
    count = f"{HISTOGRAMS[name]}_count"
    shown.client.wait_for(f"{count}{{{shown.matching}}}")
    labels = shown.client.labels_of(count, matching=f"{{{shown.matching}}}")
    allowed = {attribute.replace(".", "_") for attribute in definition_of(name).attributes}
    assert {label for label in labels if not label.startswith("otel_scope_")} - ADDED_LABELS <= allowed
    assert labels & allowed


def test_durations_are_counted_at_the_edges_that_alert_rules_use(shown: Shown) -> None:
    bucket = f"kaizen_execution_duration_seconds_bucket{{{shown.matching}}}"
    edges = {float(sample.labels["le"]) for sample in shown.client.wait_for(bucket)}
    assert {float(edge) for edge in CONTRACT_EDGES_S} <= edges


def test_no_label_names_a_user_a_session_or_a_run(shown: Shown) -> None:
    samples = shown.client.wait_for(f'{{{shown.matching},__name__=~"(kaizen|gen_ai)_.*"}}')
    values = {value for sample in samples for label, value in sample.labels.items() if label not in ADDED_LABELS}
    assert values.isdisjoint({"ada", "grace", "alan", "web-1", "app-7", "web-2", *shown.ledger.traces})


@pytest.mark.parametrize("route", PUSHING_ROUTES)
def test_exemplars_of_durations_lead_to_traces(
    route: str, demo_totals: Totals, demo_service: str, prometheuses: dict[str, Prometheus]
) -> None:
    """Not by scrape: a process that ends exports once more, without exemplars, before the page is scraped."""
    client = prometheuses[route].client
    series = f'kaizen_execution_duration_seconds_bucket{{job="{demo_service}"}}'
    client.wait_for(series)
    assert {exemplar.labels["trace_id"] for exemplar in client.exemplars(series)} == set(demo_totals.traces)


@pytest.mark.parametrize("question", re.findall(r"^\| [^|]+ \| `([^`]*kaizen_[^`]*)` \|$", DOCUMENT, re.MULTILINE))
def test_questions_of_the_document_are_answered(question: str, shown: Shown) -> None:
    """Each with the name of a metric that exists; those without a rate, which needs more samples, have an answer."""
    named = set(re.findall(r"kaizen_\w+", question))
    for name in named:
        shown.client.wait_for(f"{name}{{{shown.matching}}}")
    answer = shown.client.query(question)
    assert answer or "rate(" in question


def test_the_document_has_questions() -> None:
    assert len(re.findall(r"^\| .* \| `.*kaizen_.*` \|$", DOCUMENT, re.MULTILINE)) >= 6


def definition_of(name: str) -> MetricDefinition:
    return next(definition for definition in registered() if definition.name == name)


def registered() -> list[MetricDefinition]:
    return [value for value in vars(definitions).values() if isinstance(value, definitions.MetricDefinition)]
