"""Fixtures of the tests of what an application imports."""

from __future__ import annotations

from tests.kaizen_otel.alert_listeners import no_handlers_afterwards

__all__ = ["no_handlers_afterwards"]
