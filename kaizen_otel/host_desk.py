"""What this process tells the others of its host, beside what it did when: its metrics, and who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import SERVICE_NAME

from kaizen_otel.outputs import resource_of
from kaizen_otel.worker_card import CARD, WorkerCard, counts_of, last_of_the_gone

if TYPE_CHECKING:
    from kaizen_otel.telemetry import Telemetry
    from kaizen_processors.host_metrics.reading import Members
    from kaizen_processors.store import Store


class HostDesk:
    """One telemetry's part in the store of its host.

    Args:
        telemetry: whose store, ticker and metrics they are.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        """Tell nothing yet."""
        self._telemetry = telemetry
        self._store: Store | None = telemetry.performance.store
        self._service = ""

    def open(self) -> None:
        """Tell from now on, with every tick and at the end; serve the host's metrics where the settings say.

        Raises:
            SettingsError: the port is taken, and by none of the other workers.
        """
        store, telemetry = self._store, self._telemetry
        if store is None:
            return
        # Found out now: making a resource takes threads, which there are none of any more at the end of a process.
        self._service = str(resource_of(telemetry.settings).attributes[SERVICE_NAME])
        store.fold_blobs(CARD, last_of_the_gone)
        store.before_the_end(self.tell)
        telemetry.performance.ticker.add("host.tell", self._tick)
        self.share_metrics()

    def share_metrics(self) -> None:
        """Add the metrics up with those of the other workers, and serve them, when they are kept.

        Raises:
            SettingsError: the port is taken, and by none of the other workers.
        """
        host = self._telemetry.metrics.host
        if host is None or self._store is None:
            return
        settings = self._telemetry.settings
        host.share(self._store, settings)
        if settings.prometheus_port is not None and settings.clock is None:
            # Who waits for the port does so before its first execution, too.
            self._telemetry.performance.ticker.start()

    def tell(self) -> None:
        """Let the store have, with the next beat, what holds now."""
        store, telemetry = self._store, self._telemetry
        if store is None:
            return
        with telemetry.fence("host.card"):
            store.put_blob(CARD, self._card().pack())
        host = telemetry.metrics.host
        if host is not None:
            with telemetry.fence("host_metrics.tell"):
                host.tell()

    def _tick(self) -> None:
        self.tell()
        host = self._telemetry.metrics.host
        if host is not None:
            host.listen()

    def _card(self) -> WorkerCard:
        telemetry = self._telemetry
        now_ns = telemetry.clock.time_ns()
        left = telemetry.ledger.active_for_ns().items()
        active: Members = {name: None if left_ns is None else now_ns + left_ns for name, left_ns in left}
        providers = telemetry.providers
        resource = providers.joined_resource
        return WorkerCard(
            self._service if resource is None else str(resource.attributes.get(SERVICE_NAME, self._service)),
            active,
            {signal: counts_of(counts) for signal, counts in providers.delivery().items()},
            sum(telemetry.fence.failures().values()),
            sum(telemetry.fence.mistakes().values()),
        )
