"""Fixtures of the tests of the surfaces."""

from __future__ import annotations

from tests.fixtures.heap import collected, small_heap

__all__ = ["collected", "small_heap"]
