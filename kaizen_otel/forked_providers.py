"""What OpenTelemetry's SDK keeps over a fork and a child must not: its parent's sums, its locks, its identity.

A child that goes on with the sums of its parent exports them a second time, and a backend adds both up. Only private
parts lead there (seen in SDK 1.43 to 1.45, which starts the reader's thread again, and no more). They are for providers
of our own: an application's are its own.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
import weakref
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, Resource

from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader


def begin_sums_anew(provider: MeterProvider, readers: Sequence[MetricReader]) -> None:
    """Have a meter provider count from nothing, with locks that nobody holds. Its instruments stay what they are."""
    held: Any = provider
    consumer = held._measurement_consumer  # noqa: SLF001 - see above
    consumer._lock = threading.Lock()  # noqa: SLF001
    for storage in consumer._reader_storages.values():  # noqa: SLF001
        storage._lock = threading.RLock()  # noqa: SLF001
        storage._instrument_view_instrument_matches.clear()  # noqa: SLF001
    for reader in readers:
        if hasattr(reader, "_export_lock"):
            reader._export_lock = threading.Lock()  # noqa: SLF001


class Instances:
    """Resources that name this process: in a forked child they name the child, for every signal the same."""

    def __init__(self) -> None:
        """None yet."""
        self._known: list[tuple[weakref.ref[Resource], dict[str, Any]]] = []
        begin_anew_in_children(self)

    def named(self, resource: Resource) -> Resource:
        """The resource with an id of this instance, unless it has one."""
        # Whoever is merged in wins: an id that somebody gave stays.
        named = Resource({SERVICE_INSTANCE_ID: instance_id(os.getpid())}).merge(resource)
        self._known = [(known, attributes) for known, attributes in self._known if known() is not None]
        self._known.append((weakref.ref(named), dict(named.attributes)))
        return named

    def after_fork_in_child(self) -> None:
        """Give each another id, also where somebody gave it: two processes with one id are one to a backend."""
        own = instance_id(os.getpid())
        for known, attributes in self._known:
            resource = known()
            if resource is not None:
                attributes[SERVICE_INSTANCE_ID] = own
                # In its place: providers, tracers and spans hold the resource itself.
                resource._attributes = BoundedAttributes(attributes=attributes, immutable=True)  # noqa: SLF001


@lru_cache(maxsize=1)
def instance_id(pid: int) -> str:
    """One for all signals of a process, and another one in a child of it."""
    return f"{socket.gethostname()}-{pid}-{uuid.uuid4().hex[:8]}"
