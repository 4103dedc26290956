"""`RealTimeMetrics` of this process: made by the application at any time, fed while Kaizen is watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.patches.switch import active
from kaizen_processors import realtime
from kaizen_processors.living import Living
from kaizen_processors.realtime import RealTimeOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kaizen_processors.pipeline import Pipeline
    from kaizen_processors.snapshots import Snapshots

_living: Final[Living[RealTimeMetrics]] = Living()


class RealTimeMetrics(realtime.RealTimeMetrics):
    """Each execution as it ends, to whoever subscribes; and how things stand.

    It may be made before or after `instrument()`, and watches until `close()`.

    Args:
        config: `collection_interval` (seconds between deliveries), `buffer_size` (executions that may wait for a
            subscriber, and that are kept), `streaming` (deliver each as it ends), `enabled`; or a dictionary that
            holds these under `metrics_collection`. By default as the settings say.

    Raises:
        ValueError: a key is unknown, or a value is not allowed.

    Example:
        >>> metrics = RealTimeMetrics({"streaming": True})
        >>> unsubscribe = metrics.subscribe(lambda execution: print(execution.agent_name))
        >>> metrics.close()
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        """Watch from now on."""
        telemetry = active()
        if config is not None:
            options = RealTimeOptions.from_config(config)
        elif telemetry is not None:
            settings = telemetry.settings
            options = RealTimeOptions(
                collection_interval=settings.metrics_interval_s or 1.0,
                buffer_size=settings.metrics_buffer_size,
                streaming=settings.metrics_streaming,
            )
        else:
            options = RealTimeOptions()
        super().__init__(options, fence=None if telemetry is None else telemetry.fence, snapshots=_snapshots)
        _living.add(self)
        if telemetry is not None:
            telemetry.pipeline.add(self)

    def close(self) -> None:
        """Watch no more; what waits for subscribers is delivered first."""
        _living.discard(self)
        telemetry = active()
        if telemetry is not None:
            telemetry.pipeline.remove(self)
        self.shutdown()


def attach(pipeline: Pipeline) -> None:
    """Let those that were made before the watching began see it."""
    for one in _living:
        pipeline.add(one)


def detach(pipeline: Pipeline) -> None:
    """Let them be: they may be attached again."""
    for one in _living:
        one.shutdown()
        pipeline.remove(one)


def _snapshots() -> Snapshots | None:
    telemetry = active()
    if telemetry is None or not telemetry.performance.watching:
        return None
    return telemetry.performance.snapshots
