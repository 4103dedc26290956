"""Metrics of forked processes: each says what it counted itself, under an identity of its own."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.faults.support import run
from tests.processors.delivery.backend import Backend
from tests.processors.delivery.grpc_backend import GrpcBackend

CHILDREN = 6


def counted(bodies: list[bytes]) -> dict[str, int]:
    """What each instance said last of the histogram."""
    found: dict[str, int] = {}
    for request in map(ExportMetricsServiceRequest.FromString, bodies):
        for resource in request.resource_metrics:
            said = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == "recorded":
                        (point,) = metric.histogram.data_points
                        found[said["service.instance.id"]] = point.count
    return found


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_forked_children_export_what_they_recorded_and_nothing_of_their_parents(protocol: str) -> None:
    backend = GrpcBackend() if protocol == "grpc" else Backend(keep=True)
    with backend:
        variables = {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": backend.url + ("" if protocol == "grpc" else "/v1/metrics"),
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=pod-7",
        }
        run("metric_forks", CHILDREN, variables=variables)
        found = counted(backend.bodies)
    assert found.pop("pod-7") == 1
    assert list(found.values()) == [1] * CHILDREN
