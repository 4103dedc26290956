"""Assertions of the effects are told as those of tests are."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.kaizen_otel.settings.effects")
