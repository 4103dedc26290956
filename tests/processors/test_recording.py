"""Histogram values that wait: none is lost, each keeps its labels and the trace it belongs to."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

import kaizen_otel.recorders
from kaizen_otel.recorders import Recorders
from kaizen_processors import recording
from kaizen_processors.fence import Fence
from kaizen_processors.recording import DeferredRecorder

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Measured:
    """A histogram, and what it was told."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.histogram = MeterProvider([self._reader]).get_meter("test").create_histogram("test.duration")

    def points(self) -> list[HistogramDataPoint]:
        data = self._reader.get_metrics_data()
        if data is None:
            return []
        points: Any = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
        return list(points)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeferredRecorder]:
    """A recorder whose own thread never gets to it."""
    monkeypatch.setattr(recording, "DRAIN_INTERVAL_S", 3_600.0)
    deferred = DeferredRecorder(Fence())
    yield deferred
    deferred.shutdown()


def test_what_waits_is_recorded_with_its_labels_and_its_trace(recorder: DeferredRecorder) -> None:
    measured = _Measured()
    span = TracerProvider().get_tracer("test").start_span("call")

    recorder.run(measured.histogram.record, 0.5, {"model": "gpt-4o"}, context=set_span_in_context(span))
    span.end()
    assert measured.points() == []

    recorder.drain()
    (point,) = measured.points()
    (exemplar,) = point.exemplars
    assert (point.count, point.sum, point.attributes) == (1, 0.5, {"model": "gpt-4o"})
    assert (exemplar.trace_id, exemplar.span_id) == (span.get_span_context().trace_id, span.get_span_context().span_id)


def test_the_caller_that_meets_a_full_queue_records_what_waits(
    recorder: DeferredRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MAX_WAITING", 2)
    measured = _Measured()

    for _ in range(2):
        recorder.run(measured.histogram.record, 1.0, {})
    assert measured.points() == []

    recorder.run(measured.histogram.record, 1.0, {})
    assert [point.count for point in measured.points()] == [3]


def test_a_recording_that_raises_is_counted_and_the_others_are_recorded() -> None:
    fence, measured = Fence(), _Measured()
    recorder = DeferredRecorder(fence)

    def refuse() -> None:
        raise RuntimeError("a view of the application's")

    recorder.run(measured.histogram.record, 1.0, {})
    recorder.run(refuse)
    recorder.run(measured.histogram.record, 1.0, {})
    recorder.shutdown()

    assert [point.count for point in measured.points()] == [2]
    assert fence.counts() == {"histogram.record:RuntimeError": 1}


def test_after_the_end_values_are_recorded_at_once(recorder: DeferredRecorder) -> None:
    measured = _Measured()
    recorder.shutdown()

    recorder.run(measured.histogram.record, 1.0, {})

    assert [point.count for point in measured.points()] == [1]


def test_the_recorders_own_thread_records_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "DRAIN_INTERVAL_S", 0.0)
    measured, recorder = _Measured(), DeferredRecorder(Fence())
    recorded = threading.Event()

    recorder.run(measured.histogram.record, 1.0, {})
    recorder.run(recorded.set)

    assert recorded.wait(30)
    assert [point.count for point in measured.points()] == [1]
    recorder.shutdown()


def test_a_forked_child_records_its_own_values_only_and_what_had_ended_stays_ended(recorder: DeferredRecorder) -> None:
    measured = _Measured()
    recorder.run(measured.histogram.record, 1.0, {})
    recorder.after_fork_in_child()
    recorder.drain()
    assert measured.points() == []

    recorder.shutdown()
    recorder.after_fork_in_child()
    recorder.run(measured.histogram.record, 1.0, {})
    assert [point.count for point in measured.points()] == [1]


def test_threads_that_ask_for_it_at_once_get_the_one_recorder_that_a_flush_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorders = Recorders(Fence(), deferred=False)
    monkeypatch.delattr(kaizen_otel.recorders, "DeferredRecorder")  # nobody makes one while agents run
    extent: Any = SimpleNamespace(deferred=True)
    measured = _Measured()
    recorders.of(extent).run(measured.histogram.record, 1.0, {})
    recorders.drain()
    assert [point.count for point in measured.points()] == [1]
    recorders.shutdown()
