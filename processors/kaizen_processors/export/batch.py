"""A sealed batch: encoded and compressed OTLP, and how it is cut in two when a backend finds it too large."""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import io
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar

from kaizen_processors.forking import importing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen_processors.export.spool import SpoolRecord

Signal = Literal["traces", "logs"]

GZIP: Final = "gzip"
ZSTD: Final = "zstd"
PLAIN: Final = ""

_GZIP_LEVEL: Final = 1

Item_contra = TypeVar("Item_contra", contravariant=True)


class EncodedBatch(Protocol):
    """What an encoder hands out at the end of a batch."""

    @property
    def payload(self) -> Any:
        """The serialised `Export…ServiceRequest`; or the items, for an exporter that wants them as they are."""
        ...

    @property
    def items(self) -> int:
        """How many items are in it."""
        ...

    @property
    def dropped(self) -> dict[str, int]:
        """Items that are not in it, by reason."""
        ...


class BatchEncoder(Protocol[Item_contra]):
    """Turns items, one by one, into one OTLP request."""

    @property
    def size_bytes(self) -> int:
        """What the request would measure now, uncompressed."""
        ...

    @property
    def items(self) -> int:
        """How many items are in it."""
        ...

    def add(self, item: Item_contra, /) -> int:
        """Add an item; gives the bytes that it took."""
        ...

    def finish(self) -> EncodedBatch:
        """The request; the encoder is not used again."""
        ...


class SealedBatch:
    """One request, ready to send: compressed, with the number of its items and the queue place of the first of them."""

    __slots__ = (
        "attempts", "encoding", "failures", "first_seq", "items",
        "payload", "record", "settled", "size_bytes", "trimmed",
    )  # fmt: skip

    def __init__(
        self,
        payload: Any,
        encoding: str,
        items: int,
        first_seq: int,
        record: SpoolRecord | None = None,
        *,
        size_bytes: int | None = None,
    ) -> None:
        """Hold a compressed request; `record` says where in the spool it came from.

        For an exporter that wants the items as they are, `payload` is these, and `size_bytes` says what they hold.
        """
        self.payload = payload
        self.size_bytes = len(payload) if size_bytes is None else size_bytes
        self.encoding = encoding
        self.items = items
        self.first_seq = first_seq
        self.record = record
        self.settled = False
        self.trimmed = False
        self.attempts = 0
        self.failures = 0


class Cutter(Protocol):
    """Makes sealed batches of what an encoder has collected, and smaller ones of those that are too large."""

    def sealed(self, encoded: EncodedBatch, first_seq: int) -> list[SealedBatch]:
        """The batches to send."""
        ...

    def halves(self, batch: SealedBatch) -> Sequence[SealedBatch]:
        """A batch cut in two; empty when it holds but one item."""
        ...

    def trimmed(self, batch: SealedBatch) -> SealedBatch | None:
        """A batch of one item, made smaller; None when that cannot be done."""
        ...


def zstd_available() -> bool:
    """Whether the optional `zstandard` package is installed."""
    return importlib.util.find_spec("zstandard") is not None


def compress(payload: bytes, encoding: str) -> bytes:
    """Compress a request for a `Content-Encoding` (`gzip`, `zstd`, or none)."""
    if encoding == GZIP:
        return gzip.compress(payload, _GZIP_LEVEL, mtime=0)
    if encoding == ZSTD:
        return bytes(_zstandard().ZstdCompressor(level=1).compress(payload))
    return payload


def decompress(payload: bytes, encoding: str) -> bytes:
    """Undo `compress`."""
    if encoding == GZIP:
        return gzip.decompress(payload)
    if encoding == ZSTD:
        return bytes(_zstandard().ZstdDecompressor().stream_reader(io.BytesIO(payload)).read())
    return payload


def _zstandard() -> Any:
    with importing:
        return importlib.import_module("zstandard")  # optional
