"""Log records that say which trace, agent and execution they belong to.

`install()` gives every record of the standard library's logging these attributes, whatever its logger and handler:

=====================  ==========================================================  =============
attribute              value                                                       without one
=====================  ==========================================================  =============
``otelTraceID``        trace id, 32 hex digits                                     ``"0"``
``otelSpanID``         span id, 16 hex digits                                      ``"0"``
``otelTraceSampled``   whether the trace is sampled                                ``False``
``kaizenAgentName``    name of the agent that runs                                 ``""``
``kaizenExecutionID``  execution id, 32 hex digits, as `kaizen.execution.id`       ``""``
=====================  ==========================================================  =============

The first three are the names and values of opentelemetry-instrumentation-logging; where that has set them already they
stay. The plain names `trace_id`, `span_id`, `agent_name` and `execution_id` are set by `LogCorrelationFilter` only,
which a user adds to a handler: logging raises `KeyError` when an application passes `extra={"agent_name": …}` and the
record has that name already, and a filter runs after that check. What the application passed wins.

Example:
    >>> handler = logging.StreamHandler()
    >>> handler.addFilter(LogCorrelationFilter())
    >>> handler.setFormatter(logging.Formatter("%(levelname)s [%(agent_name)s %(trace_id)s] %(message)s"))
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import get_current_span

from kaizen_otel.invocations.scope import current_execution
from kaizen_processors.fence import Fence

if TYPE_CHECKING:
    from collections.abc import Callable

    CurrentExecution = Callable[[], tuple[str, str] | None]
    """Gives agent name and execution id of what runs now."""

_NO_ID = "0"
"""What opentelemetry-instrumentation-logging writes without a span."""

_lock = threading.Lock()
_installed: _RecordFactory | None = None


def running_execution() -> tuple[str, str] | None:
    """Agent name and execution id of the execution that the current code runs in."""
    execution = current_execution()
    return None if execution is None else (execution.agent_name, execution.execution_id)


class LogCorrelationFilter(logging.Filter):
    """Lets every record pass, with the attributes of `install()` and the plain names beside them.

    Works with and without `install()`. With a `QueueHandler` add it there, not to the handlers behind the queue:
    those run in another thread.

    Args:
        current: Gives agent name and execution id of what runs now.
        fence: Counts what fails here; it never reaches the application's logging call.
    """

    def __init__(self, current: CurrentExecution = running_execution, fence: Fence | None = None) -> None:
        super().__init__()
        self._current = current
        self._fence = Fence() if fence is None else fence

    def filter(self, record: logging.LogRecord) -> bool:
        """Stamp the record."""
        with self._fence("log_correlation.filter"):
            _stamp(record, self._current)
        stamped = record.__dict__
        for plain, ours in _PLAIN_NAMES:
            value = stamped.get(ours, _NO_ID)
            stamped.setdefault(plain, "" if value == _NO_ID else value)
        return True


_PLAIN_NAMES = (
    ("trace_id", "otelTraceID"),
    ("span_id", "otelSpanID"),
    ("agent_name", "kaizenAgentName"),
    ("execution_id", "kaizenExecutionID"),
)


class _RecordFactory:
    """Calls the factory that was there before, and stamps what it made while it is armed."""

    def __init__(self, previous: Callable[..., logging.LogRecord], current: CurrentExecution, fence: Fence) -> None:
        self.previous = previous
        self.current = current
        self.fence = fence
        self.armed = True
        self.called = False

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        self.called = True
        record = self.previous(*args, **kwargs)
        if self.armed:
            with self.fence("log_correlation.stamp"):
                _stamp(record, self.current)
        return record


def install(current: CurrentExecution = running_execution, fence: Fence | None = None) -> None:
    """Give all log records the attributes above from now on. Twice is once.

    Args:
        current: Gives agent name and execution id of what runs now.
        fence: Counts what fails here; it never reaches the application's logging call.
    """
    global _installed  # noqa: PLW0603 - logging has one record factory for the process, so there is one of ours
    with _lock:
        if _installed is None or not _in_use(_installed):
            _installed = _RecordFactory(logging.getLogRecordFactory(), current, fence or Fence())
            logging.setLogRecordFactory(_installed)
        _installed.current, _installed.fence = current, fence or _installed.fence
        _installed.armed = True


def uninstall() -> None:
    """Put back the record factory that was there before `install()`. Twice is once.

    Where somebody has wrapped ours since, it cannot be taken out of the chain: it then stays, and does nothing.
    """
    global _installed  # noqa: PLW0603 - see install
    with _lock:
        if _installed is None:
            return
        _installed.armed = False
        if logging.getLogRecordFactory() is _installed:
            logging.setLogRecordFactory(_installed.previous)
            _installed = None


def _in_use(factory: _RecordFactory) -> bool:
    """Whether records pass through `factory`, directly or below factories that were set after it."""
    outermost = logging.getLogRecordFactory()
    if outermost is factory:
        return True
    factory.called = False
    outermost("kaizen_otel", logging.DEBUG, __file__, 0, "probe", (), None)
    return factory.called


def _stamp(record: logging.LogRecord, current: CurrentExecution) -> None:
    stamped = record.__dict__
    if "otelTraceID" not in stamped:
        context = get_current_span().get_span_context()
        stamped["otelTraceID"] = f"{context.trace_id:032x}" if context.is_valid else _NO_ID
        stamped["otelSpanID"] = f"{context.span_id:016x}" if context.is_valid else _NO_ID
        stamped["otelTraceSampled"] = context.is_valid and context.trace_flags.sampled
    if "kaizenExecutionID" not in stamped:
        stamped["kaizenAgentName"] = stamped["kaizenExecutionID"] = ""  # a format that names them never fails
        stamped["kaizenAgentName"], stamped["kaizenExecutionID"] = current() or ("", "")
