"""One run of the demo: the desk answers its tickets, and what kaizen-otel saw of it is collected."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import kaizen_otel
from kaizen_otel.demo.desk_answers import DESK_ANSWERS
from kaizen_otel.demo.loopback import lift_loopback_guard
from kaizen_otel.demo.model_server import ModelServer
from kaizen_otel.demo.quiet import FailedExports, quiet_kaizen
from kaizen_otel.outputs import otlp_wanted
from kaizen_otel.patches.switch import active
from kaizen_processors.export.otlp_file import read_otlp_json
from kaizen_processors.trace_tree import Trace, build_traces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

KEY_VARIABLE: Final = "OPENAI_API_KEY"
_DEFAULT_ENDPOINT: Final = "http://localhost:4318"
_FLUSH_TIMEOUT_S: Final = 15.0
_TIMEOUT_VARIABLES: Final = (
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
)


class Audience(Protocol):
    """Who watches a run."""

    def begin(self, *, local: bool) -> None:
        """The run begins, with the local model server or the real provider."""

    def question(self, asker: str, text: str) -> None:
        """Somebody asks."""

    def text(self, piece: str) -> None:
        """A piece of the answer."""

    def answered(self, traces: Sequence[Trace]) -> None:
        """The answer is complete; its trace, none when no span was recorded."""


@dataclass(frozen=True, slots=True)
class Export:
    """What became of the telemetry: where it was to go (None: nowhere), whether it arrived, else why not."""

    endpoint: str | None
    delivered: bool = False
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class DemoRun:
    """What a run showed: the traces, one for each question, `kaizen_otel.stats()`, and the export."""

    local: bool
    traces: tuple[Trace, ...]
    stats: Mapping[str, Any]
    export: Export


def run_demo(audience: Audience, *, offline: bool) -> DemoRun:
    """Let the desk work one shift: three tickets and a report.

    Args:
        audience: Who watches.
        offline: Use the local model server even when a key is set.
    """
    local = offline or not os.environ.get(KEY_VARIABLE)
    with ExitStack() as stack:
        stack.enter_context(quiet_kaizen())
        failed_exports = stack.enter_context(FailedExports())
        stack.enter_context(_short_export_timeout())
        file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kaizen-otel-demo-"))) / "spans.jsonl"
        settings = _settings(file)
        kaizen_otel.instrument(settings)
        stack.callback(kaizen_otel.uninstrument)
        if local:
            server = stack.enter_context(ModelServer())
            server.script(DESK_ANSWERS)
            stack.enter_context(lift_loopback_guard(server.url))
        audience.begin(local=local)
        traces = _work_a_shift(audience, file)
        flushed = kaizen_otel.flush(_FLUSH_TIMEOUT_S)
        return DemoRun(local, traces, kaizen_otel.stats(), _export(settings, failed_exports, flushed=flushed))


def _settings(file: Path) -> kaizen_otel.Settings:
    named: dict[str, Any] = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service_name": "kaizen-otel-demo"}
    return kaizen_otel.Settings.load(file=file, console=False, stream_usage=True, **named)


@contextmanager
def _short_export_timeout() -> Iterator[None]:
    """Nobody watches a demo wait half a minute for a collector that is not there; what the user set is kept."""
    if any(os.environ.get(name) for name in _TIMEOUT_VARIABLES):
        yield
        return
    os.environ[_TIMEOUT_VARIABLES[0]] = "3"
    try:
        yield
    finally:
        del os.environ[_TIMEOUT_VARIABLES[0]]


def _work_a_shift(audience: Audience, file: Path) -> tuple[Trace, ...]:
    # Kaizen takes two seconds to import, and its warnings are to be quiet by then.
    from kaizen_otel.demo.support_desk import TICKETS, Models, SupportDesk  # noqa: PLC0415

    shown: list[Trace] = []
    desk = SupportDesk(Models.from_environment(), audience.text)
    desk.open()
    before = {trace.trace_id for trace in _traces_in(file)}

    def watched(asker: str, text: str, answer: Callable[[], str]) -> str:
        audience.question(asker, text)
        answered = answer()
        known = before | {trace.trace_id for trace in shown}
        new = [trace for trace in _traces_in(file) if trace.trace_id not in known]
        shown.extend(new)
        audience.answered(new)
        return answered

    answers = [watched(ticket.user_id, ticket.text, partial(desk.answer, ticket)) for ticket in TICKETS]
    watched("boss", "How was the shift?", partial(desk.report, answers))
    return tuple(shown)


def _traces_in(file: Path) -> list[Trace]:
    telemetry = active()
    if telemetry is not None:
        telemetry.pipeline.flush(_FLUSH_TIMEOUT_S)  # the file alone: a collector that is not there is waited for once
    # Where OTEL_SDK_DISABLED is set, nothing opens the file.
    return build_traces(read_otlp_json(file)) if file.exists() else []


def _export(settings: kaizen_otel.Settings, failed: FailedExports, *, flushed: bool) -> Export:
    if not otlp_wanted(settings):
        return Export(None)
    variables = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    endpoint = next((os.environ[name] for name in variables if os.environ.get(name)), _DEFAULT_ENDPOINT)
    trouble = failed.first or (None if flushed else _lost() or f"no answer within {_FLUSH_TIMEOUT_S:g} s")
    return Export(endpoint, delivered=trouble is None, trouble=trouble)


def _lost() -> str:
    """What was given up, in words; empty when nothing was."""
    found = [
        f"{items} {signal} {reason.replace('_', ' ')}"
        for signal, counts in kaizen_otel.stats()["delivery"].items()
        for reason, items in counts.dropped.items()
    ]
    return ", ".join(found)
