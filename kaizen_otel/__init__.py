"""OpenTelemetry traces, metrics, cost and quality for Kaizen agents.

Example:
    >>> import kaizen_otel
    >>> kaizen_otel.instrument(console=True)  # doctest: +SKIP
"""

from __future__ import annotations

from kaizen_otel._version import __version__
from kaizen_otel.api import (
    flush,
    instrument,
    record_business_metrics,
    record_evaluation,
    stats,
    uninstrument,
)
from kaizen_otel.context import attributes, measure
from kaizen_otel.settings import MonitoringLevel, Settings, SettingsError
from kaizen_processors.execution import ExecutionMetrics
from kaizen_processors.quality.evaluation import Evaluation, EvaluationInput
from kaizen_processors.quality.evaluators import evaluator

__all__ = [
    "Evaluation",
    "EvaluationInput",
    "ExecutionMetrics",
    "MonitoringLevel",
    "Settings",
    "SettingsError",
    "__version__",
    "attributes",
    "evaluator",
    "flush",
    "instrument",
    "measure",
    "record_business_metrics",
    "record_evaluation",
    "stats",
    "uninstrument",
]
