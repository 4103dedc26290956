"""The one file that knows OpenTelemetry's logs API, whose packages are still private (`opentelemetry._logs`).

Seen in opentelemetry-api and -sdk 1.43 to 1.45; the upper bound in pyproject.toml is because of this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry._logs import Logger, SeverityNumber, get_logger, get_logger_provider
from opentelemetry.sdk._logs import LoggerProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.resources import Resource

    from kaizen_otel.settings import Settings
    from kaizen_processors.export.delivery import DeliveryQueue
    from kaizen_processors.fence import Fence

SCOPE_NAME = "kaizen_otel"


class EventLog:
    """Emits OpenTelemetry events: log records with a name.

    Args:
        logger_provider: an SDK or API logger provider; None for the global one, looked up when first used.
        version: version of the instrumentation scope.
        schema_url: schema of the scope.
    """

    def __init__(self, logger_provider: Any, version: str, schema_url: str) -> None:
        """Prepare; nothing is looked up yet."""
        self._provider = logger_provider
        self._version = version
        self._schema_url = schema_url
        self._logger: Logger | None = None

    def leave_by(self, logger_provider: Any) -> None:
        """Emit by another provider from now on."""
        self._provider, self._logger = logger_provider, None

    def emit(
        self,
        name: str,
        attributes: Mapping[str, Any],
        *,
        timestamp_ns: int,
        context: Context | None = None,
        severity: str = "INFO",
        body: str | None = None,
    ) -> None:
        """Emit one event in the context of its span.

        `severity` is a name of `SeverityNumber`; `body` is a sentence for people, whose tools show it first.
        """
        logger = self._logger
        if logger is None:
            logger = self._logger = get_logger(
                SCOPE_NAME, self._version, logger_provider=self._provider, schema_url=self._schema_url
            )
        logger.emit(
            timestamp=timestamp_ns,
            observed_timestamp=timestamp_ns,
            context=context,
            severity_number=SeverityNumber[severity],
            severity_text=severity,
            event_name=name,
            body=body,
            attributes=dict(attributes),
        )


def application_has_logs() -> bool:
    """Whether the application has set an SDK logger provider."""
    return isinstance(get_logger_provider(), LoggerProvider)


class OwnLogs:
    """A private logger provider, and the queue by which its records leave."""

    def __init__(self, provider: LoggerProvider, queue: DeliveryQueue[ReadableLogRecord]) -> None:
        """Hold both."""
        self.provider = provider
        self.queue = queue


def build_own_logs(resource: Resource, settings: Settings, fence: Fence) -> OwnLogs:
    """A private logger provider that exports by OTLP.

    Raises:
        ValueError: the `OTEL_EXPORTER_OTLP_*` variables name no usable endpoint.
    """
    from kaizen_otel.delivery import own_delivery  # noqa: PLC0415 - loaded when used
    from kaizen_processors.export.queue_processors import (  # noqa: PLC0415 - loaded when used
        QueueLogRecordProcessor,
        otlp_log_queue,
    )

    queue = otlp_log_queue(*own_delivery(settings, "logs", fence), fence)  # first: a provider stays until the exit
    provider = LoggerProvider(resource)
    provider.add_log_record_processor(QueueLogRecordProcessor(queue))
    return OwnLogs(provider, queue)
