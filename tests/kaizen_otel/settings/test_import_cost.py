"""Importing the settings loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("yaml", "tomllib", "pydantic", "kaizen", "kailash")


def loaded_by(code: str) -> set[str]:
    program = f"import sys; before = set(sys.modules)\n{code}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - our own interpreter
    return set(done.stdout.split())


def test_import_loads_no_parser_and_no_framework() -> None:
    assert not loaded_by("import kaizen_otel.settings").intersection(HEAVY)


def test_load_without_a_file_loads_no_parser() -> None:
    loaded = loaded_by("from kaizen_otel.settings import Settings\nSettings.load(env={'KAIZEN_OTEL_CONSOLE': '1'})")
    assert "kaizen_otel.settings.sources" in loaded
    assert not loaded.intersection(HEAVY)
