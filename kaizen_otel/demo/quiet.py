"""Keeps other people's logs and warnings out of the demo's output, for the length of a `with` block."""

from __future__ import annotations

import logging
import warnings
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_KAIZEN_LOGGERS: Final = ("kaizen", "kailash", "kailash_mcp", "mcp")
_EXPORT_LOGGERS: Final = ("kaizen_otel", "opentelemetry.exporter", "opentelemetry.sdk")
_LONGEST_REASON: Final = 200


@contextmanager
def quiet_kaizen() -> Iterator[None]:
    """Kaizen logs every failed call with a traceback, and warns of its own deprecations. The demo fails on purpose."""
    with ExitStack() as undo, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _KAIZEN_LOGGERS:
            undo.callback(_divert(name, logging.NullHandler()))
        yield


class FailedExports(logging.Handler):
    """Hears what OTLP exporters say when they give up: they log an error, and `force_flush` says nothing.

    Warnings tell of attempts that are made again; those stay out of the output as well.
    """

    def __init__(self) -> None:
        """Hear errors."""
        super().__init__(logging.ERROR)
        self.first: str | None = None
        self._undo = ExitStack()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first reason."""
        if self.first is None:
            lines = record.getMessage().strip().splitlines() or [record.levelname]
            self.first = lines[0][:_LONGEST_REASON]

    def __enter__(self) -> Self:
        for name in _EXPORT_LOGGERS:
            self._undo.callback(_divert(name, self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._undo.close()


def _divert(name: str, handler: logging.Handler) -> _Diversion:
    return _Diversion(logging.getLogger(name), handler)


class _Diversion:
    """Sends a logger's records to one handler and no further; calling it puts the logger back."""

    def __init__(self, logger: logging.Logger, handler: logging.Handler) -> None:
        self._logger, self._handler, self._propagate = logger, handler, logger.propagate
        logger.addHandler(handler)
        logger.propagate = False

    def __call__(self) -> None:
        self._logger.removeHandler(self._handler)
        self._logger.propagate = self._propagate
