"""What our own providers say of the process: the resource of everything that leaves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource

import kaizen_otel
from kaizen_otel import Settings, outputs
from kaizen_otel.forked_providers import Instances, instance_id

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def resource_of(path: Path, **settings: Any) -> dict[str, Any]:
    """The resource of the spans that one run wrote to a file."""
    from kaizen.core.framework import Kaizen

    kaizen_otel.instrument(file=path, **settings)
    try:
        Kaizen().create_agent("qa", {"model": "gpt-4o"})
        assert kaizen_otel.flush()
    finally:
        kaizen_otel.uninstrument()
    (line,) = path.read_text("utf-8").splitlines()
    (resource,) = json.loads(line)["resourceSpans"]
    return {pair["key"]: pair["value"].get("stringValue") for pair in resource["resource"]["attributes"]}


def test_the_resource_names_service_and_environment(tmp_path: Path) -> None:
    resource = resource_of(tmp_path / "run.jsonl", service_name="desk", environment="staging")

    assert resource["service.name"] == "desk"
    assert resource["deployment.environment.name"] == "staging"
    assert resource["service.instance.id"]


def test_an_environment_that_nobody_named_is_not_made_up(tmp_path: Path) -> None:
    assert "deployment.environment.name" not in resource_of(tmp_path / "run.jsonl")


def test_the_variables_of_opentelemetry_name_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=desk,deployment.environment.name=prod,team=blue")

    resource = resource_of(tmp_path / "run.jsonl")

    assert (resource["service.name"], resource["deployment.environment.name"], resource["team"]) == (
        "desk",
        "prod",
        "blue",
    )


def test_all_signals_of_a_process_are_of_one_instance() -> None:
    settings = Settings(service_name="desk")
    assert outputs.resource_of(settings) == outputs.resource_of(settings)
    assert instance_id(1) != instance_id(2)


def test_an_instance_that_somebody_named_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=pod-7")
    assert resource_of(tmp_path / "run.jsonl")["service.instance.id"] == "pod-7"


def test_a_forked_child_is_another_instance_in_all_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    instances = Instances()
    named = [instances.named(Resource(given)) for given in ({}, {}, {"service.instance.id": "pod-7"})]
    before = {one.attributes["service.instance.id"] for one in named}
    assert len(before) == 2
    monkeypatch.setattr("os.getpid", lambda: 4242)
    instances.after_fork_in_child()  # what SDKs before 1.45 leave to us
    (now,) = {str(one.attributes["service.instance.id"]) for one in named}
    assert "-4242-" in now
