"""What this machine has to offer: the spool's folder, the Prometheus port, the file, the store."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from typing import TYPE_CHECKING, Final

from kaizen_otel.delivery import probe_folder
from kaizen_otel.doctor.findings import Finding, error, info, ok, warning
from kaizen_otel.doctor.shared_store import check_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen_otel.settings import Settings

_MIB: Final = 1 << 20
_SIGNALS: Final = ("traces", "logs")


def check_machine(settings: Settings, *, otlp: bool) -> list[Finding]:
    """Findings about the settings that need something of this machine. `otlp`: whether anything leaves by OTLP."""
    return [*_spool(settings, otlp=otlp), *_prometheus(settings), *_file(settings), *check_store(settings)]


def _spool(settings: Settings, *, otlp: bool) -> Iterator[Finding]:
    folder = settings.spool
    if folder is None:
        return
    if importlib.util.find_spec("fcntl") is None:
        yield error("spool", "a spool needs flock, which this platform does not have", "Unset spool.")
        return
    remedy = "Give this user the right to write there, or name another folder (KAIZEN_OTEL_SPOOL)."
    try:
        if folder.exists():
            probe_folder(folder)
            yield ok("spool", f"the spool {folder} can be written")
            yield from _segments(folder)
        elif _can_be_made(folder):
            yield ok("spool", f"the spool {folder} is not there yet; it will be made")
        else:
            yield error("spool", f"the spool {folder} is not there and cannot be made", remedy)
            return
    except OSError as failed:
        yield error("spool", f"the spool {folder} cannot be used ({failed.strerror})", remedy)
        return
    if not otlp:
        yield warning("spool.unused", "a spool is set, and nothing leaves by OTLP", "Set OTEL_EXPORTER_OTLP_ENDPOINT.")
    yield from _room(folder, settings.spool_max_bytes)


def _can_be_made(folder: Path) -> bool:
    above = _nearest(folder)
    return above.is_dir() and os.access(above, os.W_OK | os.X_OK)


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    absolute = folder.absolute()
    return next(one for one in (absolute, *absolute.parents) if one.exists())


def _segments(folder: Path) -> Iterator[Finding]:
    waiting, size, bad, foreign = 0, 0, [], []
    for entry in folder.iterdir():
        if entry.name.startswith(tuple(f"{signal}-" for signal in _SIGNALS)) and entry.suffix in {".seg", ".bad"}:
            stat = entry.stat()
            size += stat.st_size
            waiting += entry.suffix == ".seg"
            bad += [entry.name] if entry.suffix == ".bad" else []
            foreign += [entry.name] if stat.st_uid != os.getuid() else []
    if waiting:
        yield info(
            "spool.waiting",
            f"{waiting} segments, {size / _MIB:.1f} MiB, wait there for a backend",
            "They are delivered when the next process with this spool starts, or the backend is back.",
            segments=waiting,
            size_bytes=size,
        )
    if bad:
        remedy = "Keep them for a bug report, or delete them: they are never read again, and take room."
        yield warning("spool.corrupt", f"{len(bad)} corrupt segments were set aside ({bad[0]} …)", remedy)
    if foreign:
        remedy = "Run all processes of a spool as one user, or give each user a folder of its own."
        yield warning("spool.foreign", f"{len(foreign)} segments belong to another user ({foreign[0]} …)", remedy)


def _room(folder: Path, wanted: int) -> Iterator[Finding]:
    free = shutil.disk_usage(_nearest(folder)).free
    if free < wanted * len(_SIGNALS):
        may = f"the spool may take {wanted / _MIB:.0f} MiB for each signal"
        message = f"the disk of {folder} has {free / _MIB:.0f} MiB left, and {may}"
        yield warning("spool.room", message, "Make room, or lower spool_max_bytes.", free_bytes=free)


def _prometheus(settings: Settings) -> Iterator[Finding]:
    port, host = settings.prometheus_port, settings.prometheus_host
    if not port:
        return
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as failed:
        remedy = "If it is your application, it is running: all is well. Else stop what is there, or take another port."
        yield warning("prometheus", f"cannot listen on {host}:{port} ({failed.strerror})", remedy)
        return
    yield ok("prometheus", f"{host}:{port} is free for the Prometheus endpoint")


def _file(settings: Settings) -> Iterator[Finding]:
    path = settings.file
    if path is None:
        return
    folder = path.absolute().parent
    target = path if path.exists() else folder
    if target.is_dir() == (target == folder) and os.access(target, os.W_OK):
        yield ok("file", f"{path} can be written")
    else:
        yield error("file", f"{path} cannot be written", "Make its folder, or name another file (KAIZEN_OTEL_FILE).")
