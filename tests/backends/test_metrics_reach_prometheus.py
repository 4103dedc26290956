"""Metrics sent by OTLP go through the Collector into Prometheus, the same numbers and names by each of three ways."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from opentelemetry.metrics import Observation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import format_trace_id

from tests.backends.processes import BackendError, wait_for
from tests.backends.prometheus import ARRIVAL_TIMEOUT_S
from tests.backends.telemetry import meter_provider

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.metrics import CallbackOptions, Meter

    from tests.backends.conftest import Collector, Prometheus

COST_USD = 0.1 + 0.2  # not 0.3: every bit of the double has to arrive
AGENT = {"agent_name": "supervisor", "model": "gpt-4o"}


def record_everything(meter: Meter) -> None:
    """One of each kind of instrument in the table of metrics, with their units."""

    def executions(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(7, {**AGENT, "status": "success"})
        yield Observation(2, {**AGENT, "status": "error"})

    meter.create_observable_counter("kaizen.agent.executions", [executions], unit="{execution}")
    meter.create_observable_counter("kaizen.cost.usd", [lambda _: [Observation(COST_USD, AGENT)]], unit="{USD}")
    meter.create_observable_gauge(
        "kaizen.active_agents", [lambda _: [Observation(3, {"environment": "production"})]], unit="{agent}"
    )
    duration = meter.create_histogram(
        "kaizen.execution.duration", unit="s", explicit_bucket_boundaries_advisory=[0.1, 0.25, 0.5, 1, 2, 5, 10]
    )
    for seconds in (0.2, 0.3, 4.0):
        duration.record(seconds, AGENT)
    quality = meter.create_histogram("kaizen.quality.score", unit="1", explicit_bucket_boundaries_advisory=[0.5, 1])
    quality.record(0.75, {"agent_name": "supervisor", "evaluation": "structural"})


@pytest.fixture(scope="module")
def job(collector: Collector) -> str:
    """The `job` of metrics that were sent once, for every way."""
    service = f"hand-made-{uuid4().hex[:8]}"
    with meter_provider(collector.otlp_http, service) as provider:
        record_everything(provider.get_meter("hand"))
    return service


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("sum(kaizen_agent_executions_total{{{}}})", 9.0),
        ('kaizen_agent_executions_total{{{},status="error"}}', 2.0),
        ("kaizen_cost_usd_total{{{}}}", COST_USD),
        ("kaizen_active_agents{{{}}}", 3.0),
        ("kaizen_execution_duration_seconds_count{{{}}}", 3.0),
        ("kaizen_execution_duration_seconds_sum{{{}}}", 4.5),
        ('kaizen_execution_duration_seconds_bucket{{{},le="0.25"}}', 1.0),
        ('kaizen_execution_duration_seconds_bucket{{{},le="+Inf"}}', 3.0),
        ("kaizen_quality_score_sum{{{}}}", 0.75),
    ],
)
def test_each_number_arrives_under_its_prometheus_name(
    prometheus: Prometheus, job: str, expression: str, expected: float
) -> None:
    query = expression.format(f'job="{job}"')
    # Not the first answer: remote write brings the series of one export in several requests, in any order.
    prometheus.client.wait_for(query, until=lambda samples: [sample.value for sample in samples] == [expected])


def test_labels_are_the_attributes_and_whose_they_are(prometheus: Prometheus, job: str) -> None:
    matching = f'{{job="{job}"}}'
    prometheus.client.wait_for(f"kaizen_cost_usd_total{matching}")
    labels = prometheus.client.labels_of("kaizen_cost_usd_total", matching=matching)
    assert labels >= {"otel_scope_name"}
    assert {label for label in labels if not label.startswith("otel_scope_")} == {*AGENT, "job", "instance"}
    assert prometheus.client.query(f"kaizen_cost_usd_total{matching}")[0].labels["instance"] == f"{job}-1"


def test_no_name_besides_the_expected_ones_appears(prometheus: Prometheus, job: str) -> None:
    histograms = {
        f"{name}_{part}"
        for name in ("kaizen_execution_duration_seconds", "kaizen_quality_score")
        for part in ("bucket", "count", "sum")
    }
    counters = {"kaizen_agent_executions_total", "kaizen_cost_usd_total", "kaizen_active_agents"}
    expected = histograms | counters

    def names() -> set[str]:
        return prometheus.client.metric_names(f'{{job="{job}"}}') - {"target_info"}

    wait_for(lambda: names() >= expected, what="all names", timeout_s=ARRIVAL_TIMEOUT_S, explain=lambda: str(names()))
    assert names() == expected


def test_differences_become_running_totals(collector: Collector, prometheus: Prometheus) -> None:
    """An application set to delta temporality: Prometheus itself would refuse it."""
    service = f"delta-{uuid4().hex[:8]}"
    with meter_provider(collector.otlp_http, service, delta=True) as provider:
        counter = provider.get_meter("hand").create_counter("kaizen.test.calls")
        for _ in range(3):
            counter.add(2)
            provider.force_flush()
    matching = f'kaizen_test_calls_total{{job="{service}"}}'
    found = prometheus.client.wait_for(matching, until=lambda samples: [s.value for s in samples] == [6.0])
    assert len(found) == 1


def test_an_exemplar_leads_from_a_bucket_to_its_trace(collector: Collector, prometheus: Prometheus) -> None:
    service = f"exemplar-{uuid4().hex[:8]}"
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("hand")
    with meter_provider(collector.otlp_http, service) as provider:
        duration = provider.get_meter("hand").create_histogram("kaizen.execution.duration", unit="s")
        with tracer.start_as_current_span("slow") as span:
            duration.record(4.0, AGENT)
    series = f'kaizen_execution_duration_seconds_bucket{{job="{service}"}}'
    exemplars = wait_for(
        lambda: prometheus.client.exemplars(series) or None, what="an exemplar", timeout_s=ARRIVAL_TIMEOUT_S
    )
    assert [exemplar.value for exemplar in exemplars] == [4.0]
    assert exemplars[0].labels["trace_id"] == format_trace_id(span.get_span_context().trace_id)


def test_the_collector_refused_and_lost_nothing(scraping_prometheus: Prometheus, job: str) -> None:
    """Its own figures, as Prometheus scraped them after the metrics of `job` were sent."""
    del job
    client = scraping_prometheus.client
    client.wait_for("sum(otelcol_receiver_accepted_metric_points) > 0")
    trouble = '{__name__=~"otelcol_.*_(refused|failed|send_failed|enqueue_failed)_.*"}'
    assert "otelcol_receiver_refused_metric_points" in {sample.name for sample in client.query(trouble)}
    assert client.query(f"{trouble} > 0") == []


def test_a_question_with_several_answers_is_no_scalar(prometheus: Prometheus, job: str) -> None:
    both = f'kaizen_agent_executions_total{{job="{job}"}}'
    prometheus.client.wait_for(both, until=lambda samples: len(samples) == 2)
    with pytest.raises(BackendError, match="gave 2 series"):
        prometheus.client.scalar(both)
