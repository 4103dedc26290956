"""A summary of many numbers that answers any quantile within 1 %, in a few hundred bytes, and adds up exactly.

Values are counted in logarithmic buckets, as DDSketch does it (Masson, Rim, Lee: VLDB 2019): bucket `i` holds the
values in (GAMMA^(i-1), GAMMA^i], and every value of a bucket lies within 1 % of the one that stands for it. Bucket
numbers are those of DDSketch's logarithmic mapping.

Values are whole numbers from zero up: choose a unit small enough (durations: nanoseconds). So count, sum, minimum and
maximum are exact, and merging sketches in any order and grouping gives what one sketch of all the values would be.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

RELATIVE_ERROR: Final = 0.01
"""How far a quantile may be from the exact value of its rank, as a part of that value."""

GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
"""Quotient of the bounds of one bucket."""

BUCKETS_PER_E: Final = 1 / math.log(GAMMA)
"""A value's bucket is `ceil(log(value) * BUCKETS_PER_E)`."""

MAX_BUCKETS: Final = 2_048
"""Distance between the lowest and the highest bucket: in nanoseconds from one to twenty years, without collapsing."""

_MIDDLE: Final = 2 / (1 + GAMMA)
_ROUNDING: Final = 1 - 1e-12
"""`0.07 * 100` is 7.000000000000001: a rank must not move up by the rounding of a product."""


class LogSketch:
    """Counts of whole numbers in logarithmic buckets.

    The buckets span at most `max_buckets`. When a value does not fit in, the lowest buckets are counted together in the
    lowest one that stays: high quantiles keep their 1 %, and those that fall into that bucket are only known to lie
    between the minimum and its upper bound (`collapsed` says how many values they are).

    Args:
        max_buckets: the span; sketches of different spans cannot be merged.

    Attributes:
        count: how many values.
        total: their sum.
        minimum: the least of them; None when there is none.
        maximum: the greatest of them; None when there is none.
        zeros: how many of them are zero.
        collapsed: how many are counted in a higher bucket than their own.
    """

    __slots__ = ("_top", "buckets", "collapsed", "count", "max_buckets", "maximum", "minimum", "total", "zeros")

    def __init__(self, max_buckets: int = MAX_BUCKETS) -> None:
        """Start empty."""
        if max_buckets < 1:
            raise ValueError(f"a sketch needs at least one bucket, not {max_buckets}")
        self.max_buckets = max_buckets
        self.count = 0
        self.total = 0
        self.minimum: int | None = None
        self.maximum: int | None = None
        self.zeros = 0
        self.collapsed = 0
        self.buckets: dict[int, int] = {}
        self._top = -1

    def add(self, value: int) -> None:
        """Count one value.

        Raises:
            ValueError: it is negative: nothing that is measured here is.
        """
        if value > 0:
            bucket = math.ceil(math.log(value) * BUCKETS_PER_E)
            if bucket > self._top:
                self._raise_top(bucket)
            elif bucket <= self._top - self.max_buckets:
                bucket = self._top - self.max_buckets + 1
                self.collapsed += 1
            try:  # no call between reading and writing: collecting garbage there may add to the same bucket
                self.buckets[bucket] += 1
            except KeyError:
                self.buckets[bucket] = 1
        elif value == 0:
            self.zeros += 1
        else:
            raise ValueError(f"a sketch counts values from zero up, not {value}")
        self.count += 1
        self.total += value
        if self.minimum is None or self.maximum is None:
            self.minimum = self.maximum = value
        elif value < self.minimum:
            self.minimum = value
        elif value > self.maximum:
            self.maximum = value

    def merge(self, other: LogSketch) -> None:
        """Count every value of another sketch, which stays as it is.

        Raises:
            ValueError: it has another `max_buckets`.
        """
        if other.max_buckets != self.max_buckets:
            raise ValueError(f"sketches of {self.max_buckets} and {other.max_buckets} buckets cannot be merged")
        if other.minimum is None or other.maximum is None:
            return
        self.zeros += other.zeros
        self.merge_counts(other.buckets, other.buckets.values(), other._top)
        if other._top == self._top:  # else what it had collapsed was counted as it collapsed further
            self.collapsed += other.collapsed
        self.count += other.count
        self.total += other.total
        self.widen(other.minimum, other.maximum)

    def widen(self, minimum: int, maximum: int) -> None:
        """Take the extremes of other values into account."""
        if self.minimum is None or minimum < self.minimum:
            self.minimum = minimum
        if self.maximum is None or maximum > self.maximum:
            self.maximum = maximum

    def merge_counts(self, numbers: Iterable[int], counts: Iterable[int], top: int | None = None) -> None:
        """Add to the buckets alone, for who has read a sketch's sums elsewhere.

        Args:
            numbers: the buckets.
            counts: how many values are in each.
            top: the highest bucket; None where `numbers` ascend.
        """
        if top is None:
            numbers = tuple(numbers)
            top = numbers[-1] if numbers else -1
        if top > self._top:
            self._raise_top(top)
        lowest = self._top - self.max_buckets + 1
        buckets = self.buckets
        for bucket, count in zip(numbers, counts, strict=True):
            if bucket >= lowest:
                buckets[bucket] = buckets.get(bucket, 0) + count
            else:
                buckets[lowest] = buckets.get(lowest, 0) + count
                self.collapsed += count

    def quantile(self, q: float) -> float | None:
        """Estimate the `q`-quantile: the least value that at least `q` of all values do not exceed.

        That is the value of rank `ceil(q * count)` in ascending order (numpy's `inverted_cdf`). None when empty.

        Raises:
            ValueError: `q` is not between 0 and 1.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile is between 0 and 1, not {q}")
        if self.minimum is None or self.maximum is None:
            return None
        rank = max(1, math.ceil(q * self.count * _ROUNDING))
        if rank >= self.count:
            return float(self.maximum)
        if rank == 1:
            return float(self.minimum)
        below = self.zeros
        if rank <= below:
            return 0.0
        found = float(self.maximum)
        for bucket in sorted(self.buckets):
            below += self.buckets[bucket]
            if below >= rank:
                found = _MIDDLE * GAMMA**bucket
                break
        return min(max(found, float(self.minimum)), float(self.maximum))

    @property
    def mean(self) -> float | None:
        """The mean, exact up to one rounding; None when empty."""
        return self.total / self.count if self.count else None

    def copy(self) -> LogSketch:
        """A sketch of the same values."""
        made = LogSketch(self.max_buckets)
        made.merge(self)
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LogSketch) and all(getattr(self, one) == getattr(other, one) for one in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # compared by value, never a key

    def __repr__(self) -> str:
        return f"LogSketch(count={self.count}, minimum={self.minimum}, maximum={self.maximum}, total={self.total})"

    # -- bytes ----------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Write the sketch down: the same bytes for the same values, about three for each bucket in use."""
        ends = (self.minimum or 0, self.maximum or 0)
        sums = (self.max_buckets, self.count, self.total, *ends, self.zeros, self.collapsed)
        written = b"".join(_sized(number) for number in sums)
        return _HEAD.pack(_FORMAT) + written + pack_counts(self.buckets)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: these bytes are no sketch.
        """
        if data[:1] != _HEAD.pack(_FORMAT):
            raise ValueError("these bytes are no sketch")
        numbers, offset = [], 1
        for _ in range(7):
            number, offset = _read_sized(data, offset)
            numbers.append(number)
        max_buckets, count, total, minimum, maximum, zeros, collapsed = numbers
        counts = dict(zip(*unpack_counts(data, offset), strict=True))
        spread = max(counts, default=0) - min(counts, default=0)
        if count != zeros + sum(counts.values()) or minimum > maximum or spread >= max_buckets:
            raise ValueError("these bytes are no sketch: its counts do not add up")
        made = cls(max_buckets)
        made.buckets = counts
        made._top = max(counts, default=-1)
        made.count, made.total, made.zeros, made.collapsed = count, total, zeros, collapsed
        if count:
            made.minimum, made.maximum = minimum, maximum
        return made

    def _raise_top(self, bucket: int) -> None:
        """Make room for a higher bucket than any so far."""
        self._top = bucket
        lowest = bucket - self.max_buckets + 1
        buckets = self.buckets
        gone = [one for one in buckets if one < lowest] if lowest > 0 else []
        if gone:
            # What had collapsed before sits in the lowest of these.
            self.collapsed = sum([buckets.pop(one) for one in gone])
            buckets[lowest] = buckets.get(lowest, 0) + self.collapsed


_HEAD = struct.Struct("B")
_FORMAT = 1
_WIDTHS = ((0xFF, "B"), (0xFFFF, "H"), (0xFFFF_FFFF, "I"), (0xFFFF_FFFF_FFFF_FFFF, "Q"))
_COUNTS_HEAD = struct.Struct("<cH")


def pack_counts(buckets: dict[int, int]) -> bytes:
    """Write bucket numbers and counts down, in ascending order, the counts as wide as the greatest needs.

    Raises:
        OverflowError: a count has more than 64 bits, or a bucket number more than 16.
    """
    if not buckets:
        return _COUNTS_HEAD.pack(b"B", 0)
    most = max(buckets.values())
    width = next((width for limit, width in _WIDTHS if most <= limit), None)
    numbers = sorted(buckets)
    if width is None or numbers[-1] > 0xFFFF:  # noqa: PLR2004 - two bytes
        raise OverflowError("a sketch with a count of more than 64 bits, or a value above 1e569")
    size = len(numbers)
    return _COUNTS_HEAD.pack(width.encode(), size) + struct.pack(
        f"<{size}H{size}{width}", *numbers, *[buckets[number] for number in numbers]
    )


def unpack_counts(data: bytes, offset: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Read what `pack_counts` wrote, from this offset to the end.

    Raises:
        ValueError: these bytes are not that.
    """
    try:
        width, size = _COUNTS_HEAD.unpack_from(data, offset)
        both = struct.unpack_from(f"<{size}H{size}{width.decode('ascii')}", data, offset + _COUNTS_HEAD.size)
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"these bytes are no sketch: {error}") from None
    return both[:size], both[size:]


def _sized(number: int) -> bytes:
    """A natural number with its length before it."""
    size = (number.bit_length() + 7) // 8
    return struct.pack("<H", size) + number.to_bytes(size, "little")


def _read_sized(data: bytes, offset: int) -> tuple[int, int]:
    try:
        (size,) = struct.unpack_from("<H", data, offset)
    except struct.error as error:
        raise ValueError(f"these bytes are no sketch: {error}") from None
    end = offset + 2 + size
    if end > len(data):
        raise ValueError("these bytes are no sketch: they end too early")
    return int.from_bytes(data[offset + 2 : end], "little"), end
