"""Asks Prometheus' own HTTP API what it has, as typed samples."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from tests.backends.processes import BackendError, get, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

ARRIVAL_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One series and its value now. `labels` has no `__name__`."""

    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One exemplar of one series: the labels of the series, and the trace it points to."""

    series: dict[str, str]
    labels: dict[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class PrometheusClient:
    """Prometheus' query API at `host:port`."""

    address: str

    def query(self, expression: str, at_s: float | None = None) -> list[Sample]:
        """Evaluate a PromQL expression with a vector result, now or at a time in seconds since the epoch."""
        when = {} if at_s is None else {"time": repr(at_s)}
        answer = self._get("query", {"query": expression, **when})
        return [_parse_sample(raw) for raw in answer["result"]]

    def scalar(self, expression: str) -> float:
        """Evaluate an expression that gives exactly one series.

        Raises:
            BackendError: It gives none or several.
        """
        samples = self.query(expression)
        if len(samples) != 1:
            raise BackendError(f"`{expression}` gave {len(samples)} series: {samples}")
        return samples[0].value

    def wait_for(self, expression: str, *, until: Callable[[list[Sample]], bool] = bool) -> list[Sample]:
        """Evaluate an expression until its result is as it must be (by default: not empty).

        Raises:
            BackendError: It never was; the message has the last result.
        """
        last: list[Sample] = []

        def answer() -> list[Sample] | None:
            last[:] = self.query(expression)
            return list(last) if until(last) else None

        return wait_for(
            answer, what=f"`{expression}` in Prometheus", timeout_s=ARRIVAL_TIMEOUT_S, explain=lambda: f"last: {last}"
        )

    def labels_of(self, metric: str, *, matching: str = "") -> set[str]:
        """The label names that any series of a metric has; `matching` narrows it, as in `{job="x"}`."""
        return {label for sample in self.query(f"{metric}{matching}") for label in sample.labels}

    def metric_names(self, matching: str) -> set[str]:
        """The names of all metrics with a series that matches, as in `{job="x"}`."""
        now = time.time()
        parameters = {"match[]": matching, "start": f"{now - 3600:.0f}", "end": f"{now + 60:.0f}"}
        return {str(series["__name__"]) for series in self._get("series", parameters)}

    def exemplars(self, expression: str) -> list[Exemplar]:
        """All exemplars of the last hour of the series that an expression names."""
        now = time.time()
        parameters = {"query": expression, "start": f"{now - 3600:.0f}", "end": f"{now + 60:.0f}"}
        return [
            Exemplar(dict(series["seriesLabels"]), dict(exemplar["labels"]), float(exemplar["value"]))
            for series in self._get("query_exemplars", parameters)
            for exemplar in series["exemplars"]
        ]

    def _get(self, endpoint: str, parameters: dict[str, str]) -> Any:
        status, body = get(self.address, f"/api/v1/{endpoint}?{urlencode(parameters)}")
        answer = json.loads(body)
        if status != HTTPStatus.OK or answer["status"] != "success" or answer.get("warnings"):
            raise BackendError(f"Prometheus answered {status} to {endpoint} {parameters}: {answer}")
        return answer["data"]


def _parse_sample(raw: dict[str, Any]) -> Sample:
    labels = {str(key): str(value) for key, value in raw["metric"].items()}
    name = labels.pop("__name__", "")
    return Sample(name, labels, float(raw["value"][1]))
