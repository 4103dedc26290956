"""Programs are built once per version into the cache, and what is missing is said in words."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from tests.backends import builds
from tests.backends.builds import PROGRAMS, BuildError, GoProgram, build, fingerprint, main

if TYPE_CHECKING:
    from pathlib import Path

FAKE_GO = """\
#!/bin/sh
if [ "$1" = env ]; then echo go1.99; exit; fi
echo "$@" >> "$FAKE_GO_LOG"
while [ "$1" != -o ]; do shift; done
echo program > "$2"
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoProgram:
    """A small program in a folder of its own, with an empty cache."""
    monkeypatch.setattr(builds, "COLLECTOR_CONFIG", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "hello"
    source.mkdir()
    (source / "go.mod").write_text("module hello\n", encoding="utf-8")
    (source / "README.md").write_text("read me\n", encoding="utf-8")
    return GoProgram("hello", "1.2.3", "hello", ".", version_symbol="main.version", version_prefix="v")


@pytest.fixture
def go_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `go` that notes how it was called; returns the notes' file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    go = folder / "go"
    go.write_text(FAKE_GO, encoding="utf-8")
    go.chmod(go.stat().st_mode | stat.S_IXUSR)
    log = tmp_path / "go.log"
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_GO_LOG", str(log))
    return log


def test_second_build_of_a_version_is_taken_from_the_cache(program: GoProgram, go_log: Path) -> None:
    first = build(program)
    second = build(program)
    assert first == second
    assert first.read_text(encoding="utf-8") == "program\n"
    assert len(go_log.read_text(encoding="utf-8").splitlines()) == 1


def test_program_is_built_into_the_cache_from_the_committed_versions(
    program: GoProgram, go_log: Path, tmp_path: Path
) -> None:
    path = build(program)
    assert path.is_relative_to(tmp_path / "cache" / "kaizen-otel" / "backends")
    assert "1.2.3" in path.parent.name
    called = go_log.read_text(encoding="utf-8")
    assert "build -mod=readonly -trimpath" in called
    assert "-X main.version=v1.2.3" in called


@pytest.mark.parametrize(("file", "changes"), [("go.mod", True), ("main.go", True), ("README.md", False)])
def test_only_what_shapes_the_program_changes_its_place(program: GoProgram, file: str, changes: bool) -> None:
    before = fingerprint(program, "go1.99")
    program.source.joinpath(file).write_text("another\n", encoding="utf-8")
    assert (fingerprint(program, "go1.99") != before) is changes


def test_another_go_builds_anew(program: GoProgram) -> None:
    assert fingerprint(program, "go1.98") != fingerprint(program, "go1.99")


@pytest.mark.usefixtures("go_log")
def test_failed_build_says_what_go_said_and_leaves_nothing(program: GoProgram, tmp_path: Path) -> None:
    (tmp_path / "bin" / "go").write_text(FAKE_GO.replace("echo program", "echo no such module >&2; exit 1 #"), "utf-8")
    with pytest.raises(BuildError, match="no such module"):
        build(program)
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == ["lock"]


def test_without_go_the_message_says_what_to_install(
    program: GoProgram, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(BuildError, match=r"install Go 1\.25 or later"):
        build(program)


def test_script_prints_the_path(
    program: GoProgram, go_log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PROGRAMS, "hello", program)
    assert main(["hello"]) == 0
    assert go_log.exists()
    assert capsys.readouterr().out == f"{build(program)}\n"


def test_script_names_the_programs_it_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hotrod"]) == 2
    assert "otelcol-kaizen, jaeger, prometheus" in capsys.readouterr().err
