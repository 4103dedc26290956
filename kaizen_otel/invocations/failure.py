"""What went wrong, told from an exception without trusting its class.

A user's exception may override anything: its cause, its text, its class. Everything is read by the built-in's own
descriptors, except for the text: `str(error)` is the one foreign method that is called, and it may fail.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError as FutureCancelledError

from kaizen_otel.invocations.values import bounded_text
from kaizen_processors.values import type_name as class_name

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

TAXONOMIES = ("kaizen.llm.errors", "httpx")
"""Modules whose errors name a failure of a model call as its caller knows it; what they were raised from (a socket's
error, a decoder's) is how their library works inside."""

ABANDONED = "abandoned"
"""In place of an exception's class: nothing was raised."""

STATUS_BY_CLASS = {"RateLimited": 429}
"""Kaizen's errors that stand for one HTTP status but do not carry it."""

GOOGLE_ERRORS = "google.genai.errors"
"""Google's SDK calls the status `code`, which with others may be anything."""

_cause_of = BaseException.__dict__["__cause__"].__get__
_context_of = BaseException.__dict__["__context__"].__get__
_context_suppressed = BaseException.__dict__["__suppress_context__"].__get__
_fields_of = BaseException.__dict__["__dict__"].__get__
_module_of = type.__dict__["__module__"].__get__
_qualname_of = type.__dict__["__qualname__"].__get__


class Failure:
    """An operation's error as telemetry tells it.

    `error_type` names the root cause's class, `http_status` the provider's answer when there was one. A cancelled or
    interrupted operation is not an error: `cancelled` says so. The exception itself is not kept: its traceback would
    keep the user's objects alive. `abandoned` says by what an operation was ended that had not come to its end.
    """

    __slots__ = ("abandoned", "cancelled", "error_type", "http_status", "message")

    def __init__(
        self,
        error_type: str,
        message: str = "",
        *,
        http_status: int | None = None,
        cancelled: bool = False,
        abandoned: str | None = None,
    ) -> None:
        """Hold what is known."""
        self.abandoned = abandoned
        self.error_type = error_type
        self.message = message
        self.http_status = http_status
        self.cancelled = cancelled

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Describe an exception by its root cause."""
        if is_cancellation(error):
            return cls(type_name(error), cancelled=True)
        root = root_cause(error)
        return cls(type_name(root), message_of(root), http_status=http_status_of(root))

    @classmethod
    def by_abandonment(cls, reason: str, before: Failure | None) -> Failure:
        """Of an operation that did not come to its end: cancelled, unless it had already failed in some other way."""
        if before is None:
            return cls(ABANDONED, cancelled=True, abandoned=reason)
        return cls(
            before.error_type,
            before.message,
            http_status=before.http_status,
            cancelled=before.cancelled,
            abandoned=reason,
        )


def is_cancellation(error: BaseException) -> bool:
    """Whether the operation was cut short from outside (cancelled, interrupted, closed) instead of failing."""
    kind = type(error)
    return issubclass(kind, (asyncio.CancelledError, FutureCancelledError)) or not issubclass(kind, Exception)


def root_cause(error: BaseException) -> BaseException:
    """Follow what an exception was raised from to the error that started it.

    An explicit cause is followed down to the first error of a known taxonomy; an implicit context only below
    Kailash's own wrapper classes, for an error raised while another was handled is usually news of its own.
    """
    seen: set[int] = set()
    current = error
    while id(current) not in seen and len(seen) < _MAX_CHAIN:
        seen.add(id(current))
        if _module_name(current) in TAXONOMIES:
            return current
        below: BaseException | None = _cause_of(current)
        if below is None and not _context_suppressed(current) and class_name(current) in WRAPPERS:
            below = _context_of(current)
        if below is None or not issubclass(type(below), Exception):
            return current
        current = below
    return current


def type_name(error: BaseException) -> str:
    """`module.Class`, or the bare class name for built-in exceptions."""
    name = bounded_text(_qualname_of(type(error))) or class_name(error)
    module = _module_name(error)
    return name if module in {None, "builtins", "__main__"} else f"{module}.{name}"


def _module_name(error: BaseException) -> str | None:
    try:
        return bounded_text(_module_of(type(error)))
    except AttributeError:  # a class may have lost it
        return None


def message_of(error: BaseException) -> str:
    """The exception's text, bounded; empty when its class cannot give one."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the foreign __str__ raised: there is no message to tell
        return ""
    return bounded_text(text, _MAX_MESSAGE) or ""


def http_status_of(error: BaseException) -> int | None:
    """The HTTP status of a provider's error answer, when the exception carries one."""
    by_class = STATUS_BY_CLASS.get(class_name(error))
    if by_class is not None:
        return by_class
    fields: dict[str, object] = _fields_of(error)
    for name in ("code",) if _module_of(type(error)) == GOOGLE_ERRORS else ("status", "status_code"):
        status = dict.get(fields, name)
        if type(status) is int and _HTTP_ERROR_FLOOR <= status <= _HTTP_ERROR_CEILING:
            return status
    return None
