"""Assertions of the probes are told as those of tests are."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.versions.probes")
