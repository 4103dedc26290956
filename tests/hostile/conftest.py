"""Fixtures of the tests of everything hostile."""

from __future__ import annotations

from tests.fixtures.heap import collected, small_heap

__all__ = ["collected", "small_heap"]
