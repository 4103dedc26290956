"""The one port of several workers: who listens, who lets a sibling listen, and who takes over."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from kaizen_otel.host_endpoint import HostEndpoint
from kaizen_otel.prometheus_text import Gathering, exposition
from kaizen_processors.fence import Fence
from kaizen_processors.host_metrics import Reading, to_metrics_data
from kaizen_processors.host_metrics.reading import Kind, Stream, labels_of
from kaizen_processors.store.database import StoreError
from tests.kaizen_otel.hosts.test_servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.metrics.export import MetricsData

STORE = "store-1"


def one_metric(value: int = 3) -> MetricsData:
    stream = Stream("kaizen.agent.executions", Kind.COUNTER, "{execution}", "Executions that ended.")
    stream.points[labels_of({"agent_name": "ann"})] = value
    return to_metrics_data(Reading(1, [stream]), Resource({}), InstrumentationScope("kaizen-otel"))


@pytest.fixture
def fence() -> Fence:
    return Fence()


@pytest.fixture
def endpoint(fence: Fence) -> Iterator[Callable[..., HostEndpoint]]:
    made: list[HostEndpoint] = []

    def make(port: int = 0, *, store: str = STORE, collector: Any = None, host: str = "127.0.0.1") -> HostEndpoint:
        made.append(HostEndpoint(host, port, collector or Gathering(one_metric), store, fence))
        return made[-1]

    yield make
    for one in made:
        one.close()


def scrape(port: int | None) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_it_serves_what_is_gathered_when_asked(endpoint: Callable[..., HostEndpoint]) -> None:
    values = iter([3, 5])
    one = endpoint(collector=Gathering(lambda: one_metric(next(values))))
    one.open()

    assert 'kaizen_agent_executions_total{agent_name="ann"} 3.0' in scrape(one.port)
    assert 'kaizen_agent_executions_total{agent_name="ann"} 5.0' in scrape(one.port)


def test_what_is_served_is_what_the_function_writes(endpoint: Callable[..., HostEndpoint]) -> None:
    one = endpoint()
    one.open()

    assert scrape(one.port) == exposition(one_metric())


def test_a_port_that_a_sibling_holds_is_fine(endpoint: Callable[..., HostEndpoint]) -> None:
    holder = endpoint()
    holder.open()
    other = endpoint(holder.port)

    other.open()

    assert other.port is None


def test_a_port_that_another_store_holds_is_an_error(endpoint: Callable[..., HostEndpoint]) -> None:
    holder = endpoint(store="store-2")
    holder.open()

    with pytest.raises(OSError, match="in use"):
        endpoint(holder.port).open()


def test_a_port_that_something_else_holds_is_an_error(endpoint: Callable[..., HostEndpoint]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]

        def hang_up() -> None:
            connection, _ = stranger.accept()
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(OSError, match="in use"):
            endpoint(port).open()
        thread.join()


def test_an_address_that_is_not_ours_is_an_error(endpoint: Callable[..., HostEndpoint]) -> None:
    with pytest.raises(OSError, match="assign requested address"):
        endpoint(free_port(), host="192.0.2.1").open()


def test_another_worker_listens_when_the_holder_is_gone(endpoint: Callable[..., HostEndpoint]) -> None:
    holder = endpoint()
    holder.open()
    port = holder.port
    other = endpoint(port, collector=Gathering(lambda: one_metric(7)))
    other.open()
    other.tick()
    assert other.port is None

    holder.close()
    other.tick()

    assert other.port == port
    assert 'kaizen_agent_executions_total{agent_name="ann"} 7.0' in scrape(port)


def test_one_that_was_closed_listens_no_more(endpoint: Callable[..., HostEndpoint]) -> None:
    one = endpoint()
    one.open()
    one.close()

    one.tick()

    assert one.port is None


def test_a_forked_child_lets_go_of_the_port(endpoint: Callable[..., HostEndpoint]) -> None:
    # What a fork copied is a socket that nobody here answers on: it would keep the port when the parent is gone.
    parent = endpoint()
    parent.open()
    port, server = parent.port, parent._server
    assert server is not None

    parent.after_fork_in_child()

    assert parent.port is None
    assert server.socket.fileno() == -1
    server.shutdown()
    with closing(socket.socket()) as probe:
        assert probe.connect_ex(("127.0.0.1", port or 0)) != 0


def test_scrapes_at_once_do_not_mix(endpoint: Callable[..., HostEndpoint]) -> None:
    one = endpoint()
    one.open()
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: scrape(one.port), range(40)))

    assert set(pages) == {exposition(one_metric())}


def test_what_cannot_be_known_is_an_answer_of_503(endpoint: Callable[..., HostEndpoint], fence: Fence) -> None:
    def gather() -> MetricsData:
        raise StoreError("locked", "not now")

    one = endpoint(collector=Gathering(gather))
    one.open()

    with pytest.raises(HTTPError, match="503") as refused:
        scrape(one.port)
    refused.value.close()

    assert fence.counts() == {"host_metrics.serve:StoreError": 1}
