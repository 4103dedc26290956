"""When histograms are recorded: for all agents as the settings say, for one as it says itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kaizen_processors.recording import DeferredRecorder, DirectRecorder

if TYPE_CHECKING:
    from kaizen_otel.invocations.extent import Extent
    from kaizen_processors.fence import Fence
    from kaizen_processors.recording import HistogramRecorder

_DIRECT: Final = DirectRecorder()


class Recorders:
    """The recorder of most agents, and that of those which asked for the other one.

    Args:
        fence: counts what fails off the calling thread.
        deferred: whether most are recorded off the calling thread.
    """

    def __init__(self, fence: Fence, *, deferred: bool) -> None:
        """Record as the settings say."""
        self._deferred = DeferredRecorder(fence)  # its thread starts with the first value
        self.usual = self._recorder(deferred=deferred)

    def configure(self, *, deferred: bool) -> None:
        """Take later settings into account."""
        self.drain()
        self.usual = self._recorder(deferred=deferred)

    def of(self, extent: Extent) -> HistogramRecorder:
        """The recorder of whom this extent is of."""
        return self.usual if extent.deferred is None else self._recorder(deferred=extent.deferred)

    def _recorder(self, *, deferred: bool) -> HistogramRecorder:
        return self._deferred if deferred else _DIRECT

    def drain(self) -> None:
        """Record everything that waits."""
        self._deferred.drain()

    def shutdown(self) -> None:
        """Record what waits and stop."""
        self._deferred.shutdown()
