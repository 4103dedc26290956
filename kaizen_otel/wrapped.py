"""The exporters that the application wrapped (`wrap_exporter`): found, flushed with their provider, given spans."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import weakref

    from opentelemetry.sdk.trace import ReadableSpan


def flush_wrapped_of(provider: weakref.ref[Any], timeout_s: float) -> bool:
    """Flush the exporters of a provider that the application wrapped: the SDK's processors above them never do."""
    wrapped = {id(one): one for one in wrapped_exporters("traces")}
    if not wrapped:
        return True
    from kaizen_processors.export.official_exporters import exporters_of  # noqa: PLC0415 - loaded when used

    deadline_s = time.monotonic() + timeout_s
    done = True
    for exporter in exporters_of(provider()):
        if id(exporter) in wrapped and not exporter.queue.ended:
            left_s = max(0.0, deadline_s - time.monotonic())
            done = exporter.force_flush(int(left_s * 1_000)) and done
    return done


def export_one(exporter: Any, span: ReadableSpan) -> None:
    """Hand one span over to an exporter."""
    exporter.export([span])


def wrapped_exporters(signal: str) -> list[Any]:
    """All that were wrapped in this process and are still in use, of `traces` or `logs`."""
    wrapping = sys.modules.get("kaizen_processors.export.wrapping")  # not loaded: nothing was wrapped
    return [] if wrapping is None else wrapping.wrapped_exporters(signal)
