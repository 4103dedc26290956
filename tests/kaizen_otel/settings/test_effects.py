"""Each key of Kaizen's dictionaries at run time: after `instrument()`, in an application's own `Kaizen(config=…)`.

What a key does to a `Settings` is tested in test_spec_dictionaries.py. Here it is observed: a key that only changes a
value nobody looks at any more would be as good as ignored.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import kaizen_otel
from kaizen_otel.settings.model import KINDS
from kaizen_otel.settings.spec_dictionaries import KAIZEN_KEYS, NOT_AVAILABLE, TRANSPARENCY_KEYS, dotted_keys
from kaizen_processors import recording
from tests.kaizen_otel.settings.effects import EFFECTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_otel.demo.model_server import ModelServer

WITHOUT_ONE = {
    "exporters": "holds the others",
    "exporters.prometheus": "with the usual port, which another test may have",
}


@pytest.fixture(autouse=True)
def _apart(kaizen_offline: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    assert kaizen_offline.requests == []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recording, "DRAIN_INTERVAL_S", 3_600.0)  # what is deferred waits until it is flushed
    yield
    kaizen_otel.uninstrument()


@pytest.mark.parametrize("key", EFFECTS)
def test_a_key_has_its_effect_at_run_time(key: str, request: pytest.FixtureRequest) -> None:
    check = EFFECTS[key]
    check(*(request.getfixturevalue("capfd") for _ in range(check.__code__.co_argcount)))


def test_every_key_has_an_effect_or_is_refused() -> None:
    keys = {*dotted_keys(KAIZEN_KEYS), *dotted_keys(TRANSPARENCY_KEYS, "transparency.")}
    refused = {key for key in keys if any(f"{key}.".startswith(f"{gap}.") for gap in NOT_AVAILABLE)}
    assert {key.partition(",")[0] for key in EFFECTS} | WITHOUT_ONE.keys() | refused == keys


def _read_fields() -> set[str]:
    """The names that some part of the package takes from settings."""
    package = Path(kaizen_otel.__file__).parent
    found: set[str] = set()
    for path in package.rglob("*.py"):
        if path.parent.name != "settings" or path.name in {"agent.py", "in_force.py"}:
            tree = ast.parse(path.read_text("utf-8"))
            found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return found


def test_every_field_is_read_by_somebody() -> None:
    assert set(KINDS) - _read_fields() == set()
