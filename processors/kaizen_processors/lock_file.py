"""A lock between processes, on a file that is there for as long as somebody holds it."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import IO, TYPE_CHECKING

try:
    import fcntl
except ImportError:  # Windows has no flock: there two processes on one file are not noticed
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from pathlib import Path


def take(path: Path, *, mode: int = 0o600, wait: bool = True) -> IO[bytes]:
    """Hold the lock: gives what `give_back` takes. It is held until that is closed.

    Args:
        path: the file; it is made.
        mode: its rights, where it is made.
        wait: whether to wait for whoever holds it.

    Raises:
        BlockingIOError: somebody holds it, and it is not to be waited for.
        OSError: there is no right to.
    """
    while True:
        file = open(path, "ab", opener=partial(os.open, mode=mode))  # noqa: SIM115 - `Path.open` takes no opener
        try:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                except OSError as error:
                    if wait:
                        raise
                    raise BlockingIOError(error.errno, f"{path} is locked") from error
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()  # who held it has deleted it meanwhile


def give_back(path: Path, file: IO[bytes]) -> None:
    """Delete the file while it is held: whoever waits for it sees that, and makes another one."""
    is_ours = False
    with contextlib.suppress(OSError):
        is_ours = not os.fstat(file.fileno()).st_size  # else it is another's, who chose the same name
    if os.name != "posix":
        file.close()  # an open file cannot be deleted there
    if is_ours:
        with contextlib.suppress(OSError):
            path.unlink()
    file.close()
