"""Where to find the store of a process, by its pid: a note in a folder of the user's, removed when the process ends.

The folder is `kaizen-otel` in `$XDG_RUNTIME_DIR`, or `kaizen-otel-<uid>` in the temporary folder; it is for its owner
alone (0700), and one that is not is neither written to nor believed.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from kaizen_processors.store.processes import birth_of, own_birth

_ONLY_OWNER: Final = 0o700


def note(path: Path) -> None:
    """Write down where this process keeps its store.

    Raises:
        OSError: the folder cannot be used.
    """
    folder = _folder()
    folder.mkdir(mode=_ONLY_OWNER, parents=True, exist_ok=True)
    if not _is_ours(folder):
        raise PermissionError(f"{folder} is not for its owner alone")
    _drop_stale(folder)
    unfinished = folder / f"{os.getpid()}.unfinished"
    unfinished.write_text(json.dumps({"store": str(path.absolute()), "birth": own_birth()}), encoding="utf-8")
    unfinished.replace(folder / f"{os.getpid()}.json")


def forget() -> None:
    """Remove this process's note, if there is one."""
    with contextlib.suppress(OSError):
        (_folder() / f"{os.getpid()}.json").unlink()


def store_of_pid(pid: int) -> Path | None:
    """The file of the store that a running process of this user's works with; None when it has none."""
    folder = _folder()
    try:
        if not _is_ours(folder):
            return None
        said = json.loads((folder / f"{pid}.json").read_text(encoding="utf-8"))
        if said["birth"] != (birth_of(pid) or None):
            return None
        return Path(said["store"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stores_of_running() -> dict[Path, list[int]]:
    """The stores of this user's running processes, and which processes work with each; files that are there still."""
    found: dict[Path, list[int]] = {}
    with contextlib.suppress(OSError):
        for one in sorted(_folder().glob("*.json")):
            path = store_of_pid(int(one.stem)) if one.stem.isdecimal() else None
            if path is not None and path.exists():
                found.setdefault(path, []).append(int(one.stem))
    return {path: sorted(pids) for path, pids in found.items()}


def _folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "kaizen-otel"
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"kaizen-otel-{user}"


def _is_ours(folder: Path) -> bool:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return False
    return not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077)


def _drop_stale(folder: Path) -> None:
    """Remove what processes left that were killed."""
    for one in folder.glob("*.json"):
        if one.stem.isdecimal() and birth_of(int(one.stem)) is None:
            with contextlib.suppress(OSError):
                one.unlink()
