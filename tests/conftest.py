"""Fixtures that every test may use, and the suite's own checks."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
import pytest
from hypothesis import HealthCheck, settings

from kaizen_processors.export.wrapping import wrapped_exporters
from tests.conformance import claims as covered
from tests.conformance import failures
from tests.conformance.claims import claims
from tests.conformance.failures import pytest_runtest_call
from tests.conformance.plugin import (
    observe_log,
    observe_metrics,
    observe_span,
    pytest_addoption,
    pytest_report_to_serializable,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)
from tests.conformance.taps import tapped

__all__ = [
    "claims",
    "pytest_addoption",
    "pytest_report_to_serializable",
    "pytest_runtest_call",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
]

# What the developer's shell says of OpenTelemetry is not what the tests mean, nor how wide pytest's workers say it is.
for _name in list(os.environ):
    if _name.startswith(("OTEL_", "KAIZEN_OTEL_")) or _name in {"COLUMNS", "LINES"}:
        del os.environ[_name]

# Stores of tests are none of the developer's applications: `kaizen-otel top` lists those.
_RUNTIME_FOLDER = tempfile.TemporaryDirectory(prefix="runtime-")
os.environ["XDG_RUNTIME_DIR"] = _RUNTIME_FOLDER.name

# What a script runs in the background ignores Ctrl+C, and so would the programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A property holds on a busy machine, and while coverage is measured: how long an example took says nothing about it.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

pytest_plugins = ["tests.fixtures.model_server"]

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_configure(config: pytest.Config) -> None:
    """Declare the suite's own markers."""
    failures.pytest_configure(config)
    covered.pytest_configure(config)


@pytest.fixture(autouse=True)
def _handlers_of_signals() -> Iterator[None]:
    """Kaizen's interruptible agents leave handlers of theirs behind: Ctrl+C would raise nothing any more."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _wrapped_exporters_end() -> Iterator[None]:
    """Ours feeds and counts every exporter that the process has wrapped: one left open would be in later tests."""
    yield
    left = [one for one in wrapped_exporters("traces") + wrapped_exporters("logs") if not one.queue.ended]
    for exporter in left:
        exporter.shutdown(0)
    assert not left, "the test wrapped exporters and did not shut them down"


@pytest.fixture(autouse=True, scope="session")
def _few_authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trust one authority, not 120: each client of a model reads them all, and the models of the tests speak no TLS."""
    end = "-----END CERTIFICATE-----\n"
    known = Path(certifi.where()).read_text(encoding="utf-8")
    one = tmp_path_factory.mktemp("authorities") / "one.pem"
    one.write_text(known[: known.index(end)] + end, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(one))
        yield


@pytest.fixture(autouse=True, scope="session")
def _conformance() -> Iterator[None]:
    """Everything that any test emits is judged by the registry and the pinned conventions."""
    with tapped(observe_span, observe_metrics, observe_log):
        yield
