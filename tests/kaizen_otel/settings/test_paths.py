"""Paths as `instrument()` takes them: what is wrong is told at once, by the name of the setting."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import kaizen_otel
from kaizen_otel.doctor.examination import examine
from kaizen_otel.patches.switch import active
from kaizen_otel.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _off_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    kaizen_otel.uninstrument()


def refusal(**settings: Any) -> str:
    """What `instrument()` says to these."""
    with pytest.raises(SettingsError) as caught:
        kaizen_otel.instrument(**settings)
    assert active() is None
    return str(caught.value)


def test_a_relative_path_is_meant_where_instrument_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    kaizen_otel.instrument(file="a.jsonl", store="b.db", spool="c", alert_state="d.json", alerting=True)
    monkeypatch.chdir(elsewhere)
    telemetry = active()
    assert telemetry is not None
    settings = telemetry.settings
    expected = tuple(tmp_path / name for name in ("a.jsonl", "b.db", "c", "d.json"))
    assert (settings.file, settings.store, settings.spool, settings.alert_state) == expected
    assert settings.origins["file"].where == "argument"
    assert kaizen_otel.stats()["store"]["path"] == str(tmp_path / "b.db")
    telemetry.performance.tick()
    kaizen_otel.flush(30.0)
    assert list(elsewhere.iterdir()) == []


def test_tables_show_the_absolute_path(tmp_path: Path) -> None:
    assert f"file {tmp_path}/a.jsonl" in re.sub(" +", " ", Settings(file=Path("a.jsonl")).describe())
    report = examine({"KAIZEN_OTEL_FILE": "a.jsonl"})
    assert ("file", str(tmp_path / "a.jsonl"), "environment variable KAIZEN_OTEL_FILE") in report.settings


def test_a_file_that_somebody_named_and_that_cannot_be_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert refusal(file="loop") == f"argument: file cannot be {tmp_path}/loop: Too many levels of symbolic links"
    monkeypatch.setenv("KAIZEN_OTEL_FILE", "loop")
    assert refusal().startswith("environment variable KAIZEN_OTEL_FILE: file cannot be ")


@pytest.mark.parametrize("name", ["file", "store", "alert_state", "spool"])
def test_a_folder_is_no_file_and_a_file_no_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    wrong, why = ("notes", "a file; allowed: a folder") if name == "spool" else ("folder", "a folder; allowed: a file")
    assert refusal(**{name: wrong, "alerting": True}) == f"argument: {name} cannot be {wrong}: it is {why}"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder", "notes"]


def test_a_file_of_somebody_else_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    assert refusal(store="notes").startswith(
        "argument: store cannot be notes: it is something else's, and is left as it"
    )
    assert [one.read_text("utf-8") for one in tmp_path.iterdir()] == ["mine"]


def test_a_file_that_only_a_preset_asks_for_costs_one_warning(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "kaizen-otel.jsonl").mkdir()
    kaizen_otel.instrument(preset="development", console=False)
    assert active() is not None
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    refusal = f"preset development (argument): file cannot be {tmp_path}/kaizen-otel.jsonl: Is a directory"
    assert warnings[0] == f"{refusal}: going on without it"


@pytest.mark.parametrize("name", ["file", "store", "alert_state"])
def test_a_folder_that_is_not_there_is_a_typo_that_is_told(name: str, tmp_path: Path) -> None:
    said = refusal(**{name: "missing/x", "alerting": True})
    assert said == f"argument: {name} cannot be missing/x: there is no folder {tmp_path}/missing"
    assert not (tmp_path / "missing").exists()
    sections = examine({f"KAIZEN_OTEL_{name.upper()}": "missing/x"}).sections
    findings = [one.message for section in sections for one in section.findings if one.check == "settings"]
    assert [f"{name} cannot be" in message for message in findings] == [True]


@pytest.mark.parametrize("other", ["file", "spool", "alert_state"])
def test_two_settings_cannot_name_one_path(other: str, tmp_path: Path) -> None:
    said = refusal(**{"store": tmp_path / "same", other: "./same"})
    assert said.startswith("argument: ")
    assert "cannot be the same path" in said
    assert "store" in said
    assert other in said
    assert not (tmp_path / "same").exists()


@pytest.mark.telemetry_fails
def test_a_dictionary_of_kaizens_names_a_bad_file_and_the_rest_of_it_counts(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "folder").symlink_to("folder")
    kaizen_otel.instrument()
    telemetry = active()
    assert telemetry is not None
    telemetry.settings_desk.apply_kaizen_config(
        {"exporters": {"file": {"path": "folder"}}, "monitoring_level": "basic"}
    )
    assert telemetry.settings.monitoring_level == "basic"
    (said,) = [record.getMessage() for record in caplog.records if "ignores this" in record.getMessage()]
    assert f"file cannot be {tmp_path}/folder: Too many levels of symbolic links" in said


def test_a_bad_price_file_is_told_by_the_settings_name(tmp_path: Path) -> None:
    said = refusal(price_file="gone.yaml")
    assert said.startswith("argument: price_file cannot be used: ")
    assert f"{tmp_path}/gone.yaml: cannot be read" in said
