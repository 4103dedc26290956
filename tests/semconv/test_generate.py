"""What the generator writes, and how it tells that it is stale."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from generate import main, outputs
from semconv_generator.source import read

SEMCONV = Path(__file__).parents[2] / "semconv"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in ("registry", "official"):
        shutil.copytree(SEMCONV / folder, tmp_path / folder)
    return tmp_path


def test_generated_files_are_those_that_are_committed() -> None:
    for name, text in outputs(read(SEMCONV)).items():
        assert (SEMCONV / name).read_text(encoding="utf-8") == text, name


def test_generating_twice_gives_the_same_bytes(copy: Path) -> None:
    assert main(["--root", str(copy)]) == 0
    first = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert main(["--root", str(copy)]) == 0
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == first


def test_check_names_the_stale_file_and_shows_what_differs(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(copy)]) == 0
    path = copy / "registry/metrics.yaml"
    path.write_text(path.read_text("utf-8").replace("Executions that ended.", "Executions that are over."), "utf-8")
    assert main(["--check", "--root", str(copy)]) == 1
    errors = capsys.readouterr().err
    assert "kaizen_semconv/metrics.py is stale" in errors
    assert "docs/metrics.md is stale" in errors
    assert '+    description="Executions that are over.",' in errors
    assert "attributes.py" not in errors


def test_check_sees_a_hand_edited_output_and_leaves_it_alone(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(copy)]) == 0
    path = copy / "kaizen_semconv/events.py"
    edited = path.read_text("utf-8") + "# mine\n"
    path.write_text(edited, "utf-8")
    assert main(["--check", "--root", str(copy)]) == 1
    assert "-# mine" in capsys.readouterr().err
    assert path.read_text("utf-8") == edited


def test_check_sees_a_missing_output_and_shortens_its_diff(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(copy)]) == 0
    (copy / "kaizen_semconv/metrics.py").unlink()
    assert main(["--check", "--root", str(copy)]) == 1
    assert "more lines" in capsys.readouterr().err
    assert not (copy / "kaizen_semconv/metrics.py").exists()
