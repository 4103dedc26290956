"""For your own tests: run agents and look at what they did, as plain objects.

With pytest, use the fixture `kaizen_telemetry` (installed with the package); elsewhere `capture()`.

Example:
    >>> def test_support_agent_stays_cheap(kaizen_telemetry):
    ...     my_agent.run(question="hello")
    ...     kaizen_telemetry.assert_cost(max_usd=0.01)
    ...     assert kaizen_telemetry.executions[0].success
"""

from __future__ import annotations

from kaizen_otel.testing.capture import Captured, CapturedSpan, capture
from kaizen_otel.testing.deterministic import SequentialIds, SteppingClock

__all__ = ["Captured", "CapturedSpan", "SequentialIds", "SteppingClock", "capture"]
