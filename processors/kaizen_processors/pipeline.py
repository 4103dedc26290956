"""What happens to finished spans and records inside the process: observers in a list, behind one fence.

To OpenTelemetry this is one `SpanProcessor`; what we write are plain functions. Invocations hand their records over
directly (`call_finished`, `execution_finished`), so an unsampled span counts the same; spans pass on to the span
observers (a console, a file) as they end. Spans of other GenAI libraries become records as they end.

An observer that raises is counted and the others still run. One that does nothing but raise is switched off, and that
is said aloud.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import SpanProcessor

from kaizen_processors.clock import LONGEST_WAIT_S
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from kaizen_processors.dialects import ForeignCalls
    from kaizen_processors.execution import CallRecord, ExecutionRecord
    from kaizen_processors.fence import Fence

_logger = logging.getLogger("kaizen_otel")

FAILURES_UNTIL_DISABLED: Final = 10
"""An observer whose hook fails this often, with no success in between, is switched off."""


class Observer:
    """Something that watches finished work. Each hook may be overridden; none may change what it is given."""

    def on_call(self, record: CallRecord) -> None:
        """See one finished model call."""

    def on_execution(self, record: ExecutionRecord) -> None:
        """See one finished execution."""

    def on_span(self, span: ReadableSpan) -> None:
        """See one finished recorded span."""

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002 - observers without a buffer have nothing to wait for
        """Write out what is buffered within `timeout_s` seconds; False when something is left."""
        return True

    def shutdown(self) -> None:
        """Let go of files and threads."""


class _Hook:
    """One hook of one observer, and how often it has failed since it last succeeded."""

    __slots__ = ("failures", "observer", "see", "where")

    def __init__(self, observer: Observer, name: str, where: str) -> None:
        self.observer = observer
        self.see: Callable[[Any], None] = getattr(observer, name)
        self.where = where
        self.failures = 0


class Pipeline:
    """The observers of one instrumentation, behind one fence.

    Args:
        fence: where failures are counted.
        observers: the first observers.
        foreign: accounts for model calls in other libraries' spans; None where nobody asks for them.
        on_disabled: told the type's name of an observer that was switched off, for an alert. It is called once for
            each, behind the fence.
    """

    def __init__(
        self,
        fence: Fence,
        observers: tuple[Observer, ...] = (),
        *,
        foreign: ForeignCalls | None = None,
        on_disabled: Callable[[str], None] | None = None,
    ) -> None:
        """Start with these observers."""
        self._fence = fence
        self._on_call: tuple[_Hook, ...] = ()
        self._on_execution: tuple[_Hook, ...] = ()
        self._on_span: tuple[_Hook, ...] = ()
        self.foreign = foreign
        self.on_disabled = on_disabled
        self.observers: tuple[Observer, ...] = ()
        self.disabled: tuple[Observer, ...] = ()
        for observer in observers:
            self.add(observer)

    def add(self, observer: Observer) -> None:
        """Add an observer; its hooks are called after those of the earlier ones. One that was disabled starts anew."""
        self.disabled = tuple(o for o in self.disabled if o is not observer)
        self._set((*self.observers, observer))

    def remove(self, observer: Observer) -> None:
        """Take an observer out; nothing happens when it is not there."""
        self.disabled = tuple(o for o in self.disabled if o is not observer)
        self._set(tuple(o for o in self.observers if o is not observer))

    @property
    def watches_spans(self) -> bool:
        """Whether an observer wants spans, and not only records."""
        return bool(self._on_span)

    def call_finished(self, record: CallRecord) -> None:
        """Show a finished model call to every observer that wants calls."""
        if self._on_call:
            self._show(self._on_call, record)

    def execution_finished(self, record: ExecutionRecord) -> None:
        """Show a finished execution to every observer that wants executions."""
        self._show(self._on_execution, record)

    def span_started(self, span: Span, context: Context | None) -> None:
        """Take notice of a span that starts in this context (None: the current one)."""
        foreign = self.foreign
        if foreign is not None:
            try:
                foreign.started(span, context)
            except Exception as error:  # noqa: BLE001 - the fence, without the cost of a `with` on every span
                self._fence.caught("foreign.start", error)

    def span_ended(self, span: ReadableSpan) -> None:
        """Count a model call of another library, and show the span to every observer that wants spans."""
        foreign = self.foreign
        if foreign is not None:
            record = None
            try:
                record = foreign.ended(span)
            except Exception as error:  # noqa: BLE001 - as above
                self._fence.caught("foreign.end", error)
            if record is not None:
                self.call_finished(record)
        if self._on_span:
            self._show(self._on_span, span)

    def flush(self, timeout_s: float) -> bool:
        """Flush every observer, a disabled one too; True only when all of them wrote everything out."""
        done = True
        for observer in (*self.observers, *self.disabled):
            flushed = False
            with self._fence("observer.flush"):
                flushed = observer.flush(timeout_s)
            done = done and flushed
        return done

    def shutdown(self) -> None:
        """Shut every observer down, a disabled one too."""
        for observer in (*self.observers, *self.disabled):
            with self._fence("observer.shutdown"):
                observer.shutdown()

    def _show(self, hooks: tuple[_Hook, ...], seen: object) -> None:
        for hook in hooks:
            try:
                hook.see(seen)
            except Exception as error:  # noqa: BLE001 - the fence, without the cost of a `with` for every observer
                self._failed(hook, error)
            else:
                if hook.failures:
                    hook.failures = 0

    def _failed(self, hook: _Hook, error: Exception) -> None:
        self._fence.caught(hook.where, error)
        hook.failures += 1
        if hook.failures >= FAILURES_UNTIL_DISABLED:
            self._disable(hook.observer)

    def _disable(self, observer: Observer) -> None:
        if not any(o is observer for o in self.observers):  # another thread, or another hook of it, was here first
            return
        self._set(tuple(o for o in self.observers if o is not observer))
        self.disabled = (*self.disabled, observer)
        name = type_name(observer)
        with self._fence("observer.disabled"):
            _logger.error("%s failed %d times in a row and is switched off", name, FAILURES_UNTIL_DISABLED)
        if self.on_disabled is not None:
            with self._fence("observer.on_disabled"):
                self.on_disabled(name)

    def _set(self, observers: tuple[Observer, ...]) -> None:
        self.observers = observers
        # Hooks that an observer does not override are not called at all: the hot path stays short.
        self._on_call = _hooks(observers, self._on_call, "on_call", "observer.call")
        self._on_execution = _hooks(observers, self._on_execution, "on_execution", "observer.execution")
        self._on_span = _hooks(observers, self._on_span, "on_span", "observer.span")


def _hooks(observers: tuple[Observer, ...], before: tuple[_Hook, ...], name: str, where: str) -> tuple[_Hook, ...]:
    """The hooks of these observers; those that stay keep their failures."""
    kept = {id(hook.observer): hook for hook in before}
    return tuple(
        kept.get(id(observer)) or _Hook(observer, name, where) for observer in observers if _overrides(observer, name)
    )


def _overrides(observer: Observer, hook: str) -> bool:
    return getattr(type(observer), hook) is not getattr(Observer, hook)


class PipelineSpanProcessor(SpanProcessor):
    """The one processor that joins an application's provider: a shell that can be armed, disarmed and armed again.

    OpenTelemetry has no way to remove a processor, so it stays for the life of the provider and does nothing while it
    holds no pipeline.
    """

    def __init__(self, fence: Fence) -> None:
        """Start disarmed."""
        self._fence = fence
        self._pipeline: Pipeline | None = None
        self._flush_others: Callable[[float], bool] | None = None

    def arm(self, pipeline: Pipeline, flush_others: Callable[[float], bool] | None = None) -> None:
        """Let ended spans through to this pipeline.

        Args:
            pipeline: where they go.
            flush_others: flushes within so many seconds what the provider's other processors say of falsely that it is
                flushed; `True` when it is.
        """
        self._pipeline = pipeline
        self._flush_others = flush_others

    def disarm(self) -> None:
        """Stop watching."""
        self._pipeline = self._flush_others = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember in whose run a span of another library starts."""
        pipeline = self._pipeline
        if pipeline is not None:
            pipeline.span_started(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Pass an ended span on."""
        pipeline = self._pipeline
        if pipeline is not None:
            pipeline.span_ended(span)

    def shutdown(self) -> None:
        """Shut the observers down with the provider."""
        pipeline = self._pipeline
        if pipeline is not None:
            pipeline.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the observers within the deadline, and what others do not flush."""
        pipeline, flush_others = self._pipeline, self._flush_others
        if pipeline is None:
            return True
        timeout_s = min(timeout_millis / 1_000, LONGEST_WAIT_S)
        deadline_s = time.monotonic() + timeout_s
        done = pipeline.flush(timeout_s)
        if flush_others is None:
            return done
        flushed = False
        with self._fence("exporter.flush"):
            flushed = flush_others(max(0.0, deadline_s - time.monotonic()))
        return done and flushed
