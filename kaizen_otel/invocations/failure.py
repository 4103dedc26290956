"""What went wrong, told from an exception without ever running code of its class that could raise."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError as FutureCancelledError

from kaizen_otel.invocations.values import bounded_text

_MAX_CHAIN = 32
_MAX_MESSAGE = 1_024
_HTTP_ERROR_FLOOR = 400
_HTTP_ERROR_CEILING = 599

WRAPPERS = frozenset(
    {
        "NodeExecutionError",
        "RuntimeExecutionError",
        "WorkflowExecutionError",
        "RuntimeError",
        "ExceptionGroup",
    }
)
"""Classes that Kailash wraps an error in; what they were raised from is the error to name."""

STATUS_BY_CLASS = {"RateLimited": 429}
"""Kaizen's errors that stand for one HTTP status but do not carry it."""


class Failure:
    """An operation's error as telemetry tells it.

    `error_type` names the root cause's class, `http_status` the provider's answer when there was one. A cancelled or
    interrupted operation is not an error: `cancelled` says so.
    """

    __slots__ = ("cancelled", "error", "error_type", "http_status", "message")

    def __init__(
        self,
        error_type: str,
        message: str = "",
        *,
        http_status: int | None = None,
        cancelled: bool = False,
        error: BaseException | None = None,
    ) -> None:
        """Hold what is known."""
        self.error_type = error_type
        self.message = message
        self.http_status = http_status
        self.cancelled = cancelled
        self.error = error

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Describe an exception by its root cause."""
        if is_cancellation(error):
            return cls(type_name(error), cancelled=True, error=error)
        root = root_cause(error)
        return cls(type_name(root), message_of(root), http_status=http_status_of(root), error=root)


def is_cancellation(error: BaseException) -> bool:
    """Whether the operation was cut short from outside (cancelled, interrupted, closed) instead of failing."""
    return isinstance(error, (asyncio.CancelledError, FutureCancelledError)) or not isinstance(error, Exception)


def root_cause(error: BaseException) -> BaseException:
    """Follow what an exception was raised from to the error that started it.

    An explicit cause is always followed; an implicit context only below Kailash's own wrapper classes, for an error
    raised while another was handled is usually news of its own.
    """
    seen: set[int] = set()
    current = error
    while id(current) not in seen and len(seen) < _MAX_CHAIN:
        seen.add(id(current))
        below = current.__cause__
        if below is None and not current.__suppress_context__ and type(current).__name__ in WRAPPERS:
            below = current.__context__
        if below is None or not isinstance(below, Exception):
            return current
        current = below
    return current


def type_name(error: BaseException) -> str:
    """`module.Class`, or the bare class name for built-in exceptions."""
    kind = type(error)
    module = kind.__module__
    name = kind.__qualname__
    return name if module in {"builtins", "__main__"} or type(module) is not str else f"{module}.{name}"


def message_of(error: BaseException) -> str:
    """The exception's text, bounded; empty when its class cannot give one."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the foreign __str__ raised: there is no message to tell
        return ""
    return bounded_text(text, _MAX_MESSAGE) or ""


def http_status_of(error: BaseException) -> int | None:
    """The HTTP status of a provider's error answer, when the exception carries one."""
    by_class = STATUS_BY_CLASS.get(type(error).__name__)
    if by_class is not None:
        return by_class
    fields = getattr(error, "__dict__", None)
    if type(fields) is not dict:
        return None
    for name in ("status", "status_code"):
        status = fields.get(name)
        if type(status) is int and _HTTP_ERROR_FLOOR <= status <= _HTTP_ERROR_CEILING:
            return status
    return None
