"""The argument `settings` of `instrument()`."""

from __future__ import annotations

from typing import Any

import pytest

import kaizen_otel
from kaizen_otel.patches.switch import active
from kaizen_otel.settings import Settings, SettingsError


def refusal(settings: Any) -> str:
    """What `instrument()` says to this."""
    with pytest.raises(SettingsError) as caught:
        kaizen_otel.instrument(settings)
    assert active() is None
    return str(caught.value)


def test_a_preset_given_as_the_settings_is_understood() -> None:
    said = refusal("development")
    assert said == "argument: settings must be Settings, not 'development'; did you mean preset='development'?"


def test_what_may_have_been_meant_for_a_preset_is_told_how_to_give_one() -> None:
    assert refusal("prod").endswith("; a preset is an argument of its own: preset='development' or 'production'")


@pytest.mark.parametrize("given", [{"console": True}, True, 1, Settings])
def test_what_is_no_settings_is_refused(given: Any) -> None:
    said = refusal(given)
    assert said.startswith("argument: settings must be Settings, not ")
    assert "preset=" not in said
