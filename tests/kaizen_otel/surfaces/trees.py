"""What every captured tree must satisfy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaizen_otel.testing import Captured


def assert_one_trace(captured: Captured) -> None:
    """All spans share the caller's trace, hang below its span, and have names without anything generated in them."""
    spans = captured.spans
    caller = captured.span("caller")
    known = {span.span_id for span in spans}
    assert {span.trace_id for span in spans} == {caller.trace_id}
    assert [span.name for span in spans if span.parent_id not in known] == ["caller"]
    for span in spans:
        assert not re.search(r"[0-9a-f]{8}|\d{5,}", span.name), span.name
