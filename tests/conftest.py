"""Fixtures that every test may use, and the suite's own checks."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kaizen_otel.testing.capture import LISTENERS
from tests.conformance.plugin import (
    observe_log,
    observe_metrics,
    observe_span,
    pytest_addoption,
    pytest_sessionfinish,
    pytest_terminal_summary,
)

__all__ = ["pytest_addoption", "pytest_sessionfinish", "pytest_terminal_summary"]

# Kaizen writes run tracking below HOME unless told otherwise: a test run leaves nothing behind.
os.environ.setdefault("KAILASH_TRACKING_DIR", str(Path(tempfile.gettempdir()) / "kaizen-otel-tests"))
for _name in [name for name in os.environ if name.startswith(("OTEL_", "KAIZEN_OTEL_"))]:
    del os.environ[_name]

pytest_plugins = ["tests.fixtures.model_server"]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.testing import Captured


@pytest.fixture(autouse=True, scope="session")
def _conformance() -> Iterator[None]:
    """Everything that any test emits is judged by the registry and the pinned conventions."""
    LISTENERS.append(_judge)
    yield
    LISTENERS.remove(_judge)


def _judge(captured: Captured) -> None:
    for span in captured.everything:
        observe_span(span)
    for data in captured.collections:
        observe_metrics(data)
    for record in captured.log_records:
        observe_log(record)
