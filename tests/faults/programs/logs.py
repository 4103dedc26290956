"""An application whose root logger is telemetry, down to the debug lines of the libraries that send it.

Run: python -m tests.faults.programs.logs URL LINES
"""

from __future__ import annotations

import logging
import sys
import warnings

from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler

from kaizen_processors.export.endpoint import OtlpEndpoint
from kaizen_processors.export.queue_processors import QueueLogRecordProcessor, otlp_log_queue
from kaizen_processors.export.settings import DeliverySettings
from tests.faults.programs.app import figures, tell


def main() -> None:
    """Log, and flush."""
    url, lines = sys.argv[1], int(sys.argv[2])
    queue = otlp_log_queue(OtlpEndpoint(f"{url}/v1/logs"), DeliverySettings(interval_s=0.05, retry_base_s=0.1))
    provider = LoggerProvider()
    provider.add_log_record_processor(QueueLogRecordProcessor(queue))
    warnings.simplefilter("ignore", DeprecationWarning)  # SDK 1.45 moves the handler to an instrumentation
    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    root.addHandler(LoggingHandler(logger_provider=provider))
    for number in range(lines):
        logging.getLogger("app").info("s%d", number)
    said = provider.force_flush(60_000)
    # Whatever the delivery of these lines has logged would be delivered with, or after, this one.
    logging.getLogger("app").info("last")
    tell("flushed", said=said, again=provider.force_flush(60_000), **figures(queue.counts()))


if __name__ == "__main__":
    main()
