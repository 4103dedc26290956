from __future__ import annotations

import json
import logging
import math
import os
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from kaizen_processors.export.otlp_file import JsonLinesFile, OtlpFileError, OtlpJsonFileExporter, read_otlp_json
from kaizen_processors.export.otlp_log_file import OtlpJsonLogFileExporter

if TYPE_CHECKING:
    from pathlib import Path

START = 1_764_000_000_000_000_000
TRACER = TracerProvider(resource=Resource({"service.name": "desk"})).get_tracer("kaizen_otel", "1.2")


def finished(name: str = "chat m", **attributes: Any) -> ReadableSpan:
    span = TRACER.start_span(name, kind=SpanKind.CLIENT, start_time=START, attributes=attributes)
    span.end(START + 5)
    assert isinstance(span, ReadableSpan)
    return span


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def only_span(path: Path) -> dict[str, Any]:
    ((line),) = lines(path)
    span: dict[str, Any] = line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    return span


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spans.jsonl"


# -- writing --------------------------------------------------------------------------------------------------------


def test_a_span_is_written_as_the_otlp_json_encoding_demands(path: Path) -> None:
    parent = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    linked = SpanContext(0x123, 0x456, is_remote=False)
    span = TRACER.start_span(
        "chat m",
        set_span_in_context(NonRecordingSpan(parent)),
        SpanKind.CLIENT,
        {"i": 1 << 60, "d": 0.5, "n": math.nan, "b": False, "l": ("x", "y"), "traceId": "not an id", "s": "größer\n"},
        [Link(linked)],
        START,
    )
    span.add_event("event", {"k": 1}, START + 1)
    span.set_status(StatusCode.ERROR, "broken")
    span.end(START + 5)
    assert isinstance(span, ReadableSpan)
    assert OtlpJsonFileExporter(path).export([span]) is SpanExportResult.SUCCESS
    (line,) = lines(path)
    (resource,) = line["resourceSpans"]
    assert resource["resource"]["attributes"] == [{"key": "service.name", "value": {"stringValue": "desk"}}]
    (scope,) = resource["scopeSpans"]
    assert scope["scope"] == {"name": "kaizen_otel", "version": "1.2"}
    assert scope["spans"] == [
        {
            "traceId": f"{0xABC:032x}",
            "spanId": f"{span.get_span_context().span_id:016x}",
            "parentSpanId": f"{0xDEF:016x}",
            "flags": 0x300,
            "name": "chat m",
            "kind": 3,
            "startTimeUnixNano": str(START),
            "endTimeUnixNano": str(START + 5),
            "attributes": [
                {"key": "i", "value": {"intValue": str(1 << 60)}},
                {"key": "d", "value": {"doubleValue": 0.5}},
                {"key": "n", "value": {"doubleValue": "NaN"}},
                {"key": "b", "value": {"boolValue": False}},
                {"key": "l", "value": {"arrayValue": {"values": [{"stringValue": "x"}, {"stringValue": "y"}]}}},
                {"key": "traceId", "value": {"stringValue": "not an id"}},
                {"key": "s", "value": {"stringValue": "größer\n"}},
            ],
            "events": [
                {
                    "timeUnixNano": str(START + 1),
                    "name": "event",
                    "attributes": [{"key": "k", "value": {"intValue": "1"}}],
                }
            ],
            "links": [{"traceId": f"{0x123:032x}", "spanId": f"{0x456:016x}", "flags": 0x100}],
            "status": {"message": "broken", "code": 2},
        }
    ]


def test_each_batch_is_one_line_appended(path: Path) -> None:
    OtlpJsonFileExporter(path).export([finished("a"), finished("b")])
    OtlpJsonFileExporter(path).export([finished("c")])
    assert path.read_bytes().count(b"\n") == 2
    assert [node.name for node in read_otlp_json(path)] == ["a", "b", "c"]


def test_an_empty_batch_writes_nothing(path: Path) -> None:
    assert OtlpJsonFileExporter(path).export([]) is SpanExportResult.SUCCESS
    assert path.read_bytes() == b""


def test_only_its_owner_may_read_the_file(path: Path) -> None:
    before = os.umask(0)
    try:
        OtlpJsonFileExporter(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        OtlpJsonFileExporter(tmp_path / "no folder" / "spans.jsonl")


def test_a_disk_that_fails_later_is_counted_and_the_application_goes_on(path: Path) -> None:
    exporter = OtlpJsonFileExporter(path)
    path.unlink()
    path.mkdir()
    assert exporter.export([finished(), finished()]) is SpanExportResult.FAILURE
    assert exporter.dropped == 2
    assert exporter.fence.counts() == {"otlp_file.write:IsADirectoryError": 1}


def test_a_rotated_file_is_made_anew(path: Path) -> None:
    exporter = OtlpJsonFileExporter(path)
    exporter.export([finished("old")])
    path.rename(path.with_suffix(".1"))
    exporter.export([finished("new")])
    assert [node.name for node in read_otlp_json(path)] == ["new"]


def test_after_shutdown_nothing_is_written(path: Path) -> None:
    exporter = OtlpJsonFileExporter(path)
    assert exporter.force_flush()
    exporter.shutdown()
    assert exporter.export([finished()]) is SpanExportResult.FAILURE
    assert path.read_bytes() == b""


def test_a_span_that_cannot_be_encoded_takes_no_other_with_it(path: Path) -> None:
    exporter = OtlpJsonFileExporter(path)
    batch = [finished("a"), finished("lone \ud800 surrogate"), finished("b"), finished("c")]
    assert exporter.export(batch) is SpanExportResult.FAILURE
    assert [node.name for node in read_otlp_json(path)] == ["a", "b", "c"]
    assert exporter.dropped == 1
    assert sum(exporter.fence.counts().values()) == 1


def test_no_line_is_longer_than_the_collector_reads(path: Path) -> None:
    spans = [finished(str(number), text="x" * 200_000) for number in range(12)]
    assert OtlpJsonFileExporter(path).export(spans) is SpanExportResult.SUCCESS
    assert max(len(line) for line in path.read_bytes().splitlines()) < 1024 * 1024
    assert [node.name for node in read_otlp_json(path)] == [str(number) for number in range(12)]


def test_threads_write_whole_lines(path: Path) -> None:
    exporter = OtlpJsonFileExporter(path)
    threads = [
        threading.Thread(target=lambda: [exporter.export([finished(text="y" * 9_000)]) for _ in range(20)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(read_otlp_json(path))) == 80


def test_what_follows_a_torn_line_is_not_glued_to_it(path: Path) -> None:
    exporter = OtlpJsonFileExporter(path)
    exporter.export([finished("whole")])
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    exporter.export([finished("after")])
    torn: list[OtlpFileError] = []
    assert [node.name for node in read_otlp_json(path, on_torn=torn.append)] == ["whole", "after"]
    assert [error.line for error in torn] == [2]


def test_a_short_write_is_continued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:7])))
        JsonLinesFile(path).append([b"0123456789", b"abc"])
    assert path.read_bytes() == b"0123456789\nabc\n"


def test_it_works_behind_an_sdk_provider(path: Path) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OtlpJsonFileExporter(path)))
    with provider.get_tracer("t").start_as_current_span("root"):
        provider.get_tracer("t").start_span("child").end()
    provider.shutdown()
    child, root = read_otlp_json(path)
    assert (child.name, child.parent_id) == ("child", root.span_id)


def test_log_records_go_to_a_file_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "logs.jsonl"
    exporter = OtlpJsonLogFileExporter(path)
    provider = LoggerProvider(resource=Resource({"service.name": "desk"}), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    span = SpanContext(0xABC, 0xDEF, is_remote=False)
    provider.get_logger("kaizen_otel").emit(
        LogRecord(
            timestamp=START,
            observed_timestamp=START + 1,
            context=set_span_in_context(NonRecordingSpan(span)),
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            body="scored",
            attributes={"gen_ai.evaluation.score.value": 0.5},
            event_name="gen_ai.evaluation.result",
        )
    )
    ((line),) = lines(path)
    (record,) = line["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert record == {
        "timeUnixNano": str(START),
        "observedTimeUnixNano": str(START + 1),
        "severityNumber": 9,
        "severityText": "INFO",
        "body": {"stringValue": "scored"},
        "attributes": [{"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": 0.5}}],
        "traceId": f"{0xABC:032x}",
        "spanId": f"{0xDEF:016x}",
        "eventName": "gen_ai.evaluation.result",
    }
    assert list(read_otlp_json(path)) == []
    assert exporter.force_flush()
    provider.shutdown()
    assert exporter.export([]) is LogRecordExportResult.FAILURE


# -- reading --------------------------------------------------------------------------------------------------------


def test_what_was_written_is_read_back(path: Path) -> None:
    span = finished("chat m", s="x", i=3, d=0.25, b=True, l=("a", "b"))
    OtlpJsonFileExporter(path).export([span])
    (node,) = read_otlp_json(path)
    assert node.attributes == {"s": "x", "i": 3, "d": 0.25, "b": True, "l": ["a", "b"]}
    assert (node.name, node.kind, node.start_ns, node.duration_ns) == ("chat m", "client", START, 5)
    assert (node.service, node.scope, node.parent_id) == ("desk", "kaizen_otel", None)


def test_a_torn_last_line_is_reported_and_the_rest_is_read(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exporter = OtlpJsonFileExporter(path)
    exporter.export([finished("first ü")])
    whole = path.read_bytes()
    with caplog.at_level(logging.WARNING, "kaizen_otel"):
        for length in range(2, len(whole) - 2):
            path.write_bytes(whole + whole[:length])
            caplog.clear()
            assert [node.name for node in read_otlp_json(path)] == ["first ü"]
            assert caplog.messages == [f"{path}:2: is torn, its spans are lost"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("root:x:0:0:root:/root:/bin/sh, and more text than a torn end would have", "is not JSON"),
        ('{"a": nonsense, "and": "more text than a torn end would have, by far"}', "is not JSON"),
        ("[]", "is not OTLP-JSON"),
        ('{"spans": []}', "is not OTLP-JSON"),
        ('{"resourceSpans": 7}', "resourceSpans is not a list"),
        ('{"resourceSpans": [{"scopeSpans": [{"spans": [3]}]}]}', "spans is not a list of objects"),
        ('{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "QUJD"}]}]}]}', "traceId is not 32 hex digits"),
        ('{"resourceSpans":' + "[" * 200_000 + "]" * 200_000 + "}", "nested too deeply|recursion"),
        ("{", "is not JSON"),
    ],
)
def test_a_line_that_is_something_else_is_an_error_with_its_place(path: Path, line: str, reason: str) -> None:
    path.write_text('{"resourceSpans": []}\n\n' + line + "\n", "utf-8")
    with pytest.raises(OtlpFileError, match=reason) as raised:
        list(read_otlp_json(path))
    assert str(raised.value).startswith(f"{path}:3: ")


def test_bytes_that_are_no_text_are_an_error_with_their_place(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00binary\n")
    with pytest.raises(OtlpFileError, match="is not UTF-8") as raised:
        list(read_otlp_json(path))
    assert raised.value.line == 1


def test_lines_of_other_signals_and_empty_lines_are_passed_over(path: Path) -> None:
    OtlpJsonFileExporter(path).export([finished("span")])
    path.write_bytes(b'{"resourceLogs": [{}]}\n\n{"resourceMetrics": []}\n' + path.read_bytes())
    assert [node.name for node in read_otlp_json(path)] == ["span"]


def test_a_missing_resource_and_scope_are_no_error(path: Path) -> None:
    span = {"traceId": "a" * 32, "spanId": "b" * 16, "name": "n"}
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}), "utf-8")
    (node,) = read_otlp_json(path)
    assert (node.service, node.scope) == ("", "")


def test_the_file_is_read_as_far_as_it_is_asked_for(path: Path) -> None:
    exporter = OtlpJsonFileExporter(path)
    exporter.export([finished("first")])
    with path.open("a") as file:
        file.write("garbage that would be an error when it was read\n")
    assert next(read_otlp_json(path)).name == "first"
