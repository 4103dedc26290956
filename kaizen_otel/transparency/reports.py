"""What the interface hands out in one piece: reports by period, and executions as JSON, CSV or Parquet."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.conditions import CONDITIONS, condition_named
from kaizen_processors.execution import ExecutionMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kaizen_processors.windows import Window

PERIODS: Final[Mapping[str, tuple[float, int]]] = {
    "minute": (60.0, 60),
    "hourly": (3_600.0, 24),
    "daily": (86_400.0, 1),
}
"""For each aggregation level: seconds of a period, and how many of them are in memory."""

DAILY: Final = "daily"

REPORTED: Final[Mapping[str, tuple[str, ...]]] = {
    "latency": ("avg_latency", "p50_latency", "p95_latency", "p99_latency"),
    "throughput": ("executions", "throughput_rpm", "tokens_per_second"),
    "cost": ("cost_per_execution", "cost_per_token", "cost_per_hour"),
    "accuracy": ("quality_average",),
    "quality": ("quality_average",),
    "errors": ("error_rate", "success_rate"),
}
"""For each metric of a report, the conditions that answer it (`docs/snapshots.md` says what each is)."""

FORMATS: Final = ("json", "csv", "parquet")

_COLUMNS: Final = tuple(field.name for field in fields(ExecutionMetrics))


def checked(aggregation_level: str, metrics: Sequence[str] | None) -> tuple[float, int, tuple[str, ...]]:
    """The period in seconds, how many of them, and the conditions that a report asks for.

    Raises:
        ValueError: There is no such level or metric.
    """
    if aggregation_level not in PERIODS:
        raise ValueError(f"aggregation_level cannot be {aggregation_level!r}; allowed: {', '.join(PERIODS)}")
    asked = list(REPORTED) if metrics is None else list(metrics)
    unknown = [name for name in asked if name not in REPORTED and name not in CONDITIONS]
    if unknown:
        allowed = ", ".join((*REPORTED, *CONDITIONS))
        raise ValueError(f"metrics cannot hold {unknown[0]!r}; allowed: {allowed}")
    conditions = [condition for name in asked for condition in REPORTED.get(name, (name,))]
    return *PERIODS[aggregation_level], tuple(dict.fromkeys(conditions))


def rows(periods: Iterable[Window], conditions: Sequence[str], now_ns: int) -> list[dict[str, Any]]:
    """One row for each period, oldest first: when it began and ended, its executions, its cost, and what was asked."""
    found: list[dict[str, Any]] = []
    end = datetime.fromtimestamp(now_ns / 1e9, tz=UTC)
    for period in reversed(list(periods)):
        start = end - timedelta(seconds=period.observed_s)
        figures = {name: computed(name, period) for name in conditions}
        found.append(
            {"start": start.isoformat(), "end": end.isoformat(), "executions": period.sums.executions, **figures}
        )
        end = start
    return found[::-1]


def computed(name: str, period: Window) -> float | None:
    """A condition of a period; None where it is not known."""
    condition = condition_named(name)
    # A figure of a fixed window, or of this moment, is none of a period that is over.
    return None if condition.compute is None or condition.window_s is not None else condition.compute(period)


def exported(executions: Sequence[ExecutionMetrics], file_format: str) -> str | bytes:
    """Executions in a format: JSON and CSV are text, Parquet is bytes. Metadata is JSON in the latter two.

    Raises:
        ValueError: There is no such format.
        ModuleNotFoundError: Parquet without PyArrow (`pip install "kaizen-otel[parquet]"`).
    """
    if file_format not in FORMATS:
        raise ValueError(f"format cannot be {file_format!r}; allowed: {', '.join(FORMATS)}")
    records = [{name: one[name] for name in _COLUMNS} for one in executions]
    if file_format == "json":
        return json.dumps(records, indent=2, default=str)
    for record in records:
        record["metadata"] = json.dumps(record["metadata"], default=str)
    if file_format == "csv":
        return _csv(records)
    return _parquet(records)


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _parquet(records: list[dict[str, Any]]) -> bytes:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an optional extra
        from pyarrow import parquet  # noqa: PLC0415 - same
    except ModuleNotFoundError as error:
        message = 'the format parquet needs PyArrow: pip install "kaizen-otel[parquet]"; or take json, csv'
        raise ModuleNotFoundError(message, name=error.name) from error

    columns = {name: [record[name] for record in records] for name in _COLUMNS}
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns, schema=_schema(pa)), sink)
    return sink.getvalue()


def _schema(pa: Any) -> Any:
    """A type for each column: a file of no executions, or of none with a score, has the columns all the same."""
    whole = {"tokens_input", "tokens_output", "tokens_total", "model_calls", "tool_calls", "network_io_bytes"}
    part = {"duration_ms", "cost_usd", "confidence", "quality_score", "cpu_usage_percent", "memory_usage_mb"}
    truth = {"success", "cost_complete", "resources_alone"}

    def kind(name: str) -> Any:
        if name in whole:
            return pa.int64()
        if name in part:
            return pa.float64()
        if name in truth:
            return pa.bool_()
        return pa.timestamp("us", tz="UTC") if name == "timestamp" else pa.string()

    return pa.schema([(name, kind(name)) for name in _COLUMNS])
