"""Whichever sources say whatever of the settings: each field has the value of the highest source that names it."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen_otel.settings import Settings, Source

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "monitoring_level": st.sampled_from(["basic", "standard", "comprehensive"]),
    "console": st.booleans(),
    "durations": st.booleans(),
    "baggage": st.booleans(),
    "console_width": st.integers(20, 1_000),
    "service_name": st.sampled_from(["desk", "shop", "bank"]),
    "environment": st.sampled_from(["staging", "prod"]),
}
SAID = st.fixed_dictionaries({}, optional=FIELDS)
IN_A_DICTIONARY: dict[str, Callable[[Any], dict[str, Any]]] = {
    "monitoring_level": lambda value: {"monitoring_level": value},
    "console": lambda value: {"exporters": {"console": value}},
    "durations": lambda value: {"performance_tracking": value},
}
"""The fields that Kaizen's own dictionary has a key for."""


def as_dictionary(said: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in said.items():
        made |= IN_A_DICTIONARY[name](value)
    return made


@settings(max_examples=200)
@given(
    preset=st.sampled_from([None, "development", "production"]),
    in_file=SAID,
    in_env=SAID,
    in_dictionary=st.fixed_dictionaries({}, optional={name: FIELDS[name] for name in IN_A_DICTIONARY}),
    in_arguments=SAID,
)
def test_the_highest_source_that_names_a_field_has_it(
    preset: str | None,
    in_file: dict[str, Any],
    in_env: dict[str, Any],
    in_dictionary: dict[str, Any],
    in_arguments: dict[str, Any],
) -> None:
    base = Settings.load(preset, env={})
    env = {f"KAIZEN_OTEL_{name.upper()}": str(value).lower() for name, value in in_env.items()}
    folder = Path(tempfile.mkdtemp(prefix="kaizen-otel-test-"))
    try:
        file = folder / "settings.yaml"
        file.write_text(json.dumps(in_file), "utf-8")  # YAML is a superset of JSON
        found = Settings.load(preset, config_file=file, env=env, config=as_dictionary(in_dictionary), **in_arguments)
    finally:
        shutil.rmtree(folder)

    sources = (
        (Source.FILE, in_file),
        (Source.ENVIRONMENT, in_env),
        (Source.DICTIONARY, in_dictionary),
        (Source.ARGUMENT, in_arguments),
    )
    for name in FIELDS:
        naming = [(source, said[name]) for source, said in sources if name in said]
        source, value = naming[-1] if naming else (base.origins[name].source, getattr(base, name))
        assert getattr(found, name) == value, name
        assert found.origins[name].source is source, name
