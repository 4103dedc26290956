"""Our own meter provider, and its end: the last metrics leave in time, or are given up."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.sdk.metrics import MeterProvider

from kaizen_otel.forked_providers import begin_sums_anew
from kaizen_processors.export.endings import end_with_process, time_left_s
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.saying import say
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource

    from kaizen_otel.metric_exporter import StoppableExporter

_logger = logging.getLogger("kaizen_otel")

_LAST_MOMENT_S: Final = 0.05


class MetricWay(NamedTuple):
    """A way by which metrics leave: what collects, and the exporter that it pushes to, or the server that serves it."""

    reader: MetricReader
    exporter: StoppableExporter | None = None
    server: Any = None
    asked: tuple[str, int] | None = None  # host and port that the server was to have

    def close(self) -> None:
        """Stop what no provider has yet."""
        if self.exporter is not None:
            self.exporter.end()
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()


class OwnMetrics:
    """A private meter provider, and the ways by which its metrics leave: at most one of each kind.

    The SDK's provider waits up to 30 s at the interpreter's exit, retries included, so this ends it instead.

    Args:
        ways: the first ones.
        resource: what this process is.
        exit_timeout_s: longest time that the end waits.
    """

    def __init__(self, ways: Sequence[MetricWay], resource: Resource, exit_timeout_s: float) -> None:
        """Make the provider."""
        first = [way.reader for way in ways]
        self.provider = MeterProvider(first, resource=resource, shutdown_on_exit=False)
        self._readers = first
        self._added: list[MetricReader] = []  # the provider (SDK 1.43 to 1.45) flushes and ends only its first ones
        self._exporter: StoppableExporter | None = None
        self._exit_timeout_s = exit_timeout_s
        self._server: Any = None
        self._asked: tuple[str, int] | None = None
        self._done = False
        self._begin()
        begin_anew_in_children(self)
        for way in ways:
            self._hold(way)

    def add(self, way: MetricWay) -> None:
        """Let metrics leave this way, too, from now on."""
        self.provider.add_metric_reader(way.reader)
        self._added.append(way.reader)
        self._hold(way)

    def _hold(self, way: MetricWay) -> None:
        if way.server is not None:
            self._server, self._asked = way.server, way.asked
        if way.exporter is not None:
            self._exporter = way.exporter
            end_with_process(self)

    @property
    def pushes(self) -> bool:
        """Whether metrics are exported by themselves, and not only served."""
        return self._exporter is not None

    def after_fork_in_child(self) -> None:
        """Count from nothing: what the parent counted is the parent's to export. Forget the thread of its end.

        The endpoint is the parent's, too, whose thread serves it. What had ended stays ended.
        """
        begin_sums_anew(self.provider, [*self._readers, *self._added])
        self._begin()
        server, self._server = self._server, None
        if server is not None:
            server.socket.close()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._last: threading.Thread | None = None

    @property
    def exporter(self) -> StoppableExporter | None:
        """The way out of the reader that pushes; None where Prometheus fetches."""
        return self._exporter

    @property
    def prometheus_port(self) -> int | None:
        """The port that the endpoint really listens on; None in a forked child, which serves nothing itself."""
        return None if self._server is None else int(self._server.server_port)

    def serves(self, asked: tuple[str, int]) -> bool:
        """Whether metrics are served; where the parent of this process does so, only at the address asked for."""
        return self._server is not None or self._asked == asked

    def flush(self, timeout_s: float) -> bool:
        """Collect and export now; True only when the backend took it within `timeout_s` seconds."""
        exporter = self._exporter
        if exporter is None:
            return True  # Prometheus fetches
        failed = exporter.failed
        collected = threading.Event()

        def collect() -> None:
            with _said_low("flushed"):
                self.provider.force_flush(timeout_s * 1_000)
                for reader in self._added:
                    reader.force_flush(timeout_s * 1_000)
                collected.set()

        thread = _begun(collect, "kaizen-otel-metrics-flush")
        if thread is not None:
            thread.join(timeout_s)
        return collected.is_set() and exporter.failed == failed

    def hasten(self) -> None:
        """Begin the last collection and its export, without waiting for it."""
        with self._lock:
            if self._last is None and not self._done and self._exporter is not None:
                self._exporter.begin_end()
                self._last = _begun(self._collect_last, "kaizen-otel-metrics-end")

    def shutdown(self, timeout_s: float | None = None) -> bool:
        """Collect and export a last time, and stop: within `timeout_s` seconds, by default as the settings say.

        Returns:
            True when the backend took it.
        """
        limit_s = time_left_s(self._exit_timeout_s if timeout_s is None else timeout_s, self._exit_timeout_s)
        deadline_s = time.monotonic() + limit_s
        self.hasten()
        with self._lock:
            if self._done:
                return True
            self._done = True
        in_time = True
        if self._last is None:  # nothing to push, or no thread can start so late (Python 3.12 and later)
            self._end_readers(max(limit_s, _LAST_MOMENT_S))
        else:
            self._last.join(max(0.0, deadline_s - time.monotonic()))
            in_time = not self._last.is_alive()
        if self._exporter is None:
            return True
        delivered = self._exporter.end() and in_time
        if not delivered:
            say("the last metrics were not delivered: the backend did not take them in time")
        return delivered

    def close(self, timeout_s: float | None = None) -> None:
        """Shut down, and close the endpoint."""
        try:
            self.shutdown(timeout_s)
        finally:
            if self._server is not None:
                self._server.shutdown()
                self._server.server_close()

    def _collect_last(self) -> None:
        with _said_low("collected"):
            self._end_readers(self._exit_timeout_s)

    def _end_readers(self, timeout_s: float) -> None:
        try:
            self.provider.shutdown(timeout_s * 1_000)
        finally:
            for reader in self._added:
                reader.shutdown(timeout_s * 1_000)


@contextmanager
def _said_low(what: str) -> Iterator[None]:
    """What a reader raises, such as that its time is up, on a thread of ours: whoever waits gives the answer."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a reader's or an exporter's
        _logger.debug("metrics were not %s (%s)", what, type_name(error))


def _begun(run: Callable[[], object], name: str) -> threading.Thread | None:
    thread = threading.Thread(target=run, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # "can't start new thread"
        return None
    return thread
