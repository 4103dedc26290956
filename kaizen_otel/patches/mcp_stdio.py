"""`MCPServer.run_stdio()`: the loop over pipes of Kailash's own, by which `run_async()` serves.

One method reads, answers and writes every request, and nothing that it calls is told more than a tool's name. So it
gets a stand-in for `self` (docs/adr/0025), which it asks for the tools when it has read a request, and whether to go on
when it has written the answer; what it read and wrote are the locals `request` and `response` of its frame (kailash-mcp
0.2 to 0.6). Where they are not, nothing is seen.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import wrapt

from kaizen_otel.invocations.values import entry_of
from kaizen_otel.patches.coroutines import in_place_of
from kaizen_otel.patches.mcp_servers import PIPE, describe_message, observe_answer
from kaizen_otel.patches.patcher import Patcher, Surface
from kaizen_otel.patches.standins import method_of
from kaizen_otel.patches.switch import active

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import FrameType

    from kaizen_otel.patches.watching import Arguments, Keywords
    from kaizen_otel.telemetry import Telemetry


def apply_server(patcher: Patcher, module: Any) -> None:
    """Kailash's server."""
    patcher.wrap(module.MCPServer, "run_stdio", run_stdio)


SURFACE = Surface("kailash_mcp.server", apply_server)


def run_stdio(wrapped: Any, instance: Any, args: Arguments, kwargs: Keywords) -> Any:
    """`run_stdio()`: until its input ends."""
    if active() is None:
        return wrapped(*args, **kwargs)
    requests = Requests()
    call = method_of(wrapped, ServerInLoop(instance, requests), instance)(*args, **kwargs)
    return in_place_of(call, lambda call: _run(requests, call))


async def _run(requests: Requests, call: Awaitable[Any]) -> Any:
    try:
        return await call
    except BaseException as error:
        requests.leave(error)
        raise
    finally:
        requests.leave()


class Requests:
    """The requests of one loop, one after the other: where each begins and ends."""

    __slots__ = ("_begun", "_current")

    def __init__(self) -> None:
        """Know of none."""
        self._begun: Any = None
        self._current: Any = None

    def arrived(self, frame: FrameType | None) -> None:
        """A request has been read, and is about to be looked at, perhaps more than once."""
        telemetry = active()
        if telemetry is not None:
            with telemetry.fence("mcp.loop"):
                self._begin(telemetry, _local(frame, "request"))

    def answered(self, frame: FrameType | None) -> None:
        """The answer to the last request, if there was one, has been written."""
        telemetry = active()
        if telemetry is not None:
            with telemetry.fence("mcp.loop"):
                self._begin(telemetry, _local(frame, "request"))  # where it asked for no tools: an unknown method
                if self._current is not None:
                    answer = _local(frame, "response")
                    self._current.observe(lambda call: observe_answer(call, answer))
        self.leave()

    def leave(self, error: BaseException | None = None) -> None:
        """End what is running."""
        current, self._current = self._current, None
        if current is not None:
            current.__exit__(None if error is None else type(error), error, None)

    def _begin(self, telemetry: Telemetry, message: Any) -> None:
        if message is self._begun:
            return
        self._begun = message
        if entry_of(message, "id") is None:
            return
        fields = tuple(entry_of(message, name) for name in ("method", "params", "id"))
        current = telemetry.operation("mcp_server", lambda: describe_message(telemetry, PIPE, *fields))
        self._current = current.__enter__()


def _local(frame: FrameType | None, name: str) -> Any:
    """A local of the loop: read, never written."""
    return None if frame is None else frame.f_locals.get(name)


_TOLD: Final = {"_tool_registry": Requests.arrived, "_running": Requests.answered}
"""What it means that the loop asks for an attribute."""


class ServerInLoop(wrapt.ObjectProxy):  # type: ignore[type-arg]  # generic only since wrapt 2
    """The server as its loop sees it: the same, but what it asks for tells how far it is."""

    def __init__(self, server: Any, requests: Requests) -> None:
        """Stand in for `server`."""
        super().__init__(server)
        self._self_requests = requests

    def __getattr__(self, name: str) -> Any:
        told = _TOLD.get(name)
        if told is not None:
            # Not by `inspect.currentframe()`: a frame that holds itself holds the loop's, too, until it is collected.
            told(self._self_requests, sys._getframe(1))  # noqa: SLF001 - see above
        return super().__getattr__(name)
