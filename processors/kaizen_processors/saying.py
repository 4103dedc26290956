"""What we say to the application's log, from threads and places of ours that must live on whatever its handlers do."""

from __future__ import annotations

import logging

_logger = logging.getLogger("kaizen_otel")


def say(message: str, *values: object, error: BaseException | None = None) -> None:
    """Log a warning. A handler or filter of the application's that raises is not heard of: nothing is left to tell.

    Args:
        message: With `%s` and its like for the values.
        values: What is put in.
        error: Its traceback is added where debug lines are wanted.
    """
    try:
        _logger.warning(message, *values, exc_info=error if _logger.isEnabledFor(logging.DEBUG) else None)
    except Exception:  # noqa: BLE001 - see above
        return
