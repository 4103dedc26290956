"""What a span costs to encode and compress: our OTLP encoder beside the official one, in one run, turn by turn.

Run from the repository: python -m benchmarks.encode [--rounds 60] [--seconds 60] [--write]

Both encoders start from finished SDK spans and end with the bytes of a request, which are compared before anything is
measured. Batches have 512 items. zstd needs the package `zstandard`, or Python 3.14.

Then comes the rate that one core holds (`held_rate.py`): six runs of a minute; `--seconds 0` leaves them out.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as official_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

from benchmarks import held_rate
from benchmarks.harness import Case, Line, Timings, measure, write_between_markers
from kaizen_processors.export.otlp import encode_logs, encode_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
SECTION = "encode"
INTRODUCTION = """
## From finished spans to bytes

Measured by `python -m benchmarks.encode`: microseconds of processor time and bytes for each span or log record, in
batches of 512. Both encoders give the same bytes.

<!-- encode -->
<!-- /encode -->
"""
RATE_SECTION = "held rate"
RATE_INTRODUCTION = """
What that comes to: an application on one core makes model-call spans at a steady rate, and a backend on another core
takes them. Held is a rate that the application keeps, with everything delivered. 2,000, 4,000, 6,000, 8,000, 12,000 and
16,000 spans/s were the choice, tried by halving.

<!-- held rate -->
<!-- /held rate -->
"""
BATCH = 512
TURNS = 4
"""Batches a turn."""

RESOURCE = Resource({"service.name": "desk", "service.instance.id": "f3b6c1de", "telemetry.sdk.language": "python"})
TRACER = TracerProvider(resource=RESOURCE).get_tracer("kaizen_otel", "0.1.0", "https://example.test/schema")
SCOPE = InstrumentationScope("kaizen_otel", "0.1.0")
RANDOM = random.Random(20)  # noqa: S311 - figures that repeat, no secrets

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.agent.name": "writer",
    "server.address": "api.openai.com",
    "server.port": 443,
    "gen_ai.request.temperature": 0.7,
    "gen_ai.request.max_tokens": 1000,
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.finish_reasons": ("stop",),
    "kaizen.usage.cost.currency": "USD",
    "kaizen.usage.cost.source": "catalog",
    "kaizen.usage.cost.price_version": "2026-11-10",
}


def finished(name: str, attributes: Mapping[str, Any], *, fails: bool = False) -> ReadableSpan:
    parent = TRACER.start_span("invoke_agent writer")
    span = TRACER.start_span(name, set_span_in_context(parent), SpanKind.CLIENT, attributes)
    if fails:
        span.record_exception(TimeoutError("the model did not answer"))
        span.set_status(StatusCode.ERROR, "the model did not answer")
    span.end()
    assert isinstance(span, ReadableSpan)
    return span


def model_call() -> dict[str, Any]:
    """The 20 attributes of a model call: 13 that repeat, 7 that do not."""
    return CALL | {
        "gen_ai.response.id": f"chatcmpl-{RANDOM.getrandbits(128):032x}",
        "kaizen.execution.id": f"{RANDOM.getrandbits(128):032x}",
        "gen_ai.usage.input_tokens": RANDOM.randrange(100, 20_000),
        "gen_ai.usage.output_tokens": RANDOM.randrange(10, 2_000),
        "gen_ai.usage.cache_read.input_tokens": RANDOM.randrange(100),
        "gen_ai.response.time_to_first_chunk": RANDOM.random(),
        "kaizen.usage.cost.amount": RANDOM.random() / 100,
    }


def words(size: int) -> str:
    vocabulary = ["the", "agent", "answers", "with", "größer", "care", "tokens", "and", "costs", "nothing"]
    return " ".join(RANDOM.choice(vocabulary) for _ in range(size))


def with_content() -> dict[str, Any]:
    return model_call() | {"gen_ai.input.messages": words(700), "gen_ai.output.messages": words(300)}


def unlike_any_other() -> dict[str, Any]:
    """20 texts that never repeat: nothing that is remembered helps."""
    return {f"attribute.number.{number}": f"{RANDOM.getrandbits(96):024x}" for number in range(20)}


def evaluation() -> ReadableLogRecord:
    record = LogRecord(
        timestamp=1_764_000_000_000_000_000,
        severity_number=SeverityNumber.INFO,
        event_name="gen_ai.evaluation.result",
        attributes={
            "gen_ai.evaluation.name": "completeness",
            "gen_ai.evaluation.score.value": RANDOM.random(),
            "gen_ai.evaluation.score.label": "pass",
            "gen_ai.evaluation.explanation": words(12),
            "gen_ai.response.id": f"chatcmpl-{RANDOM.getrandbits(128):032x}",
            "kaizen.execution.id": f"{RANDOM.getrandbits(128):032x}",
        },
    )
    record.trace_id, record.span_id = RANDOM.getrandbits(128), RANDOM.getrandbits(64)
    return ReadableLogRecord(record, RESOURCE, SCOPE)


class Shape(NamedTuple):
    """A kind of item, a batch of them, and both encoders for it."""

    name: str
    items: list[Any]
    ours: Callable[[list[Any]], Any]
    theirs: Callable[[list[Any]], Any]


def shapes() -> list[Shape]:
    def spans(name: str, make: Callable[[], Mapping[str, Any]], *, fails: bool = False) -> Shape:
        made = [finished("chat gpt-4o", make(), fails=fails) for _ in range(BATCH)]
        return Shape(name, made, encode_spans, official_spans)

    return [
        spans("model call, 20 attributes", model_call),
        spans("… that failed, with its exception event", model_call, fails=True),
        spans("… with 5 kB of prompt and answer", with_content),
        spans("20 texts that never repeat", unlike_any_other),
        Shape("evaluation event, 6 attributes", [evaluation() for _ in range(BATCH)], encode_logs, official_logs),
    ]


def zstd() -> Callable[[bytes], bytes] | None:
    """Give zstd at level 1, if there is any."""
    try:
        compress: Callable[..., bytes] = importlib.import_module("compression.zstd").compress
        return lambda payload: compress(payload, level=1)
    except ImportError:
        pass
    try:
        compressor: Any = importlib.import_module("zstandard").ZstdCompressor(level=1)
    except ImportError:
        return None
    return lambda payload: bytes(compressor.compress(payload))


def repeated(work: Callable[[], object]) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            work()

    return run


def cases(shape: Shape, compressors: Mapping[str, Callable[[bytes], bytes]]) -> list[Case]:
    payload = shape.ours(shape.items).payload
    assert payload == shape.theirs(shape.items).SerializeToString(), "the same bytes, or the comparison says nothing"
    works: dict[str, Callable[[], object]] = {
        "ours": lambda: shape.ours(shape.items),
        "official": lambda: shape.theirs(shape.items).SerializeToString(),
    }
    for name, compress in compressors.items():
        works[name] = lambda compress=compress: compress(payload)  # type: ignore[misc]  # bound now
    return [Case(f"{shape.name}:{name}", repeated(work), count=TURNS) for name, work in works.items()]


def row(shape: Shape, timings: Timings, compressors: Mapping[str, Callable[[bytes], bytes]]) -> list[str]:
    def microseconds(name: str) -> float:
        return timings.best(Line(shape.name, f"{shape.name}:{name}", per=BATCH))

    ours, theirs = microseconds("ours"), microseconds("official")
    payload = shape.ours(shape.items).payload
    cells = [shape.name, f"{ours:.1f}", f"{theirs:.1f}", f"{theirs / ours:.1f}", f"{len(payload) / BATCH:.0f}"]
    for name, compress in compressors.items():
        cells += [f"{microseconds(name):.1f}", f"{len(compress(payload)) / BATCH:.0f}"]
    return cells


def table(rounds: int) -> str:
    compressors: dict[str, Callable[[bytes], bytes]] = {"gzip -1": lambda payload: gzip.compress(payload, 1, mtime=0)}
    if (fast := zstd()) is not None:
        compressors["zstd -1"] = fast
    all_shapes = shapes()
    timings = measure([case for shape in all_shapes for case in cases(shape, compressors)], rounds)
    header = ["", "ours µs", "official µs", "times", "bytes"]
    header += [title for name in compressors for title in (f"{name} µs", "bytes")]
    lines = [header, ["---", *("---:" for _ in header[1:])]]
    lines += [row(shape, timings, compressors) for shape in all_shapes]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each rate that is tried; 0: try none")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    options = parser.parse_args()
    show(table(options.rounds), SECTION, INTRODUCTION, write=options.write)
    if options.seconds:
        show(held_rate.table(options.seconds), RATE_SECTION, RATE_INTRODUCTION, write=options.write)


def show(text: str, section: str, introduction: str, *, write: bool) -> None:
    print(text, flush=True)
    if write:
        if f"<!-- {section} -->" not in DOCUMENT.read_text(encoding="utf-8"):
            with DOCUMENT.open("a", encoding="utf-8") as document:
                document.write(introduction)
        write_between_markers(DOCUMENT, section, text)


if __name__ == "__main__":
    main()
