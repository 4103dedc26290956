"""Whatever an environment, a file or a dictionary holds: settings, or a `SettingsError`, and nothing else."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaizen_otel.settings import AgentSettings, Settings, SettingsError
from kaizen_otel.settings.model import KINDS
from kaizen_otel.settings.presets import PRESETS
from kaizen_otel.settings.sources import CONFIG_VARIABLE, VARIABLES
from kaizen_otel.settings.spec_dictionaries import KAIZEN_KEYS, TRANSPARENCY_KEYS, dotted_keys

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=[]), max_size=40),
    st.sampled_from(
        ["true", "off", "none", "7d", "0", "9464", "nan", "1e999", "basic", "/x", "~nobody/x", "[a", "(?i"]
    ),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.builds(lambda: 10**5_000),
    st.floats(),
    TEXTS,
    st.binary(max_size=8),
    st.builds(object),
)
OTEL_VARIABLES = [
    "OTEL_SERVICE_NAME",
    "OTEL_SDK_DISABLED",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_EXPORTER_PROMETHEUS_PORT",
    "OTEL_EXPORTER_PROMETHEUS_HOST",
]
LAST_KEYS = sorted({key.rpartition(".")[2] for key in dotted_keys()} | set(TRANSPARENCY_KEYS))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(LAST_KEYS) | TEXTS, inner, max_size=3),
    max_leaves=8,
)
FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def is_settled(loaded: Settings) -> None:
    """Check that what came through is whole: it describes itself, and is what it would be if made again."""
    assert len(loaded.describe().splitlines()) == len(KINDS) + 1
    assert Settings(**{name: getattr(loaded, name) for name in KINDS}) == loaded


@FUZZ
@given(st.dictionaries(st.sampled_from([*VARIABLES, "KAIZEN_OTEL_PRESET", *OTEL_VARIABLES]) | TEXTS, TEXTS, max_size=4))
def test_any_environment(env: dict[str, str]) -> None:
    with suppress(SettingsError):
        is_settled(Settings.load(env=env))


@FUZZ
@given(st.dictionaries(st.sampled_from(list(KAIZEN_KEYS)), VALUES, max_size=4))
def test_any_kaizen_dictionary(config: dict[str, Any]) -> None:
    with suppress(SettingsError):
        is_settled(Settings.load(env={}, config=config))
    is_settled(Settings(console=True).with_kaizen_config(config, env={})[0])


@FUZZ
@given(VALUES | st.dictionaries(st.sampled_from(list(TRANSPARENCY_KEYS)), VALUES, max_size=3))
def test_any_agent_dictionary(transparency: Any) -> None:
    with suppress(SettingsError):
        is_settled(AgentSettings.from_config(transparency).over(Settings()))


@FUZZ
@given(st.dictionaries(st.sampled_from(list(KINDS)), VALUES, max_size=3), VALUES | st.sampled_from(list(PRESETS)))
def test_any_arguments(arguments: dict[str, Any], preset: Any) -> None:
    with suppress(SettingsError):
        is_settled(Settings.load(preset, env={}, **arguments))
    with suppress(SettingsError):
        is_settled(Settings(**arguments))


@FUZZ
@given(
    st.sampled_from(["yaml", "yml", "toml", "txt"]),
    st.one_of(
        st.binary(max_size=60),
        st.lists(st.tuples(st.sampled_from([*KINDS, "preset"]) | TEXTS, st.sampled_from([": ", " = ", ""]), TEXTS)).map(
            lambda lines: "\n".join("".join(line) for line in lines).encode("utf-8", "replace")
        ),
    ),
)
def test_any_file(suffix: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"settings.{suffix}")
        file.write_bytes(content)
        with suppress(SettingsError):
            is_settled(Settings.load(env={CONFIG_VARIABLE: str(file)}))
