"""How a store is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.store.database import BUSY_S
from kaizen_processors.store.lease import LEASE_S

if TYPE_CHECKING:
    from kaizen_processors.clock import Clock

DEFAULT_RETENTION_S: Final = 7 * 86_400.0
DEFAULT_MAX_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """How a store is kept.

    Attributes:
        retention_s: how long history is kept.
        max_bytes: how big the file may be; beyond it the oldest goes.
        lease_s: how long the lease lasts without being renewed.
        busy_s: how long one transaction waits for another process's transaction.
        clock: what time it is. Its monotonic reading must be one that all processes of the host share.
    """

    retention_s: float = DEFAULT_RETENTION_S
    max_bytes: int = DEFAULT_MAX_BYTES
    lease_s: float = LEASE_S
    busy_s: float = BUSY_S
    clock: Clock = SYSTEM_CLOCK
