"""What is known of the work of one stretch of time: exact integer sums, and a sketch of the durations."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from kaizen_processors.sketch import LogSketch, pack_counts, unpack_counts

if TYPE_CHECKING:
    from kaizen_processors.execution import CallRecord, ExecutionRecord

QUALITY_UNITS: Final = 10**9
"""Quality scores are summed in whole parts of this many, so that sums are exact in any order."""

_64_BITS: Final = 0xFFFF_FFFF_FFFF_FFFF

_SUMS: Final = struct.Struct("<6I2Q2QQ3QI")


class WindowSums:
    """Sums of one key (or of all) over one stretch of time. They add up exactly, in any order.

    Attributes:
        success: executions that ended so; likewise `error` and `cancelled`.
        model_calls: model calls that ended.
        unpriced_calls: those of them whose cost in US dollars is not known: then `cost_units` is a lower bound.
        input_tokens: tokens of the calls; likewise `output_tokens`.
        cost_units: money in 1e-24 USD.
        quality_units: scores of the executions that have one, in 1e-9.
        quality_count: how many have one.
        latency: durations of all executions, in nanoseconds.
    """

    __slots__ = (
        "cancelled",
        "cost_units",
        "error",
        "input_tokens",
        "latency",
        "model_calls",
        "output_tokens",
        "quality_count",
        "quality_units",
        "success",
        "unpriced_calls",
    )

    def __init__(self) -> None:
        """Start at zero."""
        self.success = 0
        self.error = 0
        self.cancelled = 0
        self.model_calls = 0
        self.unpriced_calls = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost_units = 0
        self.quality_units = 0
        self.quality_count = 0
        self.latency = LogSketch()

    @property
    def executions(self) -> int:
        """All that ended, whatever their status."""
        return self.success + self.error + self.cancelled

    def add_execution(self, record: ExecutionRecord) -> None:
        """Count one execution. Its tokens and money come with its calls."""
        status = record.status
        if status == "success":
            self.success += 1
        elif status == "error":
            self.error += 1
        else:
            self.cancelled += 1
        self.latency.add(record.duration_ns)
        quality = record.quality_score
        if quality is not None:
            self.quality_units += round(quality * QUALITY_UNITS)
            self.quality_count += 1

    def add_call(self, record: CallRecord) -> None:
        """Count one model call."""
        usage, price = record.usage, record.price
        self.model_calls += 1
        self.input_tokens += usage.input_tokens or 0
        self.output_tokens += usage.output_tokens or 0
        if price.missing is None:
            self.cost_units += price.amount or 0
        else:
            self.unpriced_calls += 1

    def change_quality(self, before: float | None, after: float) -> None:
        """Put a score in the place of the one that was counted."""
        self.quality_units += round(after * QUALITY_UNITS) - (0 if before is None else round(before * QUALITY_UNITS))
        self.quality_count += before is None

    def merge(self, other: WindowSums) -> None:
        """Add another's sums."""
        self.success += other.success
        self.error += other.error
        self.cancelled += other.cancelled
        self.model_calls += other.model_calls
        self.unpriced_calls += other.unpriced_calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cost_units += other.cost_units
        self.quality_units += other.quality_units
        self.quality_count += other.quality_count
        if other.latency.count:
            self.latency.merge(other.latency)

    def copy(self) -> WindowSums:
        """The same sums."""
        made = WindowSums()
        made.merge(self)
        return made

    def pack(self) -> bytes | WindowSums:
        """Give the sums as bytes, a fifth of the memory; themselves where a figure does not fit."""
        latency = self.latency
        if latency.collapsed:
            return self
        try:
            return _SUMS.pack(
                self.success,
                self.error,
                self.cancelled,
                self.model_calls,
                self.unpriced_calls,
                self.quality_count,
                self.input_tokens,
                self.output_tokens,
                self.cost_units & _64_BITS,
                self.cost_units >> 64,
                self.quality_units,
                latency.total,
                latency.minimum or 0,
                latency.maximum or 0,
                latency.zeros,
            ) + pack_counts(latency.buckets)
        except (struct.error, OverflowError):
            return self

    def add(self, packed: bytes | WindowSums, *, with_latency: bool = True) -> None:
        """Add what `pack` gave. Without its durations, three times as fast, `latency` stays as it is."""
        if isinstance(packed, WindowSums):
            self.merge(packed)
            return
        (
            success, error, cancelled, model_calls, unpriced_calls, quality_count, input_tokens, output_tokens,
            cost_low, cost_high, quality_units, total, minimum, maximum, zeros,
        ) = _SUMS.unpack_from(packed)  # fmt: skip
        self.success += success
        self.error += error
        self.cancelled += cancelled
        self.model_calls += model_calls
        self.unpriced_calls += unpriced_calls
        self.quality_count += quality_count
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.cost_units += cost_low | cost_high << 64
        self.quality_units += quality_units
        if with_latency and (success or error or cancelled):
            latency = self.latency
            latency.merge_counts(*unpack_counts(packed, _SUMS.size))
            latency.zeros += zeros
            latency.count += success + error + cancelled
            latency.total += total
            latency.widen(minimum, maximum)

    @classmethod
    def unpack(cls, packed: bytes | WindowSums) -> WindowSums:
        """Give what `pack` packed."""
        made = cls()
        made.add(packed)
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WindowSums) and all(getattr(self, n) == getattr(other, n) for n in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # compared by value, never a key

    def __repr__(self) -> str:
        return f"WindowSums({', '.join(f'{name}={getattr(self, name)!r}' for name in sorted(self.__slots__))})"
