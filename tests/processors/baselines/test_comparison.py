"""When a run is called worse than another, and when not."""

from __future__ import annotations

import random

import pytest

from benchmarks.false_alarms import ANY_SIZE, rate
from kaizen_processors.baselines import Baseline, Comparison, Limits, Verdict, compare


def run(**metrics: list[float]) -> Baseline:
    made = Baseline()
    for name, samples in metrics.items():
        made.add(name, samples)
    return made


def times(seed: int, count: int = 40, factor: float = 1.0) -> list[float]:
    rng = random.Random(seed)  # noqa: S311 - simulated measurements
    return [factor * rng.lognormvariate(0, 0.5) for _ in range(count)]


def only(found: list[Comparison]) -> Comparison:
    (one,) = found
    return one


def test_a_run_that_takes_longer_is_a_regression_and_the_other_way_an_improvement() -> None:
    slow, quick = run(ms=times(1, factor=2.0)), run(ms=times(2))

    worse = only(compare(quick, slow))
    assert worse.verdict is Verdict.REGRESSION
    assert worse.effect is not None
    assert worse.effect > 0.5
    assert worse.shift == pytest.approx((worse.after or 0) / (worse.before or 1) - 1)
    assert only(compare(slow, quick)).verdict is Verdict.IMPROVEMENT


def test_more_quality_is_an_improvement() -> None:
    less, more = Baseline(), Baseline()
    less.add("quality", times(1), "1", higher_is_better=True)
    more.add("quality", times(2, factor=2.0), "1", higher_is_better=True)
    assert only(compare(less, more)).verdict is Verdict.IMPROVEMENT
    assert only(compare(more, less)).verdict is Verdict.REGRESSION


def test_one_slow_call_changes_nothing() -> None:
    before, after = times(1), [*times(1)[:-1], 10_000.0]
    assert only(compare(run(ms=before), run(ms=after))).verdict is Verdict.UNCHANGED


def test_with_few_samples_nothing_is_said() -> None:
    found = only(compare(run(ms=[1.0] * 9), run(ms=[100.0] * 500)))
    assert (found.verdict, found.p_value, found.effect) == (Verdict.TOO_FEW, None, None)
    assert only(compare(run(ms=[1.0] * 10), run(ms=[100.0] * 500))).verdict is Verdict.REGRESSION


def test_what_only_one_run_has_is_named() -> None:
    found = compare(run(a=[1.0] * 20, b=[1.0] * 20), run(b=[1.0] * 20, c=[1.0] * 20))
    assert [(one.name, one.verdict) for one in found] == [
        ("a", Verdict.ONLY_BEFORE),
        ("b", Verdict.UNCHANGED),
        ("c", Verdict.ONLY_AFTER),
    ]


def test_a_sure_but_small_change_is_none() -> None:
    before = [100.0 + 0.001 * n for n in range(500)]
    after = [one + 1.0 for one in before]
    found = only(compare(run(ms=before), run(ms=after)))
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert (found.effect, found.verdict) == (1.0, Verdict.UNCHANGED)
    assert only(compare(run(ms=before), run(ms=after), Limits(shift=0.005))).verdict is Verdict.REGRESSION


def test_anything_is_more_than_nothing() -> None:
    found = only(compare(run(usd=[0.0] * 20), run(usd=[0.01] * 20)))
    assert (found.shift, found.verdict) == (None, Verdict.REGRESSION)


def test_alpha_is_shared_by_all_that_is_compared() -> None:
    before, after = times(1, 30), times(10, 30, factor=1.45)
    alone = only(compare(run(m0=before), run(m0=after)))
    assert alone.p_value is not None
    assert 0.01 / 50 < alone.p_value < 0.01
    assert alone.verdict is Verdict.REGRESSION

    same = {f"m{n}": times(100 + n) for n in range(1, 50)}
    among = compare(run(m0=before, **same), run(m0=after, **same))
    assert among[0].p_value == alone.p_value
    assert among[0].verdict is Verdict.UNCHANGED


def errors(failed: int, of: int) -> Baseline:
    made = Baseline()
    made.add("errors", [1.0] * failed + [0.0] * (of - failed), "%", proportion=True)
    return made


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ((2, 200), (30, 200), Verdict.REGRESSION),
        ((30, 200), (2, 200), Verdict.IMPROVEMENT),
        ((2, 200), (4, 200), Verdict.UNCHANGED),
        ((10, 10_000), (60, 10_000), Verdict.UNCHANGED),
        ((0, 200), (0, 200), Verdict.UNCHANGED),
    ],
)
def test_shares_of_errors_are_compared_as_shares(
    before: tuple[int, int], after: tuple[int, int], verdict: Verdict
) -> None:
    found = only(compare(errors(*before), errors(*after)))
    assert found.verdict is verdict
    assert found.after == pytest.approx(after[0] / after[1])


def test_false_alarms_are_as_rare_as_promised() -> None:
    """A thousand runs in which nothing changed, without the limits that stand beside p and only make alarms rarer."""
    assert rate(1_000, 30, 1.0, ANY_SIZE) <= 0.01
    assert rate(20, 30, 2.0, Limits()) > 0.9


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"samples": 1}, "samples must be at least 2"),
        ({"alpha": 0.0}, "alpha must be between 0 and 1"),
        ({"effect": 1.5}, "effect must be 0 to 1"),
        ({"shift": -0.1}, "shift must not be negative"),
        ({"points": 2.0}, "points must be 0 to 1"),
    ],
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Limits(**wrong)  # type: ignore[arg-type]
