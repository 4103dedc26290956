"""OpenTelemetry traces, metrics, cost and quality for Kaizen agents.

Example:
    >>> import kaizen_otel
    >>> kaizen_otel.instrument(console=True)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen_otel._version import __version__
from kaizen_otel.alert_handlers import register_alert_handler, unregister_alert_handler
from kaizen_otel.api import (
    flush,
    get_transparency_interface,
    host_metrics,
    instrument,
    record_business_metrics,
    record_evaluation,
    record_execution_metrics,
    snapshot,
    stats,
    uninstrument,
)
from kaizen_otel.context import attributes, measure
from kaizen_otel.settings import MonitoringLevel, Settings, SettingsError
from kaizen_processors.execution import ExecutionMetrics
from kaizen_processors.quality.evaluation import Evaluation, EvaluationInput
from kaizen_processors.quality.evaluators import evaluator

if TYPE_CHECKING:
    from kaizen_otel.performance_monitor import PerformanceMonitor
    from kaizen_otel.realtime import RealTimeMetrics
    from kaizen_otel.transparency import ExecutionTrace, KaizenTransparencyInterface, WorkflowMonitor, WorkflowTracker
    from kaizen_processors.export.wrapping import wrap_exporter
    from kaizen_processors.snapshots import PerformanceSnapshot

__all__ = [
    "Evaluation",
    "EvaluationInput",
    "ExecutionMetrics",
    "ExecutionTrace",
    "KaizenTransparencyInterface",
    "MonitoringLevel",
    "PerformanceMonitor",
    "PerformanceSnapshot",
    "RealTimeMetrics",
    "Settings",
    "SettingsError",
    "WorkflowMonitor",
    "WorkflowTracker",
    "__version__",
    "attributes",
    "evaluator",
    "flush",
    "get_transparency_interface",
    "host_metrics",
    "instrument",
    "measure",
    "record_business_metrics",
    "record_evaluation",
    "record_execution_metrics",
    "register_alert_handler",
    "snapshot",
    "stats",
    "uninstrument",
    "unregister_alert_handler",
    "wrap_exporter",
]

_LOADED_WHEN_USED = {
    "ExecutionTrace": "kaizen_otel.transparency",
    "KaizenTransparencyInterface": "kaizen_otel.transparency",
    "PerformanceMonitor": "kaizen_otel.performance_monitor",
    "PerformanceSnapshot": "kaizen_processors.snapshots",
    "RealTimeMetrics": "kaizen_otel.realtime",
    "WorkflowMonitor": "kaizen_otel.transparency",
    "WorkflowTracker": "kaizen_otel.transparency",
    "wrap_exporter": "kaizen_processors.export.wrapping",
}


def __getattr__(name: str) -> Any:
    """Load what few programs use when it is asked for: importing us stays cheap."""
    module = _LOADED_WHEN_USED.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - see above

    return getattr(import_module(module), name)
