"""docs/settings.md: its snippets run, and its tables are those of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from kaizen_otel.settings import MonitoringLevel, Settings
from kaizen_otel.settings.model import DEFAULTS, KINDS, MEANINGS
from kaizen_otel.settings.presets import PRESETS
from kaizen_otel.settings.spec_dictionaries import KAIZEN_KEYS, NOT_AVAILABLE, TRANSPARENCY_KEYS, dotted_keys

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"
TEXT = PAGE.read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def snippets(*languages: str) -> list[str]:
    return [body for language, body in SNIPPETS if language in languages]


def table(header: str) -> dict[str, list[str]]:
    """Give the rows of every table with this header: first cell without backticks → the other cells."""
    rows: dict[str, list[str]] = {}
    for block in re.findall(rf"^\| {re.escape(header)} \|\n\|[-|]+\n((?:\|.*\n?)+)", TEXT, re.MULTILINE):
        for line in block.splitlines():
            first, *others = [cell.strip() for cell in line.strip("|").split(" | ")]
            assert first not in rows, f"{first} has two rows"
            rows[first.strip("` ")] = others
    return rows


def shown(value: Any) -> str:
    if value is None or value == ():
        return "none"
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def test_every_kind_of_snippet_is_run_here() -> None:
    assert {language for language, _ in SNIPPETS} == {"python", "sh", "yaml", "toml"}


@pytest.mark.parametrize("code", snippets("python"))
def test_python_snippets_run(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(PAGE), "exec"), {})  # noqa: S102 - the page's own snippets


@pytest.mark.parametrize("lines", snippets("sh"))
def test_environment_snippets_are_settings(lines: str) -> None:
    settings = Settings.load(env=dict(line.split("=", 1) for line in lines.splitlines()))
    assert settings.monitoring_level is MonitoringLevel.COMPREHENSIVE
    assert settings.redact_keys == ("iban", "passport")
    assert (settings.service_name, settings.file) == ("support-desk", Path("/tmp/kaizen.jsonl"))  # noqa: S108 - a value


@pytest.mark.parametrize(("language", "body"), [pair for pair in SNIPPETS if pair[0] in {"yaml", "toml"}])
def test_file_snippets_are_settings(language: str, body: str, tmp_path: Path) -> None:
    file = tmp_path / f"settings.{language}"
    file.write_text(body, encoding="utf-8")
    settings = Settings.load(config_file=file, env={})
    assert (settings.service_name, settings.prometheus_port) == ("support-desk", 9500)
    assert settings.origins["monitoring_level"].where == f"preset production ({file}:1)"


def test_every_field_has_a_row_with_its_variable_default_and_meaning() -> None:
    expected = {
        name: [
            f"`KAIZEN_OTEL_{name.upper()}`" if kind.from_text else "—",
            shown(DEFAULTS[name]),
            MEANINGS[name],
        ]
        for name, kind in KINDS.items()
    }
    assert table("field | environment variable | default | what it does") == expected


def test_every_preset_has_a_row_with_what_it_sets() -> None:
    expected = {
        name: [", ".join(f"`{field}: {shown(value)}`" for field, value in values.items())]
        for name, values in PRESETS.items()
    }
    assert table("preset | what it sets") == expected


def test_every_dictionary_key_has_a_row() -> None:
    keys = [*dotted_keys(KAIZEN_KEYS), *dotted_keys(TRANSPARENCY_KEYS, "transparency.")]
    assert list(table("key | what it observably changes | test")) == keys


def test_every_dictionary_row_names_a_test_that_exists() -> None:
    source = Path(__file__).with_name("test_spec_dictionaries.py").read_text(encoding="utf-8")
    tests = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    for key, (_, named) in table("key | what it observably changes | test").items():
        assert named.strip("`") in tests, f"{key} names {named}"


def test_rows_say_not_available_exactly_where_the_code_does() -> None:
    rows = table("key | what it observably changes | test")
    assert {key for key, (says, _) in rows.items() if says.startswith("not available in 0.1: ")} == set(NOT_AVAILABLE)
