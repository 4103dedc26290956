"""A disk that is full, a folder that may not be written, a spool that is damaged, one that several processes use."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.faults.support import END_S, numbered, replayed, run, running, wait_until
from tests.processors.delivery.backend import Backend, Reply, unused_url

if TYPE_CHECKING:
    from pathlib import Path

SPANS = 4_000
NOISE = ("--random-bytes", 400)


LIMITED_FILES = ["prlimit", "--fsize=400000"]
"""Runs a program whose files may not measure more than that, in bytes."""


def full_disk(folder: Path) -> list[str]:
    """What runs a program so that its disk is soon full.

    A file system of its own, where one may be mounted (as root, or in a user's namespace); else a limit on its files.
    """
    for namespace in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        mount = ["sh", "-c", 'mount -t tmpfs -o size=256k tmpfs "$0" && exec "$@"', str(folder)]
        may = subprocess.run([*namespace, *mount, "true"], capture_output=True, check=False)  # noqa: S603 - a probe
        if may.returncode == 0:
            return [*namespace, *mount]
    return LIMITED_FILES


@pytest.mark.parametrize("way", ["disk", "limit"])
def test_a_full_disk_loses_nothing(way: str, tmp_path: Path) -> None:
    """What the disk does not take stays in memory, in its place, and is delivered when the backend is back."""
    before = full_disk(tmp_path) if way == "disk" else LIMITED_FILES
    made = ("--spans", SPANS, *NOISE, "--flush", 1, "--end", "hold", "--spool", tmp_path)
    with Backend(default=Reply(503)) as backend, running("app", backend.url, *made, before=before) as app:
        flushed = app.wait_for("flushed")
        assert flushed["spooled"] > 0
        assert flushed["pending"] > 0
        assert flushed["dropped"] == {}
        assert flushed["said"] is False
        backend.default = Reply()
        assert backend.wait_for_items(SPANS, END_S)
        app.end()
        assert sorted(backend.taken) == sorted(numbered(SPANS))


def test_a_folder_that_may_not_be_written_loses_nothing(tmp_path: Path) -> None:
    with Backend(Reply(), default=Reply(503)) as backend, running("denied", backend.url, tmp_path, SPANS) as denied:
        told = denied.wait_for("flushed")
        assert told["said"] is False
        assert (told["spooled"], told["pending"], told["dropped"]) == (0, SPANS, {})
        backend.default = Reply()
        assert backend.wait_for_items(1 + SPANS, END_S)
        denied.end()
        assert backend.taken == ["first", *numbered(SPANS)]
        assert denied.errors.count("the spool cannot be written") == 1


def spooled(folder: Path, prefix: str, spans: int) -> Path:
    """The segment that a process leaves which has spooled these spans."""
    before = set(folder.iterdir())
    # Neither a flush nor a short delay: with both it may replay in between, and what comes then is another segment.
    rarely = json.dumps({"retry_base_s": 1e6, "retry_cap_s": 1e6})
    run("app", unused_url(), "--spans", spans, "--prefix", prefix, "--spool", folder, "--settings", rarely)
    (made,) = set(folder.iterdir()) - before
    return made


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "overwritten"])
def test_a_damaged_spool_costs_what_is_damaged_and_stops_nothing(damage: str, tmp_path: Path) -> None:
    segments = [spooled(tmp_path, prefix, 2_000) for prefix in "abc"]
    damaged = segments[1]
    size = damaged.stat().st_size
    with damaged.open("r+b") as file:
        if damage == "flipped":
            file.seek(size // 2)
            byte = file.read(1)
            file.seek(size // 2)
            file.write(bytes([byte[0] ^ 1]))
        elif damage == "overwritten":
            file.write(os.urandom(size))
        else:
            file.truncate(size // 2 if damage == "cut" else 0)
    others = [*numbered(2_000, "a"), *numbered(2_000, "c")]
    arrived = replayed(tmp_path, others)
    assert [name for name in arrived if name[0] != "b"] == others
    second = [name for name in arrived if name[0] == "b"]
    assert second == numbered(len(second), "b")
    assert len(second) < 2_000


def test_two_processes_on_one_spool_lose_and_repeat_nothing(tmp_path: Path) -> None:
    made = ("--spans", 4_000, "--rate", 2_000, "--end", "hold", "--spool", tmp_path)
    with (
        Backend(default=Reply(503)) as backend,
        running("app", backend.url, "--prefix", "a", *made) as one,
        running("app", backend.url, "--prefix", "b", *made) as other,
    ):
        one.wait_for("made")
        other.wait_for("made")
        backend.default = Reply()
        assert backend.wait_for_items(8_000, END_S)
        one.end()
        other.end()
        assert sorted(backend.taken) == sorted([*numbered(4_000, "a"), *numbered(4_000, "b")])


def test_two_processes_that_replay_one_spool_share_it(tmp_path: Path) -> None:
    """A slow backend has both of them at it at the same time."""
    prefixes = "abcdef"
    for prefix in prefixes:
        spooled(tmp_path, prefix, 2_000)
    expected = {name for prefix in prefixes for name in numbered(2_000, prefix)}
    replay = ("--spans", 0, "--end", "hold", "--spool", tmp_path)
    with (
        Backend(default=Reply(delay_s=0.2)) as backend,
        running("app", backend.url, *replay) as one,
        running("app", backend.url, *replay) as other,
    ):
        wait_until(lambda: set(backend.taken) == expected)
        wait_until(lambda: not list(tmp_path.iterdir()))
        one.end()
        other.end()
        assert len(backend.taken) == len(expected)
