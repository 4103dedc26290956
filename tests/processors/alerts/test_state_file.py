"""Whose a state file is, and what is left beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen_processors.alerts.state_file import ForeignStateError, StateFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"notes of mine\n", "is no state of alerts, and is left as it is"),
        (b'{"version":1,"alerts":{}}', "is no state of alerts"),
        (b"\xff\xfe", "is no state of alerts"),
        (b'{"kaizen_otel":"alert state","version":2,"alerts":{}}', "is of version 2, and is left as it is"),
    ],
)
def test_a_file_of_somebody_else_is_refused_and_never_touched(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "alerts.json"
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(ForeignStateError, match=problem):
            StateFile(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("content", "kept"), [(b"", []), (b"\n", []), (bytes(64), ["alerts.json.corrupt"])])
def test_an_empty_file_is_taken(tmp_path: Path, content: bytes, kept: list[str]) -> None:
    path = tmp_path / "alerts.json"
    path.write_bytes(content)
    state = StateFile(path)
    state.save("alerts", {"a": 1})
    state.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["alerts.json", *kept]
    again = StateFile(path)
    assert (again.section("alerts"), again.section("version"), again.section("kaizen_otel")) == ({"a": 1}, {}, {})
    again.close()


def test_a_file_that_cannot_be_read_is_not_put_aside(tmp_path: Path) -> None:
    (tmp_path / "alerts.json").mkdir()
    with pytest.raises(IsADirectoryError):
        StateFile(tmp_path / "alerts.json")
    assert [one.name for one in tmp_path.iterdir()] == ["alerts.json"]


def test_the_lock_goes_with_its_process_unless_it_is_somebody_elses(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "alerts.json")
    assert (tmp_path / "alerts.json.lock").exists()
    state.close()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "alerts.json.lock").write_text("mine", encoding="utf-8")
    StateFile(tmp_path / "alerts.json").close()
    assert (tmp_path / "alerts.json.lock").read_text(encoding="utf-8") == "mine"
