"""A failure of telemetry's own fails the test that did not expect it.

The fence keeps such a failure from the application, and so from every assertion about the application: what was to be
recorded is missing, and a test that does not look for just that passes. A test that makes telemetry fail on purpose
says so with `@pytest.mark.telemetry_fails`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import kaizen_otel

if TYPE_CHECKING:
    from collections.abc import Generator

MARKER = "telemetry_fails"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", f"{MARKER}: this test makes telemetry fail, and says how")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Look at what failed while the test's telemetry is still there."""
    result = yield
    failures = kaizen_otel.stats().get("failures")  # none where the test has ended its telemetry itself
    if failures and item.get_closest_marker(MARKER) is None:
        pytest.fail(f"telemetry failed behind the fence: {failures}", pytrace=False)
    return result
