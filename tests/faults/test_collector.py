"""A real Collector that is killed, or stopped in order, and started again in the middle of a stream of spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.collectors import Collectors
from tests.faults.support import END_S, numbered, running, wait_until
from tests.processors.delivery.backend import Backend

if TYPE_CHECKING:
    from pathlib import Path

RATE = 2_000


@pytest.mark.parametrize("spooled", [False, True], ids=["memory", "spool"])
@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
def test_a_collector_that_restarts_gets_everything(killed: bool, spooled: bool, tmp_path: Path) -> None:
    spans = 12 * RATE
    spool = ("--spool", tmp_path / "spool") if spooled else ()
    with Backend() as sink:
        collectors = Collectors(sink, tmp_path)
        with running("app", collectors.url, "--spans", spans, "--rate", RATE, "--end", "hold", *spool) as app:
            for end in (2 * RATE, 5 * RATE):
                with collectors.one() as collector:
                    assert sink.wait_for_items(end, END_S)
                    if killed:
                        collector.process.kill()
            with collectors.one():
                made = app.wait_for("made")
                wait_until(lambda: len(set(sink.taken)) >= spans)
                assert set(sink.taken) == set(numbered(spans))
                app.end()
    assert made["dropped"] == {}
    # Twice is what was answered while nobody could hear it: at most the one request under way, at each of the ends.
    assert len(sink.taken) - spans <= 2 * 512
