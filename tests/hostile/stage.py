"""Where one odd value meets one surface, and what is watched meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import sys
import threading
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry import context as otel_context

from kaizen_otel.invocations.scope import current_scope
from kaizen_processors.values import entries_of, pairs_of, type_name
from tests.hostile.outcome import shape

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

_LOOK_DEPTH = 4


class Stage:
    """One run: the value, and whether it reached the surface while that was being called."""

    def __init__(self, value: Any) -> None:
        """Bring this value."""
        self.value = value
        self.reached = False
        self.context_leaks: list[str] = []
        self.payload: Callable[[], Any] | None = None
        self.inside = 0

    def give(self) -> Any:
        """Hand the value to Kaizen, from below the surface."""
        self.reached = self.reached or self.inside > 0
        return self.value

    def throw(self) -> Any:
        """Raise the value, from below the surface."""
        self.reached = self.reached or self.inside > 0
        raise self.value

    def enter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The surface is called with these arguments."""
        self.inside += 1
        self.reached = self.reached or _holds([*args, *kwargs.values()], self.value, _LOOK_DEPTH)

    def leave(self) -> None:
        """The surface has answered."""
        self.inside -= 1

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Await in a new event loop; the context around the `await` must be the same afterwards."""

        async def main() -> Any:
            before = otel_context.get_current()
            try:
                return await coroutine
            finally:
                if otel_context.get_current() is not before:
                    self.context_leaks.append("in the task")

        return asyncio.run(main())


def _holds(things: list[Any], value: object, depth: int) -> bool:
    if any(thing is value for thing in things):
        return True
    if not depth:
        return False
    return any(
        _holds([*entries_of(thing, 8), *(part for pair in pairs_of(thing, 8) for part in pair)], value, depth - 1)
        for thing in things
    )


class Watch:
    """A recorder right below our wrapper: it tells the stage when a surface is entered and left."""

    def __init__(self) -> None:
        """Watch for nobody yet."""
        self.stage: Stage | None = None
        self._undo: list[Callable[[], None]] = []
        self.installed: dict[tuple[Any, str], Any] = {}

    def install(self, owner: Any, name: str) -> None:
        """Wrap an attribute; call before instrumenting."""
        if (owner, name) in self.installed:
            return
        original = vars(owner)[name]
        recorder = wrapt.FunctionWrapper(original, self._record)
        setattr(owner, name, recorder)
        self.installed[owner, name] = recorder
        self._undo.append(lambda: setattr(owner, name, original))

    def remove(self) -> None:
        """Put the originals back."""
        for undo in reversed(self._undo):
            undo()

    def _record(self, wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        stage = self.stage
        if stage is None:
            return wrapped(*args, **kwargs)
        stage.enter(args, kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException:
            stage.leave()
            raise
        if asyncio.iscoroutine(result):
            return _until_done(stage, result)
        if type_name(result) == "async_generator":
            return _until_read(stage, result)
        stage.leave()
        return result


async def _until_done(stage: Stage, call: Any) -> Any:
    try:
        return await call
    finally:
        stage.leave()


async def _until_read(stage: Stage, chunks: Any) -> Any:
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        stage.leave()


@dataclass
class Noise:
    """What a run let out besides its result."""

    printed: str = ""
    warned: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    in_threads: list[str] = field(default_factory=list)
    unraisable: list[str] = field(default_factory=list)


class _Log(logging.Handler):
    def __init__(self, into: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._into = into

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "kaizen_otel":
            self._into.append(f"{record.name}: {shape(record.msg, None)}")


_LOGGERS = ("opentelemetry", "asyncio", "concurrent.futures")


@contextlib.contextmanager
def listening() -> Iterator[Noise]:
    """Collect what is printed, warned, logged by OpenTelemetry and asyncio, and raised where nobody catches it."""
    noise = Noise()
    handler = _Log(noise.logged)
    hooks = threading.excepthook, sys.unraisablehook
    threading.excepthook = lambda args: noise.in_threads.append(args.exc_type.__name__)
    sys.unraisablehook = lambda args: noise.unraisable.append(args.exc_type.__name__)
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(handler)
    out = io.StringIO()
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
        ):
            warnings.simplefilter("always")
            yield noise
    finally:
        threading.excepthook, sys.unraisablehook = hooks
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(handler)
        noise.printed = shape(out.getvalue(), None)
        noise.warned = sorted(f"{w.category.__name__}: {shape(str(w.message), None)}" for w in caught)


@contextlib.contextmanager
def unrecorded() -> Iterator[None]:
    """Keep what Kaizen logs of odd values out of pytest's record, which would hold each of 70 MB to the end."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, [logging.NullHandler()]
    try:
        yield
    finally:
        root.handlers = handlers


@dataclass
class Outcome:
    """What one run came to."""

    result: Any
    error: Any
    noise: Noise
    reached: bool
    context_leaks: list[str]


_MARK = otel_context.create_key("hostile-mark")


def play(run: Callable[[Stage], Any], value: Any, watch: Watch) -> Outcome:
    """Run a slot with a value, in a context of the caller's, and see what comes of it."""
    stage = Stage(value)
    watch.stage = stage
    result = error = None
    token = otel_context.attach(otel_context.set_value(_MARK, object()))
    before = otel_context.get_current()
    try:
        with listening() as noise:
            try:
                result = shape(run(stage), value)
            except BaseException as raised:  # noqa: BLE001 - whatever the surface lets out is its outcome
                error = shape(raised, value)
        if otel_context.get_current() is not before or current_scope() is not None:
            stage.context_leaks.append("after the call")
    finally:
        watch.stage = None
        otel_context.detach(token)
        if type_name(value) == "coroutine":
            value.close()
    return Outcome(result, error, noise, stage.reached, stage.context_leaks)
