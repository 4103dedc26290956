"""The pytest plugin: the fixture `kaizen_telemetry`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.testing.capture import Captured


@pytest.fixture
def kaizen_telemetry(request: pytest.FixtureRequest) -> Iterator[Captured]:
    """What agents did in this test: spans, executions, metrics, with a deterministic clock and ids.

    Settings are given with `@pytest.mark.kaizen_otel(content="span")`.
    """
    from kaizen_otel.testing.capture import capture  # noqa: PLC0415 - only tests that ask pay for the import

    marker = request.node.get_closest_marker("kaizen_otel")
    with capture(**(marker.kwargs if marker is not None else {})) as captured:
        yield captured


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "kaizen_otel(**settings): settings of the fixture kaizen_telemetry")
