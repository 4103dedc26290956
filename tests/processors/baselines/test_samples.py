"""The file of a baseline: what is written is read, and what is no baseline is refused in words."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from kaizen_processors.baselines import Baseline, BaselineError
from kaizen_processors.baselines.samples import MOST_SAMPLES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def baseline() -> Baseline:
    made = Baseline({"version": "1.2"})
    made.add("ms", [1.5, 2.0])
    made.add("quality", [0.5], "1", higher_is_better=True)
    made.add("errors", [0, 1], "%", proportion=True)
    return made


def test_what_is_saved_is_loaded(baseline: Baseline, tmp_path: Path) -> None:
    baseline.save(tmp_path / "b.json")
    read = Baseline.load(tmp_path / "b.json")
    assert (read.about, read.metrics) == (baseline.about, baseline.metrics)


def test_a_file_that_cannot_be_written_leaves_the_old_one(baseline: Baseline, tmp_path: Path) -> None:
    target = tmp_path / "b.json"
    baseline.save(target)
    kept = target.read_bytes()
    baseline.about["bad"] = object()  # type: ignore[assignment]
    with pytest.raises(TypeError):
        baseline.save(target)
    assert target.read_bytes() == kept
    assert os.listdir(tmp_path) == ["b.json"]  # noqa: PTH208 - names alone


def test_the_newest_samples_are_kept() -> None:
    made = Baseline()
    made.add("ms", range(MOST_SAMPLES + 5))
    assert made.samples("ms") == [float(n) for n in range(5, MOST_SAMPLES + 5)]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_sample_is_a_finite_number(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Baseline().add("ms", [value])


def test_a_proportion_has_only_yes_and_no() -> None:
    with pytest.raises(ValueError, match="must be 0 or 1"):
        Baseline().add("errors", [0.5], proportion=True)


SOUND: dict[str, Any] = {
    "format": "kaizen-otel-baseline",
    "version": 1,
    "about": {},
    "metrics": {"ms": {"unit": "ms", "higher_is_better": False, "proportion": False, "samples": [1]}},
}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "no baseline"),
        ('{"format": "other"}', "no baseline"),
        (json.dumps(SOUND | {"version": 9}), "version 9"),
        (json.dumps(SOUND | {"metrics": None}), "damaged"),
        (json.dumps(SOUND | {"metrics": {"ms": {"unit": "ms"}}}), "damaged"),
        (json.dumps(SOUND | {"metrics": {"ms": SOUND["metrics"]["ms"] | {"samples": ["x"]}}}), "damaged"),
        (json.dumps(SOUND).replace("[1]", "[NaN]"), "damaged"),
    ],
)
def test_what_is_no_baseline_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BaselineError, match=said) as raised:
        Baseline.load(path)
    assert str(path) in str(raised.value)
