"""The one switch that every wrapper asks: is somebody watching?

A wrapper that was left behind (a bound method that an agent kept, another library's wrapper around ours) sees None
after `uninstrument()` and passes straight through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaizen_otel.telemetry import Telemetry

_active: Telemetry | None = None


def active() -> Telemetry | None:
    """The telemetry in force, or None."""
    return _active


def turn_on(telemetry: Telemetry) -> None:
    """Let wrappers report to this telemetry."""
    global _active  # noqa: PLW0603 - one process-wide switch is the design
    _active = telemetry


def turn_off() -> None:
    """Let wrappers pass straight through."""
    global _active  # noqa: PLW0603 - one process-wide switch is the design
    _active = None
