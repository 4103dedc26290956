"""The sketch: any quantile within 1 % of the exact value of its rank, exact sums, exact merging, bounded."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import reduce

import pytest
from ddsketch.mapping import LogarithmicMapping
from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen_processors.sketch import BUCKETS_PER_E, MAX_BUCKETS, RELATIVE_ERROR, LogSketch

VALUES = st.lists(st.integers(0, 10**16) | st.integers(0, 50) | st.integers(10**6, 10**7), max_size=80)
QUANTILES = st.sampled_from(["0", "0.001", "0.01", "0.07", "0.1", "0.25", "0.5", "0.9", "0.95", "0.99", "0.999", "1"])
SPANS = st.integers(1, 60)


def sketch_of(values: list[int], max_buckets: int = MAX_BUCKETS) -> LogSketch:
    made = LogSketch(max_buckets)
    for value in values:
        made.add(value)
    return made


def exact(values: list[int], q: str) -> int:
    """The least value that at least `q` of all do not exceed."""
    return sorted(values)[max(1, math.ceil(Fraction(q) * len(values))) - 1]


def merged(*parts: LogSketch) -> LogSketch:
    made = LogSketch(parts[0].max_buckets)
    for part in parts:
        made.merge(part)
    return made


# -- quantiles ----------------------------------------------------------------------------------------------------


@given(VALUES.filter(bool), QUANTILES)
@settings(max_examples=400, deadline=None)
def test_a_quantile_is_within_one_percent_of_the_value_of_its_rank(values: list[int], q: str) -> None:
    found = sketch_of(values).quantile(float(q))
    assert found is not None
    expected = exact(values, q)
    assert abs(found - expected) <= RELATIVE_ERROR * expected * (1 + 1e-9)
    assert float(min(values)) <= found <= float(max(values))


def test_the_extremes_are_exact() -> None:
    sketch = sketch_of([123_456_789, 17, 987_654_321])
    assert (sketch.quantile(0), sketch.quantile(1)) == (17.0, 987_654_321.0)


def test_the_95th_percentile_of_twenty_values_is_the_nineteenth() -> None:
    assert sketch_of([10] * 19 + [1_000]).quantile(0.95) == pytest.approx(10, rel=RELATIVE_ERROR)
    assert sketch_of([10] * 18 + [1_000] * 2).quantile(0.95) == pytest.approx(1_000, rel=RELATIVE_ERROR)


def test_a_rank_is_not_moved_by_the_rounding_of_a_product() -> None:
    """`0.07 * 100` is 7.000000000000001 in floats: the seventh of a hundred values is meant all the same."""
    assert sketch_of([1] * 7 + [1_000] * 93).quantile(0.07) == pytest.approx(1)


@given(st.integers(1, 10**300))
def test_buckets_are_those_of_ddsketch(value: int) -> None:
    theirs = LogarithmicMapping(RELATIVE_ERROR)
    (ours,) = sketch_of([value], 10**5).buckets
    assert ours == math.ceil(math.log(value) * BUCKETS_PER_E)
    # Both round the same logarithm, by one more division there: on a boundary they may differ by one.
    assert abs(ours - theirs.key(float(value))) <= (abs(math.log(value) * BUCKETS_PER_E % 1 - 0.5) > 0.4999)


def test_an_empty_sketch_knows_nothing() -> None:
    sketch = LogSketch()
    assert (sketch.count, sketch.total, sketch.minimum, sketch.maximum) == (0, 0, None, None)
    assert sketch.quantile(0.5) is None
    assert sketch.mean is None


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_a_quantile_outside_0_to_1_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        sketch_of([1]).quantile(q)


def test_zeros_are_counted_as_zero() -> None:
    sketch = sketch_of([0, 0, 0, 100])
    assert sketch.quantile(0.75) == 0.0
    assert sketch.quantile(0.76) == 100.0
    assert sketch.minimum == 0


def test_a_negative_value_is_refused_and_changes_nothing() -> None:
    sketch = sketch_of([5])
    with pytest.raises(ValueError, match="from zero up"):
        sketch.add(-1)
    assert sketch == sketch_of([5])


# -- sums and merging ---------------------------------------------------------------------------------------------


@given(VALUES)
def test_count_sum_and_extremes_are_exact(values: list[int]) -> None:
    sketch = sketch_of(values)
    assert (sketch.count, sketch.total) == (len(values), sum(values))
    assert (sketch.minimum, sketch.maximum) == (min(values, default=None), max(values, default=None))
    assert sketch.zeros + sum(sketch.buckets.values()) == sketch.count


def test_sums_beyond_what_a_float_holds_are_exact() -> None:
    assert sketch_of([10**40 + 1, 10**40 + 1], 10**5).total == 2 * 10**40 + 2


@given(st.lists(VALUES, max_size=6), SPANS)
@settings(max_examples=300, deadline=None)
def test_many_merged_are_one(parts: list[list[int]], span: int) -> None:
    whole = sketch_of([value for part in parts for value in part], span)
    assert reduce(merged, [sketch_of(part, span) for part in parts], LogSketch(span)) == whole


@given(VALUES, VALUES, VALUES, SPANS)
@settings(max_examples=300, deadline=None)
def test_merging_is_associative_and_commutative(one: list[int], two: list[int], three: list[int], span: int) -> None:
    a, b, c = (sketch_of(values, span) for values in (one, two, three))
    assert merged(a, merged(b, c)) == merged(merged(a, b), c)
    assert merged(a, b) == merged(b, a)


def test_merging_leaves_the_other_as_it_is() -> None:
    one, other = sketch_of([1, 2]), sketch_of([3])
    one.merge(other)
    one.add(3)
    assert other == sketch_of([3])


def test_sketches_of_different_spans_are_not_merged() -> None:
    with pytest.raises(ValueError, match="cannot be merged"):
        LogSketch(10).merge(LogSketch(20))


# -- bounds -------------------------------------------------------------------------------------------------------


@given(VALUES.filter(bool), SPANS, QUANTILES)
@settings(max_examples=300, deadline=None)
def test_what_does_not_fit_is_counted_in_the_lowest_bucket(values: list[int], span: int, q: str) -> None:
    sketch = sketch_of(values, span)
    assert not sketch.buckets or max(sketch.buckets) - min(sketch.buckets) < span
    whole = sketch_of(values)
    top = max(whole.buckets, default=0)
    assert sketch.collapsed == sum(count for bucket, count in whole.buckets.items() if bucket <= top - span)
    found, expected = sketch.quantile(float(q)), exact(values, q)
    assert found is not None
    assert (sketch.count, sketch.total) == (len(values), sum(values))
    if not expected or math.ceil(math.log(expected) * BUCKETS_PER_E) > top - span:
        assert abs(found - expected) <= RELATIVE_ERROR * expected * (1 + 1e-9)
    else:
        assert found >= expected


def test_the_first_bucket_that_does_not_fit_is_counted_in_the_next() -> None:
    whole, narrow = sketch_of([985, 1_000]), sketch_of([1_000, 985], 1)
    assert sorted(whole.buckets) == [345, 346]
    assert (narrow.buckets, narrow.collapsed) == ({346: 2}, 1)


def test_durations_from_a_nanosecond_to_a_decade_do_not_collapse() -> None:
    sketch = sketch_of([1, 10 * 365 * 86_400 * 10**9])
    assert sketch.collapsed == 0
    assert sketch.quantile(0.5) == 1.0


def test_a_sketch_needs_a_bucket() -> None:
    with pytest.raises(ValueError, match="at least one bucket"):
        LogSketch(0)


# -- bytes --------------------------------------------------------------------------------------------------------


@given(VALUES, SPANS | st.just(MAX_BUCKETS))
@settings(max_examples=300, deadline=None)
def test_bytes_are_read_back(values: list[int], span: int) -> None:
    sketch = sketch_of(values, span)
    read = LogSketch.from_bytes(sketch.to_bytes())
    assert read == sketch
    read.add(7)
    again = sketch_of([*values, 7], span)
    assert read == again


def test_the_same_values_give_the_same_bytes() -> None:
    assert sketch_of([1, 2, 3]).to_bytes() == sketch_of([3, 1, 2]).to_bytes()


def test_counts_of_any_size_are_read_back() -> None:
    for count in (1, 255, 256, 2**16, 2**32, 2**64 - 1):
        sketch = sketch_of([100])
        sketch.buckets = dict.fromkeys(sketch.buckets, count)
        sketch.count = count
        assert LogSketch.from_bytes(sketch.to_bytes()) == sketch


def test_what_two_or_eight_bytes_cannot_hold_is_refused() -> None:
    sketch = sketch_of([100])
    sketch.buckets = dict.fromkeys(sketch.buckets, 2**64)
    with pytest.raises(OverflowError, match="more than 64 bits"):
        sketch.to_bytes()


def test_a_thousand_durations_fit_into_a_few_hundred_bytes() -> None:
    durations = [int(1e9 * (1 + (number * 7919 % 1000) / 250)) for number in range(1_000)]
    assert len(sketch_of(durations).to_bytes()) < 300


@given(st.binary(max_size=60) | VALUES.map(lambda values: sketch_of(values).to_bytes()[:-1]))
@settings(max_examples=300, deadline=None)
def test_other_bytes_are_refused(data: bytes) -> None:
    try:
        read = LogSketch.from_bytes(data)
    except ValueError:
        return
    assert read.count == read.zeros + sum(read.buckets.values())


def test_cut_bytes_are_refused() -> None:
    data = sketch_of([1, 10, 100]).to_bytes()
    for end in range(len(data)):
        with pytest.raises(ValueError, match="no sketch"):
            LogSketch.from_bytes(data[:end])
