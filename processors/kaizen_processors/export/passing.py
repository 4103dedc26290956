"""Batches for an exporter that is not ours: the items as they are, handed to its `export` on our sending thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.trace.export import SpanExportResult

from kaizen_processors.export.batch import PLAIN, SealedBatch
from kaizen_processors.export.sender import Outcome, Verdict
from kaizen_processors.values import type_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen_processors.export.batch import EncodedBatch
    from kaizen_processors.fence import Fence

Item = TypeVar("Item")

MAX_TRIES: Final = 8
"""So often is a batch handed over that the exporter reports as failed: through about 45 s of an outage.

An exporter does not say whether it failed for good; a batch that it will never take must not stand in the way for ever.
"""

CLOSE_S: Final = 0.5
"""Longest time that the end waits for the exporter's own shutdown."""

_FAILURES: Final = (SpanExportResult.FAILURE, LogRecordExportResult.FAILURE)


class KeptItems(NamedTuple):
    """A batch of items as they are."""

    payload: tuple[Any, ...]
    items: int
    dropped: dict[str, int]


class ItemCollector(Generic[Item]):
    """Collects items where an encoder would write them.

    Args:
        weigh: About how many bytes an item holds.
    """

    def __init__(self, weigh: Callable[[Item], int]) -> None:
        """Start empty."""
        self._weigh = weigh
        self._kept: list[Item] = []
        self.size_bytes = 0
        """About how many bytes the items hold."""

    @property
    def items(self) -> int:
        """How many there are."""
        return len(self._kept)

    def add(self, item: Item) -> int:
        """Keep an item; gives `size_bytes`."""
        self._kept.append(item)
        self.size_bytes += self._weigh(item)
        return self.size_bytes

    def finish(self) -> KeptItems:
        """The items, in their order."""
        return KeptItems(tuple(self._kept), len(self._kept), {})


class ItemCutter(Generic[Item]):
    """Batches of items as they are; none is ever too large.

    Args:
        weigh: About how many bytes an item holds.
    """

    def __init__(self, weigh: Callable[[Item], int]) -> None:
        """Cut by number."""
        self._weigh = weigh

    def sealed(self, encoded: EncodedBatch, first_seq: int) -> list[SealedBatch]:
        """One batch with all of them."""
        kept: tuple[Item, ...] = encoded.payload
        return [SealedBatch(kept, PLAIN, len(kept), first_seq, size_bytes=sum(map(self._weigh, kept)))]

    def halves(self, batch: SealedBatch) -> tuple[SealedBatch, ...]:  # noqa: ARG002 - a `Cutter`
        """None: an exporter does not say that a batch is too large."""
        return ()

    def trimmed(self, batch: SealedBatch) -> SealedBatch | None:  # noqa: ARG002 - a `Cutter`
        """None, as above."""
        return None


class ExporterEndedError(Exception):
    """An exporter raised what would end a thread (`SystemExit` …)."""


class ExporterSender:
    """Hands batches to an exporter. It may raise anything, or hang: that is between it and our sending thread.

    Args:
        exporter: A span or log record exporter.
        fence: Counts what its shutdown raises.
    """

    def __init__(self, exporter: Any, fence: Fence) -> None:
        """Hand over to this exporter, and shut it down at the end."""
        self._exporter = exporter
        self.component_type = type_name(exporter)
        self._fence = fence
        self._failed = 0
        self._closed = False

    def send(self, payload: Any, encoding: str, timeout_s: float | None = None) -> Outcome:
        """Hand the items over. How long that takes is the exporter's.

        Raises:
            Exception: Whatever the exporter raises; what would end the thread as an `ExporterEndedError`.
        """
        del encoding, timeout_s
        try:
            result = self._exporter.export(list(payload))
        except Exception:
            raise
        except BaseException as error:
            raise ExporterEndedError(type_name(error)) from error
        # By identity: a result may be of any type. One that is none at all is common, and means success.
        if not any(result is failure for failure in _FAILURES):
            self._failed = 0
            return Outcome(Verdict.DELIVERED)
        self._failed += 1
        if self._failed < MAX_TRIES:
            return Outcome(Verdict.RETRY, f"{type_name(self._exporter)} says FAILURE")
        self._failed = 0
        return Outcome(Verdict.REFUSED, f"{type_name(self._exporter)} said FAILURE {MAX_TRIES} times")

    def close(self) -> None:
        """Shut the exporter down, once; whoever asks waits for it half a second at most."""
        if not self._closed:
            self._closed = True
            in_time(self._shut_down, CLOSE_S)

    def flush(self, timeout_s: float) -> bool:
        """Flush the exporter itself; False when it says so, raises, or takes longer."""
        if not hasattr(self._exporter, "force_flush"):
            return True  # exporters of log records need not have it in SDK 1.43
        done: list[bool] = []

        def flush() -> None:
            with self._fence("exporter.flush"):
                done.append(self._exporter.force_flush(int(timeout_s * 1_000)) is not False)

        in_time(flush, timeout_s)
        return done == [True]

    def _shut_down(self) -> None:
        with self._fence("exporter.shutdown"):
            self._exporter.shutdown()


def in_time(work: Callable[[], None], timeout_s: float) -> None:
    """Do something on a thread of its own, and wait for it no longer than `timeout_s`."""
    thread = threading.Thread(target=_contained, args=(work,), name="kaizen-otel-exporter", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # so late that no thread starts any more
        _contained(work)
        return
    thread.join(timeout_s)


def _contained(work: Callable[[], None]) -> None:
    try:
        work()
    except BaseException:  # noqa: BLE001 - `Exception`s were counted; what would end a thread ends only this one
        return
