"""The transparency interface: traces, trackers and figures for the application itself, in its own process."""

from __future__ import annotations

from kaizen_otel.transparency.agent_interface import AgentTransparency
from kaizen_otel.transparency.interface import KaizenTransparencyInterface
from kaizen_otel.transparency.trace import ExecutionTrace, TraceEvent, TraceMetrics
from kaizen_otel.transparency.tracker import Instrumentation, WorkflowTracker
from kaizen_otel.transparency.workflow_monitor import WorkflowMonitor

__all__ = [
    "AgentTransparency",
    "ExecutionTrace",
    "Instrumentation",
    "KaizenTransparencyInterface",
    "TraceEvent",
    "TraceMetrics",
    "WorkflowMonitor",
    "WorkflowTracker",
]
