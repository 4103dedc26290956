"""Assertions of the probes are told as those of tests are, and what a probe leaves open is collected at once."""

from __future__ import annotations

import pytest

from tests.fixtures.heap import collected, small_heap

__all__ = ["collected", "small_heap"]

pytest.register_assert_rewrite("tests.versions.probes")
