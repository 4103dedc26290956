"""How our own OTLP is delivered: the queue and the spool that the settings ask for."""

from __future__ import annotations

import logging
import os
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from kaizen_processors.export.batch import GZIP
from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.queue_processors import endpoint_from_environment
from kaizen_processors.export.settings import DeliverySettings
from kaizen_processors.export.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen_otel.settings import Settings
    from kaizen_processors.export.batch import Signal
    from kaizen_processors.export.grpc_endpoint import GrpcEndpoint
    from kaizen_processors.fence import Fence

_logger = logging.getLogger("kaizen_otel")


class OwnDelivery(NamedTuple):
    """What a delivery queue of ours is made with, in the order of `otlp_span_queue`'s arguments."""

    endpoint: OtlpEndpoint | GrpcEndpoint
    settings: DeliverySettings
    spool: Spool | None


def own_delivery(settings: Settings, signal: Signal, fence: Fence) -> OwnDelivery:
    """Gather it for `traces` or `logs`.

    Raises:
        ValueError: the `OTEL_EXPORTER_OTLP_*` variables name no usable endpoint.
    """
    endpoint = endpoint_from_environment(signal)
    return OwnDelivery(endpoint, queue_settings(settings, endpoint), open_spool(settings, signal, fence))


def queue_settings(settings: Settings, endpoint: OtlpEndpoint | GrpcEndpoint) -> DeliverySettings:
    """Sizes and times of a queue to this endpoint."""
    # Batches for gRPC wait as gzip whatever the channel does with them: the spool's batches fit either transport.
    compression = endpoint.compression if isinstance(endpoint, OtlpEndpoint) else GZIP
    return DeliverySettings(
        queue_bytes=settings.queue_bytes, compression=compression, shutdown_s=settings.exit_timeout_s
    )


def open_spool(settings: Settings, signal: Signal, fence: Fence) -> Spool | None:
    """The spool of one signal; None without one, and when its folder cannot be used: that is counted and said."""
    folder = settings.spool
    if folder is None:
        return None
    try:
        probe_folder(folder)
        return Spool(folder, signal, max_bytes=settings.spool_max_bytes)
    except OSError as error:
        fence.caught("spool.open", error)
        _logger.warning(
            "the spool %s cannot be used (%s): %s that the backend does not take wait in memory only",
            folder,
            error.strerror or error,
            signal,
        )
        return None


def probe_folder(folder: Path) -> None:
    """Make the folder if it is missing, and write and remove a file in it.

    Raises:
        OSError: it cannot be made, is no folder, or takes no file.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".probe-", dir=folder)
    os.close(descriptor)
    os.unlink(name)  # noqa: PTH108 - mkstemp gives a text
