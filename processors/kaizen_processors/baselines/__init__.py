"""Baselines: what something took before, and whether it takes more now."""

from __future__ import annotations

from kaizen_processors.baselines.comparison import Comparison, Limits, Verdict, compare
from kaizen_processors.baselines.samples import Baseline, BaselineError, Metric

__all__ = [
    "Baseline",
    "BaselineError",
    "Comparison",
    "Limits",
    "Metric",
    "Verdict",
    "compare",
]
