"""What happens to finished spans and records inside the process: observers in a list, behind one fence.

To OpenTelemetry this is one `SpanProcessor`; what we write are plain functions. Invocations hand their records over
directly (`call_finished`, `execution_finished`), so an unsampled span counts the same; spans pass on to the span
observers (a console, a file) as they end. An observer that raises is counted and the others still run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from kaizen_processors.execution import CallRecord, ExecutionRecord
    from kaizen_processors.fence import Fence


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


class Pipeline:
    """The observers of one instrumentation, behind one fence."""

    def __init__(self, fence: Fence, observers: tuple[Observer, ...] = ()) -> None:
        """Start with these observers."""
        self._fence = fence
        self._on_call: tuple[Callable[[CallRecord], None], ...] = ()
        self._on_execution: tuple[Callable[[ExecutionRecord], None], ...] = ()
        self._on_span: tuple[Callable[[ReadableSpan], None], ...] = ()
        self.observers: tuple[Observer, ...] = ()
        for observer in observers:
            self.add(observer)

    def add(self, observer: Observer) -> None:
        """Add an observer; its hooks are called after those of the earlier ones."""
        self._set((*self.observers, observer))

    def remove(self, observer: Observer) -> None:
        """Take an observer out; nothing happens when it is not there."""
        self._set(tuple(o for o in self.observers if o is not observer))

    def call_finished(self, record: CallRecord) -> None:
        """Show a finished model call to every observer that wants calls."""
        for hook in self._on_call:
            with self._fence("observer.call"):
                hook(record)

    def execution_finished(self, record: ExecutionRecord) -> None:
        """Show a finished execution to every observer that wants executions."""
        for hook in self._on_execution:
            with self._fence("observer.execution"):
                hook(record)

    def span_ended(self, span: ReadableSpan) -> None:
        """Show a finished span to every observer that wants spans."""
        for hook in self._on_span:
            with self._fence("observer.span"):
                hook(span)

    def flush(self, timeout_s: float) -> bool:
        """Flush every observer; True only when all of them wrote everything out."""
        done = True
        for observer in self.observers:
            flushed = False
            with self._fence("observer.flush"):
                flushed = observer.flush(timeout_s)
            done = done and flushed
        return done

    def shutdown(self) -> None:
        """Shut every observer down."""
        for observer in self.observers:
            with self._fence("observer.shutdown"):
                observer.shutdown()

    def _set(self, observers: tuple[Observer, ...]) -> None:
        self.observers = observers
        # Hooks that an observer does not override are not called at all: the hot path stays short.
        self._on_call = tuple(o.on_call for o in observers if _overrides(o, "on_call"))
        self._on_execution = tuple(o.on_execution for o in observers if _overrides(o, "on_execution"))
        self._on_span = tuple(o.on_span for o in observers if _overrides(o, "on_span"))


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

    def arm(self, pipeline: Pipeline) -> None:
        """Let ended spans through to this pipeline."""
        self._pipeline = pipeline

    def disarm(self) -> None:
        """Stop watching."""
        self._pipeline = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing: all that is known at the start is set by the invocation."""

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
        """Flush the observers within the deadline."""
        pipeline = self._pipeline
        return pipeline.flush(timeout_millis / 1_000) if pipeline is not None else True
