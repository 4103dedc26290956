"""The same rules for Prometheus: recording and alerting rules, and promtool's unit tests for them."""

from __future__ import annotations
