"""The metrics of all workers of one host: each keeps its own in the store, any of them answers for all.

Own figures are read when somebody asks; the others' are those of their last tick. What a worker that is gone had
counted is folded into what is kept of such, by whoever holds the store's lease, so that no counter ever goes down.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from kaizen_otel._version import __version__
from kaizen_otel.otel_logs import SCOPE_NAME
from kaizen_otel.outputs import cannot_listen
from kaizen_otel.settings.origins import raise_where_asked_for
from kaizen_processors.forking import begin_anew_in_children
from kaizen_processors.host_metrics import WorkerMetrics, merge, pack, to_metrics_data
from kaizen_processors.host_metrics.shared import METRICS, fold_with, others_of
from kaizen_processors.host_metrics.twin import TwinInstruments
from kaizen_processors.store.database import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics.export import MetricsData

    from kaizen_otel.host_endpoint import HostEndpoint
    from kaizen_otel.settings import Settings
    from kaizen_processors.fence import Fence
    from kaizen_processors.host_metrics import Reading
    from kaizen_processors.host_metrics.shared import Others
    from kaizen_processors.ledger import Ledger
    from kaizen_processors.meters import Instruments
    from kaizen_processors.store import Store

_logger = logging.getLogger("kaizen_otel")

T = TypeVar("T")

_TELL_WAIT_S: Final = 0.5
_OF_ONE_PROCESS: Final = ("service.instance.id", "process.", "thread.")
"""Beginnings of the resource attributes that one worker has for itself: they say nothing of the sum."""


class HostMetrics:
    """This worker's part in the metrics of its host; without a store, the host is this process.

    Args:
        settings: how they are named and labelled.
        ledger: what the counters are read from; its clock dates them.
        fence: counts what fails.
        resource: what the process is.
        schema_url: of the names.
    """

    def __init__(self, settings: Settings, ledger: Ledger, fence: Fence, resource: Resource, schema_url: str) -> None:
        """Begin to record."""
        self._clock = ledger.clock
        self._fence = fence
        self._resource = _of_the_host(resource)
        scope = InstrumentationScope(SCOPE_NAME, __version__, schema_url)
        self.worker = WorkerMetrics(ledger, self._clock, scope, resource, settings.conventions)
        self.worker.environment = settings.environment or ""
        self._store: Store | None = None
        self._endpoint: HostEndpoint | None = None
        self._begin()
        begin_anew_in_children(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()  # readings reach the store in the order in which they were taken
        self._told: Reading | None = None
        self._others: Others | None = None

    def after_fork_in_child(self) -> None:
        """Know nothing of the others yet."""
        self._begin()

    def beside(self, instruments: Instruments) -> TwinInstruments:
        """Instruments that record with those given, and for the host."""
        return TwinInstruments(instruments, self.worker.instruments)

    def share(self, store: Store, settings: Settings) -> None:
        """Add up over all workers of a store from now on, and serve the sum where the settings say.

        Raises:
            SettingsError: the port is taken, by none of these workers, and not just a preset asked for it.
        """
        if self._store is None:
            store.fold_blobs(METRICS, fold_with(self._fence))
            self._store = store
        port = settings.prometheus_port
        if port is None or self._endpoint is not None:
            return
        from kaizen_otel.host_endpoint import HostEndpoint, store_id  # noqa: PLC0415 - loaded when used
        from kaizen_otel.prometheus_text import Gathering  # noqa: PLC0415 - loaded when used

        endpoint = HostEndpoint(
            settings.prometheus_host, port, Gathering(self.gather), store_id(store.path), self._fence
        )
        try:
            endpoint.open()
        except OSError as failed:
            error = cannot_listen(settings, failed)
            error.__cause__ = failed
            warn = partial(_logger.warning, "%s: metrics are served there as soon as it is free")
            raise_where_asked_for(settings, "prometheus_port", error, warn)
        self._endpoint = endpoint

    @property
    def prometheus_port(self) -> int | None:
        """The port that this worker serves the sum on; None while a sibling does, or nobody is to."""
        return None if self._endpoint is None else self._endpoint.port

    def tell(self) -> None:
        """Let the others know, with the store's next beat, what this worker has counted.

        Not while somebody is being answered for long: that one tells, too. A signal may have interrupted it here.
        """
        if self._store is not None and self._lock.acquire(timeout=_TELL_WAIT_S):
            try:
                self._store.put_blob(METRICS, pack(self.worker.read()))
            finally:
                self._lock.release()

    def listen(self) -> None:
        """Take the port over, when it is to be served and nobody does any more."""
        if self._endpoint is not None:
            self._endpoint.tick()

    def gather(self) -> MetricsData:
        """The host's metrics, as one process would have collected them.

        Raises:
            StoreError: the store cannot be read, and never could: a sum without the others would be a counter that
                went down.
        """
        if self._store is None:
            living, retired = [self.worker.read()], None
        else:
            with self._lock:
                own = self._tell_now(self._store)
                others, retired = self._read_others(self._store)
                living = [own, *others]
        return to_metrics_data(merge(living, retired, self._clock.time_ns()), self._resource, self.worker.scope)

    def text(self) -> str:
        """The host's metrics as Prometheus reads them."""
        from kaizen_otel.prometheus_text import exposition  # noqa: PLC0415 - loaded when used

        try:
            return exposition(self.gather())
        except StoreError as error:
            return f"# kaizen-otel: the metrics of this host are not known: {error.reason}\n"

    def shutdown(self) -> None:
        """Serve nothing any more."""
        if self._endpoint is not None:
            self._endpoint.close()
        self.worker.shutdown()

    def _tell_now(self, store: Store) -> Reading:
        """Read what this worker counted, and write it down before anybody is shown it.

        Else a kill in the next ten seconds would take back what a page has said. What cannot be written is not shown:
        the last reading that could be holds.
        """
        reading = self.worker.read()
        try:
            _opened(store, lambda: store.write_blob(METRICS, pack(reading)))
        except StoreError as error:
            if self._told is None:
                raise
            self._fence.caught("host_metrics.tell", error)
        else:
            self._told = reading
        return self._told

    def _read_others(self, store: Store) -> Others:
        """What the others said last, and where the store cannot be read what we know of that."""
        try:
            values, retired = _opened(store, lambda: store.blobs(METRICS))
            self._others = others_of(values, retired, store.own_workers, self._clock.time_ns(), self._fence)
        except StoreError as error:
            if self._others is None:
                raise
            self._fence.caught("host_metrics.read", error)
        return self._others


def _opened(store: Store, do: Callable[[], T]) -> T:
    """Do something with the store; opened here where the first beat, or the first one after a fork, is to come."""
    try:
        return do()
    except StoreError as error:
        if error.reason != "closed":
            raise
    store.beat()
    return do()


def _of_the_host(resource: Resource) -> Resource:
    kept = {name: value for name, value in resource.attributes.items() if not name.startswith(_OF_ONE_PROCESS)}
    return Resource(kept, resource.schema_url)
