"""Measured samples by name, and the file that keeps them."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORMAT: Final = "kaizen-otel-baseline"
VERSION: Final = 1
MOST_SAMPLES: Final = 10_000
"""Samples kept of one metric; the oldest give way. No test needs more, and a file stays below a megabyte."""


class BaselineError(ValueError):
    """A baseline's file is none, or holds what no measurement gives; the message says where."""


@dataclass
class Metric:
    """The samples of one metric.

    Attributes:
        unit: Of every sample: `ms`, `MiB`, `{token}`, `USD`, `1`.
        higher_is_better: Whether more is an improvement, as of quality.
        proportion: Whether each sample says only yes (1) or no (0), as of errors: compared by their share.
        samples: In the order in which they were measured; the newest 10,000.
    """

    unit: str = "ms"
    higher_is_better: bool = False
    proportion: bool = False
    samples: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))

    def add(self, value: float) -> None:
        """Add a sample.

        Raises:
            ValueError: It is not a finite number, or neither 0 nor 1 where only those have a meaning.
        """
        if not math.isfinite(value):
            raise ValueError(f"a sample must be a finite number, not {value!r}")
        if self.proportion and value not in {0, 1}:
            raise ValueError(f"a sample of a proportion must be 0 or 1, not {value!r}")
        self.samples.append(float(value))


class Baseline:
    """Samples of several metrics, by name.

    Args:
        about: Whatever tells this run from another: a version, a commit. Kept with the samples, never compared.
    """

    def __init__(self, about: Mapping[str, str] | None = None) -> None:
        """Start with no metric."""
        self.about: dict[str, str] = dict(about or {})
        self.metrics: dict[str, Metric] = {}

    def add(
        self,
        name: str,
        values: Iterable[float],
        unit: str = "ms",
        *,
        higher_is_better: bool = False,
        proportion: bool = False,
    ) -> None:
        """Add samples to a metric; it is made when it is new.

        Raises:
            ValueError: A value is none that the metric can have.
        """
        metric = self.metrics.setdefault(name, Metric(unit, higher_is_better, proportion))
        for value in values:
            metric.add(value)

    def samples(self, name: str) -> list[float]:
        """The samples of a metric; none when there is no such metric."""
        metric = self.metrics.get(name)
        return [] if metric is None else list(metric.samples)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file: whole, or not at all."""
        target = Path(path)
        model = {
            "format": FORMAT,
            "version": VERSION,
            "about": self.about,
            "metrics": {
                name: {
                    "unit": metric.unit,
                    "higher_is_better": metric.higher_is_better,
                    "proportion": metric.proportion,
                    "samples": list(metric.samples),
                }
                for name, metric in self.metrics.items()
            },
        }
        descriptor, unfinished = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(model, file)
            Path(unfinished).replace(target)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Baseline:
        """Read a file that `save` wrote.

        Raises:
            OSError: It cannot be read.
            BaselineError: It is no baseline, one of another version, or damaged.
        """
        try:
            model = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise BaselineError(f"{path}: not JSON ({error})") from error
        if not is_baseline(model):
            raise BaselineError(f'{path}: no baseline: expected an object with "format": "{FORMAT}"')
        if model.get("version") != VERSION:
            raise BaselineError(f"{path}: version {model.get('version')!r} of the format; this program reads {VERSION}")
        try:
            return cls._from(model)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BaselineError(f"{path}: damaged ({type(error).__name__}: {error})") from error

    @classmethod
    def _from(cls, model: Mapping[str, Any]) -> Baseline:
        read = cls({str(key): str(value) for key, value in model["about"].items()})
        for name, metric in model["metrics"].items():
            read.add(
                name,
                metric["samples"],
                str(metric["unit"]),
                higher_is_better=bool(metric["higher_is_better"]),
                proportion=bool(metric["proportion"]),
            )
        return read


def is_baseline(model: object) -> bool:
    """Whether a JSON value is the content of a baseline's file, of whatever version."""
    return isinstance(model, dict) and model.get("format") == FORMAT
