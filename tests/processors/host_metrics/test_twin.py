"""Two sets of instruments as one."""

from __future__ import annotations

import pytest
from opentelemetry.metrics import Histogram, NoOpMeter

from kaizen_otel.testing.deterministic import SteppingClock
from kaizen_processors.host_metrics.twin import TwinInstruments
from kaizen_processors.meters import Instruments
from tests.processors.host_metrics.workers import Worker

HISTOGRAMS = sorted(
    name for name, one in vars(Instruments(NoOpMeter("kaizen-otel"))).items() if isinstance(one, Histogram)
)


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_each_value_is_recorded_with_both(name: str) -> None:
    one, other = Worker(SteppingClock()), Worker(SteppingClock())
    twin = TwinInstruments(one.instruments, other.instruments)

    getattr(twin, name).record(0.5, {"agent_name": "ann"}, None)

    for worker in (one, other):
        (stream,) = [stream for stream in worker.read().streams.values() if stream.kind == "histogram"]
        (point,) = stream.points.values()
        assert (sum(point.counts), float(point.total)) == (1, 0.5)


def test_every_histogram_is_declared() -> None:
    assert sorted(TwinInstruments.__annotations__) == HISTOGRAMS


@pytest.mark.parametrize("client", sorted(Instruments(NoOpMeter("kaizen-otel"), 42).client))
def test_client_metrics_are_recorded_with_both(client: str) -> None:
    one, other = (Worker(SteppingClock(), conventions=42) for _ in range(2))
    twin = TwinInstruments(one.instruments, other.instruments)

    twin.client[client](3, {"gen_ai.request.model": "m"}, None)

    for worker in (one, other):
        (stream,) = [stream for stream in worker.read().streams.values() if stream.name == client]
        assert len(stream.points) == 1
