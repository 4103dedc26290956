"""Kailash's own workflow tracer: a second span for each workflow, never current and sometimes never ended.

It is on by default wherever OpenTelemetry can be imported (kailash 1.0 to 2.65). While we watch, its level is NONE,
unless `KAILASH_TRACING_LEVEL` says that somebody wants it; uninstrumenting puts the old level back.
"""

from __future__ import annotations

import os
from typing import Any

from kaizen_otel.patches.patcher import Patcher, Surface


def apply(patcher: Patcher, module: Any) -> None:
    """Silence the tracer while we are on."""
    if os.environ.get("KAILASH_TRACING_LEVEL"):
        return
    tracer = module.get_workflow_tracer()
    # The first versions (kailash 1.0 to 2.2) know no levels: the tracer is on or off.
    name, silent = ("level", module.TracingLevel.NONE) if hasattr(module, "TracingLevel") else ("_enabled", False)
    before = getattr(tracer, name)
    setattr(tracer, name, silent)

    def restore() -> None:
        setattr(tracer, name, before)

    patcher.on_turn_off(restore)


SURFACE = Surface("kailash.runtime.tracing", apply)
