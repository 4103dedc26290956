"""A reading as bytes: back as it was, exactly; anything else refused."""

from __future__ import annotations

import contextlib
import json
import zlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaizen_processors.host_metrics import PackedError, Reading, pack, unpack
from kaizen_processors.host_metrics.packing import FORMAT
from kaizen_processors.host_metrics.reading import Distribution, Kind, Stream

texts = st.text(max_size=8)
labels = st.lists(
    st.tuples(texts, st.one_of(texts, st.integers(), st.tuples(texts))), max_size=3, unique_by=lambda p: p[0]
).map(lambda pairs: tuple(sorted(pairs, key=lambda pair: pair[0])))
numbers = st.one_of(
    st.integers(), st.floats(allow_nan=False).map(lambda x: Fraction(x) if x - x == 0 else x), st.fractions()
)
distributions = st.builds(
    Distribution,
    st.just((0.5, 1.0)),
    st.lists(st.integers(0, 2**70), min_size=3, max_size=3),
    numbers,
    st.floats(allow_nan=False),
    st.floats(allow_nan=False),
)
members = st.dictionaries(texts, st.none() | st.integers(0, 2**63))


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    kind = draw(st.sampled_from(Kind))
    stream = Stream(draw(texts), kind, draw(texts), draw(texts), draw(st.integers(0, 2**63)))
    values = {Kind.HISTOGRAM: distributions, Kind.MEMBERS: members}.get(kind, numbers)
    stream.points = draw(st.dictionaries(labels, values, max_size=3))
    return stream


@given(st.builds(Reading, st.integers(0, 2**63), st.lists(streams(), max_size=4)))
def test_what_is_packed_comes_back_exactly(reading: Reading) -> None:
    assert unpack(pack(reading)) == reading


@given(st.binary(max_size=200))
def test_bytes_that_are_no_reading_are_refused(noise: bytes) -> None:
    with pytest.raises(PackedError):
        unpack(noise)


@given(st.recursive(st.none() | st.integers() | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)))
def test_documents_that_are_no_reading_are_refused(document: object) -> None:
    with pytest.raises(PackedError):
        unpack(zlib.compress(json.dumps(document).encode()))


@given(st.integers(0, 400), st.integers(0, 255))
def test_damage_is_refused_or_harmless(place: int, value: int) -> None:
    stream = Stream("kaizen.execution.duration", Kind.HISTOGRAM, "s", "how long", 5)
    stream.points[("agent_name", "ann"),] = Distribution((0.5,), [1, 2], Fraction(1, 3), 0.1, 2.0)
    packed = bytearray(pack(Reading(9, [stream])))
    packed[place % len(packed)] = value
    with contextlib.suppress(PackedError):
        assert unpack(bytes(packed)) == Reading(9, [stream])


def test_what_is_cut_off_is_refused() -> None:
    with pytest.raises(PackedError, match="cut off"):
        unpack(pack(Reading(9))[:-3])


def test_another_format_is_refused_by_its_number() -> None:
    newer = zlib.compress(json.dumps({"format": FORMAT + 1}).encode())
    with pytest.raises(PackedError, match=f"format {FORMAT + 1}; this version reads {FORMAT}"):
        unpack(newer)
