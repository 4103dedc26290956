"""Our own metrics where a process forks: nothing of its parent's is a child's own, and a child can end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from kaizen_otel.own_metrics import MetricWay, OwnMetrics
from tests.processors.forking import needs_fork, run_forking

if TYPE_CHECKING:
    import pytest

ENDS_IN_A_CHILD = """
import os, signal, urllib.request
import kaizen_otel
kaizen_otel.instrument(prometheus_port=0)
port = kaizen_otel.stats()["prometheus_port"]
child = os.fork()
if child == 0:
    signal.alarm(10)
    there = kaizen_otel.stats()["prometheus_port"]
    kaizen_otel.uninstrument()
    os._exit(0 if there is None else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=10).status)
kaizen_otel.uninstrument()
"""

RECORDS_LATER = """
import os, tempfile
import kaizen_otel
from kaizen_otel.patches.switch import active
from kaizen_processors import recording
recording.DRAIN_INTERVAL_S = 3_600.0
kaizen_otel.instrument(store=tempfile.mkdtemp() + "/host.db", prometheus_port=0, deferred_histograms=True)
for value in range(3):
    active().metrics.recorders.usual.run(lambda: print(os.getpid() == parent, flush=True))
parent = os.getpid()
child = os.fork()
if child == 0:
    active().metrics.recorders.drain()
    os._exit(0)
os.waitpid(child, 0)
active().metrics.recorders.drain()
kaizen_otel.uninstrument()
"""


@needs_fork
def test_what_waits_at_a_fork_is_recorded_by_the_parent_alone() -> None:
    assert run_forking(RECORDS_LATER).split() == ["True"] * 3


@needs_fork
def test_a_child_can_uninstrument_and_its_parent_goes_on_serving() -> None:
    assert run_forking(ENDS_IN_A_CHILD).split() == ["0", "200"]


def test_what_had_ended_before_the_fork_stays_ended(caplog: pytest.LogCaptureFixture) -> None:
    own = OwnMetrics([MetricWay(InMemoryMetricReader())], Resource.get_empty(), 1.0)
    own.close()
    own.after_fork_in_child()
    own.close()
    assert not caplog.records


def test_a_child_asks_for_an_endpoint_of_its_own_at_another_address_only() -> None:
    closed: list[bool] = []
    server = SimpleNamespace(server_port=1, socket=SimpleNamespace(close=lambda: closed.append(True)))
    way = MetricWay(InMemoryMetricReader(), server=server, asked=("localhost", 9464))
    own = OwnMetrics([way], Resource.get_empty(), 1.0)
    assert own.serves(("localhost", 9465))
    own.after_fork_in_child()
    assert closed == [True]
    assert own.prometheus_port is None
    assert [own.serves(("localhost", port)) for port in (9464, 9465)] == [True, False]
    own.close()
