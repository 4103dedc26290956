"""How many series of one metric a reader of the SDK holds apart."""

from __future__ import annotations

import inspect
from typing import Any, Final

from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import MetricReader

_SDK_SERIES: Final = 2_000
_OF_A_PAIR: Final = 8
"""Tokens have two series of each agent and model, executions three; durations one for each kind of error, too."""


def series_limits(max_pairs: int) -> dict[str, Any]:
    """Arguments that let a reader hold the series of every pair of agent and model that the ledger counts apart.

    The SDK's own limit is 2,000 series of one metric (1.45); half as many pairs reach it, and what comes later would
    lose its labels.
    """
    if "cardinality_limits" not in inspect.signature(MetricReader).parameters:
        return {}  # older versions have no limit
    kinds = (Counter, Histogram, ObservableCounter, ObservableGauge, ObservableUpDownCounter, UpDownCounter)
    return {"cardinality_limits": dict.fromkeys(kinds, max(_SDK_SERIES, _OF_A_PAIR * max_pairs))}
