"""Ways out: the console tree, OTLP-JSON files, OTLP. Import the module you need; each loads its libraries when used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kaizen_processors.export.wrapping import wrap_exporter

__all__ = ["wrap_exporter"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: a console or a file needs no delivery queue.
    if name == "wrap_exporter":
        from kaizen_processors.export.wrapping import wrap_exporter  # noqa: PLC0415

        return wrap_exporter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
