"""`PerformanceMonitor`: what Kaizen takes to start, to make agents, to run workflows; and whether that changed."""

from __future__ import annotations

import logging
import statistics
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.baselines import Baseline, Comparison, Limits, Verdict, compare
from kaizen_processors.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from kaizen_processors.clock import Clock

_logger = logging.getLogger("kaizen_otel")

FRAMEWORK_INIT: Final = "framework_init_time"
AGENT_CREATION: Final = "agent_creation_time"
WORKFLOW_EXECUTION: Final = "workflow_execution_time"
MEMORY: Final = "memory_usage"

WARN_ABOVE_MS: Final[Mapping[str, float]] = {
    FRAMEWORK_INIT: 2_000.0,
    AGENT_CREATION: 100.0,
    WORKFLOW_EXECUTION: 30_000.0,
}
"""From when on a measurement is logged as a warning, in milliseconds."""

_SAID: Final = {
    FRAMEWORK_INIT: "initialising the framework",
    AGENT_CREATION: "creating an agent",
    WORKFLOW_EXECUTION: "executing a workflow",
}
_NS_IN_MS: Final = 1_000_000
_MIB: Final = 1024 * 1024


class PerformanceMonitor:
    """Measures the framework, keeps the samples, and compares them with those of an earlier run.

    Times are milliseconds, memory is MiB of resident memory after the measurement. Works with and without
    `instrument()`; what is measured includes our own cost when it is on.

    Args:
        baseline: File of an earlier run (`save`), for `regressions()`.
        about: Whatever tells this run from another, such as a version; it is kept with the samples.
        on_warning: Told each measurement that took too long, besides the log.
        clock: Measures; tests give their own.

    Example:
        >>> monitor = PerformanceMonitor()
        >>> monitor.get_performance_summary()
        {}
    """

    def __init__(
        self,
        baseline: str | os.PathLike[str] | None = None,
        *,
        about: Mapping[str, str] | None = None,
        on_warning: Callable[[str, float], None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Start with no sample.

        Raises:
            OSError: The baseline cannot be read.
            BaselineError: It is none.
        """
        self._before = None if baseline is None else Baseline.load(baseline)
        self._measured = Baseline(about)
        self._on_warning = on_warning
        self._clock = clock

    # -- measuring ------------------------------------------------------------------------------------------------

    def measure_framework_init(self, config: Mapping[str, Any] | None = None) -> float:
        """Make a `Kaizen`; gives the milliseconds that it took. The first time in a process includes its import."""
        taken_ms, _ = self._timed(FRAMEWORK_INIT, lambda: _new_kaizen(config))
        return taken_ms

    def measure_agent_creation(
        self, agent_config: Mapping[str, Any], *, name: str = "perf_test", kaizen: Any = None
    ) -> tuple[float, Any]:
        """Create an agent; gives the milliseconds that it took, and the agent.

        Args:
            agent_config: As for `Kaizen.create_agent`.
            name: The agent's name.
            kaizen: The framework that makes it; by default a new one, made before the time begins.
        """
        maker = _new_kaizen() if kaizen is None else kaizen
        return self._timed(AGENT_CREATION, lambda: maker.create_agent(name, dict(agent_config)))

    def measure_workflow_execution(self, agent: Any, parameters: Any = None) -> tuple[float, Any, Any]:
        """Run an agent's workflow on a `LocalRuntime`; gives milliseconds, results and run id."""
        from kailash.runtime.local import LocalRuntime  # noqa: PLC0415 - importing us never imports Kailash

        def run() -> Any:
            with LocalRuntime() as runtime:
                return runtime.execute(agent.workflow.build(), parameters=parameters)

        taken_ms, (results, run_id) = self._timed(WORKFLOW_EXECUTION, run)
        return taken_ms, results, run_id

    def measure_memory(self) -> float:
        """Take a sample of the process's resident memory, and give it: MiB."""
        import psutil  # noqa: PLC0415 - when used

        resident_mib: float = psutil.Process().memory_info().rss / _MIB
        self._measured.add(MEMORY, [resident_mib], "MiB")
        return resident_mib

    def record(self, metric: str, value: float, unit: str = "ms", *, higher_is_better: bool = False) -> None:
        """Add a sample of a metric of your own.

        Raises:
            ValueError: The value is not a finite number.
        """
        self._measured.add(metric, [value], unit, higher_is_better=higher_is_better)

    def log_performance_warning(self, message: str) -> None:
        """Log a warning, as is done of each measurement that took too long; a subclass may tell it elsewhere."""
        _logger.warning("%s", message)

    # -- what came of it ------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> dict[str, list[float]]:
        """All samples so far, by metric."""
        return {name: list(metric.samples) for name, metric in self._measured.metrics.items()}

    def get_performance_summary(self) -> dict[str, dict[str, float]]:
        """Count, average, median, least and greatest of each metric that has a sample."""
        return {
            name: {
                "count": len(values),
                "average": statistics.fmean(values),
                "median": statistics.median(values),
                "min": min(values),
                "max": max(values),
            }
            for name, values in self.metrics.items()
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the samples to a file, for a later run to compare itself with."""
        self._measured.save(path)

    def compare(self, limits: Limits | None = None) -> list[Comparison]:
        """Each metric beside the baseline.

        Raises:
            ValueError: No baseline was given.
            ModuleNotFoundError: SciPy is missing (`pip install "kaizen-otel[stats]"`).
        """
        if self._before is None:
            raise ValueError("PerformanceMonitor was made without a baseline")
        return compare(self._before, self._measured, limits or Limits())

    def regressions(self, limits: Limits | None = None) -> list[Comparison]:
        """The metrics that are worse than in the baseline."""
        return [found for found in self.compare(limits) if found.verdict is Verdict.REGRESSION]

    def _timed(self, metric: str, what: Callable[[], Any]) -> tuple[float, Any]:
        began_ns = self._clock.monotonic_ns()
        result = what()
        taken_ms = (self._clock.monotonic_ns() - began_ns) / _NS_IN_MS
        self._measured.add(metric, [taken_ms])
        self.measure_memory()
        if taken_ms > WARN_ABOVE_MS[metric]:
            self.log_performance_warning(
                f"{_SAID[metric]} took {taken_ms:.0f} ms (more than {WARN_ABOVE_MS[metric]:.0f})"
            )
            if self._on_warning is not None:
                self._on_warning(metric, taken_ms)
        return taken_ms, result


def _new_kaizen(config: Mapping[str, Any] | None = None) -> Any:
    from kaizen import Kaizen  # noqa: PLC0415 - importing us never imports Kaizen

    return Kaizen() if config is None else Kaizen(config=dict(config))
