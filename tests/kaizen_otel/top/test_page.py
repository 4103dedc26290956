"""What docs/top.md shows is what is drawn."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from kaizen_otel.report import writing
from kaizen_otel.report.compiling import compile_report
from kaizen_otel.report.stretches import stretch
from kaizen_otel.top.drawing import lines
from kaizen_processors.export.figures import UNICODE
from kaizen_processors.pricing.price import Price
from tests.docs.pages import ROOT
from tests.kaizen_otel.top.frames import documented
from tests.processors.store.host import Host
from tests.processors.windows.records import CENT, call, execution

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PAGE = ROOT / "docs" / "top.md"


def shown(what: str) -> str:
    """The block of the page under this comment."""
    found = re.search(rf"<!-- {what} -->\n```text\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_frame_of_the_page_is_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()

    drawn = "\n".join(line.plain.rstrip() for line in lines(documented(), 100, UNICODE)).rstrip("\n")

    assert shown("frame") == drawn


def test_the_report_of_the_page_is_what_is_written(tmp_path: Path) -> None:
    host = Host(tmp_path, 1)
    (worker,) = host.workers
    agents = (
        ("support-router", "gpt-4o-mini", 400, 1),
        ("researcher", "gpt-4o", 3_500, 7),
        ("writer", "gpt-4o", 1_800, 3),
    )
    for hour in range(48):
        for number, (name, model, duration_ms, cents) in enumerate(agents):
            for one in range((3 - number) * (1 + (hour * 7) % 4 + hour // 24)):
                worker.see(call(name, model, (1_800 + 40 * hour, 160), price=Price(cents * CENT)))
                status = "error" if (hour + one + number) % 23 == 0 else "success"
                worker.see(
                    execution(name, model, status=status, duration_ms=duration_ms + 10 * hour, quality_score=0.9)
                )
        host.wait(3_600.0)
        worker.tick()
    host.settle()

    with host.reader() as reader:
        zone = ZoneInfo("UTC")
        of = stretch("24h", "now", zone, reader.now_ns())
        text = writing.as_text(compile_report(reader, "support-desk", of, "agent", zone), UNICODE)

    # The page leaves out what repeats itself.
    head, _, trend = text.partition("\n\nBy hour\n")
    assert shown("report") == "\n".join([head, "", "By hour", *trend.splitlines()[:7], "…"])
