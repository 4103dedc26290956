"""What the table says of the installed Kaizen is so: what is there works, what is not is absent, and without noise."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.patches.table import PATCHER
from kaizen_otel.testing import capture
from tests.versions.capabilities import CAPABILITIES, FULL_SUPPORT, LANES, has, installed
from tests.versions.probes import PROBES

if TYPE_CHECKING:
    from kaizen_otel.demo.model_server import ModelServer

NEWEST = LANES[0].release

# What an older Kailash and its dependencies deprecate in themselves is not what these tests are about. With the newest
# a warning is an error here as elsewhere, on every Python.
pytestmark = [] if installed() == NEWEST else [pytest.mark.filterwarnings("default")]

LEAVES_OPEN = {"delegate": "its client of OpenAI, with us and without (kaizen-agents 0.13)"}
"""Probes in which Kaizen leaves a connection open."""


def probe(name: str) -> Any:
    """The name as a parameter."""
    passing = ("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
    return pytest.param(name, marks=pytest.mark.filterwarnings(*passing)) if name in LEAVES_OPEN else name


@pytest.mark.parametrize("name", [probe(name) for name in CAPABILITIES])
def test_the_table_tells_what_is_seen(name: str, kaizen_offline: ModelServer, caplog: pytest.LogCaptureFixture) -> None:
    seen_to_fail: Exception | None = None
    with caplog.at_level(logging.INFO, "kaizen_otel"), capture(stream_usage=True) as seen:
        try:
            PROBES[name](kaizen_offline, seen)
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - whatever it is, it was not seen
            seen_to_fail = error  # type: ignore[assignment]
        failures = kaizen_otel.stats()["failures"]
        gc.collect()  # what the library leaves open warns here, where it may

    assert failures == {}
    assert [record.getMessage() for record in caplog.records if record.name.startswith("kaizen_")] == []
    if has(name):
        if seen_to_fail is not None:
            raise seen_to_fail
    else:
        assert seen_to_fail is not None, f"the table denies {name} to Kaizen {installed()}, but it works"
    assert PATCHER.patched() == {}


def test_every_row_has_a_probe_and_every_gap_an_explanation() -> None:
    assert PROBES.keys() == CAPABILITIES.keys()
    for name, capability in CAPABILITIES.items():
        gaps = [lane for lane in LANES if not has(name, lane.release)]
        assert bool(gaps) == bool(capability.without), name


def test_the_lane_runs_what_it_says() -> None:
    assert installed() in {lane.release for lane in LANES}
    assert LANES[0].release >= FULL_SUPPORT
