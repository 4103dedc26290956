"""How one delivery queue behaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kaizen_processors.export.batch import GZIP

MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class DeliverySettings:
    """Sizes and times of a delivery queue.

    Attributes:
        queue_bytes: Most compressed bytes that wait to be sent. 16 MiB hold 30 s at 2,000 spans/s and more.
        handover_items: Most items that wait to be encoded.
        handover_bytes: Most bytes that these hold, estimated by the lengths of their texts; one counts half at most.
        batch_items: A batch is sealed with this many items.
        batch_bytes: … or when it measures this much, uncompressed.
        request_bytes: No request is larger than this, uncompressed: larger ones are cut, an item alone is shortened.
        interval_s: … or when its first item has waited this long.
        wake_items: So many waiting items wake the encoding thread before the interval does.
        compression: `Content-Encoding` of requests: `gzip`, `zstd` or empty.
        shutdown_s: Longest time that the end of the process waits for delivery.
        retry_base_s: First ceiling of the delay between attempts.
        retry_cap_s: Last ceiling.
    """

    queue_bytes: int = 16 * MIB
    handover_items: int = 8_192
    handover_bytes: int = 64 * MIB
    batch_items: int = 512
    batch_bytes: int = 3 * MIB
    request_bytes: int = 4 * MIB
    interval_s: float = 1.0
    wake_items: int = 256
    compression: str = GZIP
    shutdown_s: float = 2.0
    retry_base_s: float = 1.0
    retry_cap_s: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ValueError: A size or time is not positive.
        """
        sizes = ("queue_bytes", "handover_items", "handover_bytes", "batch_items", "batch_bytes", "request_bytes")
        for name in (*sizes, "wake_items"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("interval_s", "shutdown_s", "retry_base_s", "retry_cap_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be greater than 0")
        for name in ("retry_base_s", "retry_cap_s"):
            if getattr(self, name) == float("inf"):
                raise ValueError(f"{name} must be finite")
