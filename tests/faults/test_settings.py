"""Ends of an application that only has kaizen-otel and its settings: SIGTERM, SIGKILL."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from tests.faults.support import numbered, running, wait_until
from tests.processors.delivery.backend import HANG, Backend, Reply, unused_url

if TYPE_CHECKING:
    from pathlib import Path

SPANS = 200


def variables(url: str, **settings: str) -> dict[str, str]:
    named = {f"KAIZEN_OTEL_{name.upper()}": value for name, value in settings.items()}
    return {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{url}/v1/traces", **named}


def test_sigterm_without_a_handler_is_pythons_and_loses_what_waits() -> None:
    # The first answer never comes, so that what has not been delivered is known.
    with (
        Backend(Reply(HANG)) as backend,
        running("instrumented", SPANS, variables=variables(backend.url)) as app,
    ):
        app.wait_for("made")
        app.process.terminate()
        app.end(-signal.SIGTERM)
        assert backend.taken == []


def test_sigterm_with_a_handler_that_ends_the_program_delivers() -> None:
    with (
        Backend() as backend,
        running("instrumented", SPANS, "handle", variables=variables(backend.url)) as app,
    ):
        app.wait_for("made")
        app.process.terminate()
        app.end()
        assert backend.taken == numbered(SPANS)


def test_sigterm_delivers_when_that_is_asked_for() -> None:
    asked = {"flush_on_sigterm": "true", "exit_timeout_s": "30s"}
    with Backend() as backend, running("instrumented", SPANS, variables=variables(backend.url, **asked)) as app:
        app.wait_for("made")
        app.process.terminate()
        app.end(-signal.SIGTERM)
        assert backend.taken == numbered(SPANS)


def test_a_spool_of_the_settings_outlives_a_kill(tmp_path: Path) -> None:
    spool = {"spool": str(tmp_path / "spool")}
    with running("instrumented", SPANS, "flush", variables=variables(unused_url(), **spool)) as app:
        assert app.wait_for("flushed")["said"] is True
        app.process.kill()
        app.end(-signal.SIGKILL)
    with Backend() as backend, running("instrumented", 0, variables=variables(backend.url, **spool)) as later:
        wait_until(lambda: set(backend.taken) == set(numbered(SPANS)))
        later.end()
