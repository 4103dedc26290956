"""Whether the samples of one run are worse than those of another: the Mann-Whitney U test, and how large the change is.

No assumption about the distribution: times of model calls have long tails, and a mean would follow the tail. A change
is called one only when it is unlikely to be chance (`alpha`, divided among all metrics that are compared together by
Holm's rule), when most samples moved (`effect`, Cliff's delta) and when the median moved enough to matter (`shift`).
Proportions, such as of errors, are compared by Fisher's exact test, and by how far they are apart (`points`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import fmean, median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kaizen_processors.baselines.samples import Baseline, Metric


class Verdict(StrEnum):
    """What a comparison found."""

    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    UNCHANGED = "unchanged"
    TOO_FEW = "too few samples"
    ONLY_BEFORE = "only before"
    ONLY_AFTER = "only after"


@dataclass(frozen=True)
class Limits:
    """From when on a difference is a change.

    Attributes:
        samples: Fewest samples on each side. With ten and ten, a complete separation has p = 0.00001.
        alpha: Highest probability of calling any of the compared metrics changed when none is.
        effect: Least Cliff's delta, 0 to 1: how much more often a sample of one side exceeds one of the other than
            the reverse. 0.2 means 60 of 100 pairs against 40.
        shift: Least change of the median, as a part of the earlier one.
        points: Least change of a proportion, 0 to 1.
    """

    samples: int = 10
    alpha: float = 0.01
    effect: float = 0.2
    shift: float = 0.05
    points: float = 0.05

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: One is out of its range.
        """
        if self.samples < 2:  # noqa: PLR2004 - one sample has no rank
            raise ValueError(f"samples must be at least 2, not {self.samples}")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must be between 0 and 1, not {self.alpha}")
        if not 0 <= self.effect <= 1:
            raise ValueError(f"effect must be 0 to 1, not {self.effect}")
        if self.shift < 0:
            raise ValueError(f"shift must not be negative, not {self.shift}")
        if not 0 <= self.points <= 1:
            raise ValueError(f"points must be 0 to 1, not {self.points}")


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True)
class Comparison:
    """One metric, before and after.

    Attributes:
        name: The metric.
        unit: Of `before` and `after`.
        verdict: See `Verdict`.
        count_before: Samples before.
        count_after: Samples after.
        before: The median, or of a proportion its share; None when there are no samples.
        after: Likewise.
        p_value: Probability of a difference at least this large by chance, two-sided, not corrected for other metrics;
            None when there were too few samples.
        effect: Cliff's delta, or the difference of two proportions: above 0 when samples after tend to be larger; None
            as above.
    """

    name: str
    unit: str
    verdict: Verdict
    count_before: int
    count_after: int
    before: float | None = None
    after: float | None = None
    p_value: float | None = None
    effect: float | None = None

    @property
    def shift(self) -> float | None:
        """The change as a part of what was before; None when that is 0 or not known."""
        if not self.before or self.after is None:
            return None
        return (self.after - self.before) / abs(self.before)


def compare(before: Baseline, after: Baseline, limits: Limits = DEFAULT_LIMITS) -> list[Comparison]:
    """Compare every metric of two runs, in the order of the earlier one, then what is new.

    Raises:
        ModuleNotFoundError: SciPy is missing (`pip install "kaizen-otel[stats]"`).
    """
    names = [*before.metrics, *(name for name in after.metrics if name not in before.metrics)]
    measured = [_measured(name, before, after, limits) for name in names]
    return _judged(measured, before, after, limits)


def _measured(name: str, before: Baseline, after: Baseline, limits: Limits) -> Comparison:
    metric = before.metrics.get(name) or after.metrics[name]
    old, new = before.samples(name), after.samples(name)
    typical = fmean if metric.proportion else median
    found = Comparison(
        name=name,
        unit=metric.unit,
        verdict=Verdict.TOO_FEW,
        count_before=len(old),
        count_after=len(new),
        before=typical(old) if old else None,
        after=typical(new) if new else None,
    )
    if not old or not new:
        return replace(found, verdict=Verdict.ONLY_AFTER if new else Verdict.ONLY_BEFORE)
    if min(len(old), len(new)) < limits.samples:
        return found
    p_value, effect = (_proportions if metric.proportion else _ranks)(old, new)
    return replace(found, verdict=Verdict.UNCHANGED, p_value=p_value, effect=effect)


def _ranks(old: list[float], new: list[float]) -> tuple[float, float]:
    """The two-sided p of the Mann-Whitney U test, and Cliff's delta."""
    from scipy.stats import mannwhitneyu  # noqa: PLC0415 - an optional extra, and a second of import

    if len({*old, *new}) == 1:
        return 1.0, 0.0  # all ranks are tied: the test's variance is 0, and newer versions of scipy say nan
    statistic, p_value = mannwhitneyu(new, old, alternative="two-sided")
    return float(p_value), 2 * float(statistic) / (len(old) * len(new)) - 1


def _proportions(old: list[float], new: list[float]) -> tuple[float, float]:
    """The two-sided p of Fisher's exact test, and the difference of the shares."""
    from scipy.stats import fisher_exact  # noqa: PLC0415 - see above

    table = [[sum(side), len(side) - sum(side)] for side in (new, old)]
    return float(fisher_exact(table).pvalue), fmean(new) - fmean(old)


def _judged(measured: list[Comparison], before: Baseline, after: Baseline, limits: Limits) -> list[Comparison]:
    """Holm's rule: the least likely first, each against what is left of `alpha`; the first that fails ends it."""
    tested = sorted((found for found in measured if found.p_value is not None), key=lambda found: found.p_value or 0.0)
    unlikely: set[str] = set()
    for place, found in enumerate(tested):
        if found.p_value is None or found.p_value > limits.alpha / (len(tested) - place):
            break
        unlikely.add(found.name)
    return [
        replace(found, verdict=_verdict(found, metric)) if _changed(found, metric, unlikely, limits) else found
        for found, metric in (
            (found, before.metrics.get(found.name) or after.metrics[found.name]) for found in measured
        )
    ]


def _changed(found: Comparison, metric: Metric, unlikely: set[str], limits: Limits) -> bool:
    if found.name not in unlikely or found.effect is None:
        return False
    if metric.proportion:
        return abs(found.effect) >= limits.points
    # From 0 to anything else is more than any part of it.
    return abs(found.effect) >= limits.effect and (found.shift is None or abs(found.shift) >= limits.shift)


def _verdict(found: Comparison, metric: Metric) -> Verdict:
    more = (found.effect or 0.0) > 0
    return Verdict.IMPROVEMENT if more == metric.higher_is_better else Verdict.REGRESSION
