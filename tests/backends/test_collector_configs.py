"""Every Collector configuration that we ship is accepted by the Collector, alone and as the README combines them."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.backends.builds import COLLECTOR_CONFIG, PROGRAMS

if TYPE_CHECKING:
    from pathlib import Path

BASE: Final = COLLECTOR_CONFIG / "otelcol" / "config.yaml"
FRAGMENTS: Final = sorted(COLLECTOR_CONFIG.glob("*/collector*.yaml"))
_IMAGE_VERSION: Final = re.compile(r"image: \S+:v?(\S+)")


def validate(binary: Path, *configs: Path) -> subprocess.CompletedProcess[str]:
    command = [str(binary), "validate"]
    for config in configs:
        command += ["--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 -- our own build


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_base_configuration_is_valid(otelcol_binary: Path) -> None:
    answer = validate(otelcol_binary, BASE)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: str(path.relative_to(COLLECTOR_CONFIG)))
def test_base_with_a_destination_is_valid(otelcol_binary: Path, fragment: Path) -> None:
    answer = validate(otelcol_binary, BASE, fragment)
    assert answer.returncode == 0, answer.stderr


def test_the_collector_refuses_a_misspelt_key(otelcol_binary: Path, tmp_path: Path) -> None:
    """The two tests above can fail: validation reads every key."""
    broken = tmp_path / "broken.yaml"
    broken.write_text(BASE.read_text(encoding="utf-8").replace("metric_expiration", "metric_expirations"), "utf-8")
    answer = validate(otelcol_binary, broken)
    assert answer.returncode != 0
    assert "metric_expirations" in answer.stderr


@pytest.mark.parametrize("config", [BASE, *FRAGMENTS], ids=lambda path: str(path.relative_to(COLLECTOR_CONFIG)))
def test_memory_limiter_is_first_in_every_pipeline(config: Path) -> None:
    for name, pipeline in read(config)["service"]["pipelines"].items():
        processors = pipeline.get("processors")
        assert processors is None or processors[0] == "memory_limiter", name
    if config == BASE:
        assert all("processors" in pipeline for pipeline in read(config)["service"]["pipelines"].values())


def test_committed_sources_are_those_of_the_manifest() -> None:
    """A component added to the manifest and not generated, or the other way round, is seen without a build."""
    manifest = read(COLLECTOR_CONFIG / "otelcol" / "manifest.yaml")
    kinds = ("receivers", "processors", "exporters", "connectors", "extensions", "providers")
    wanted = {tuple(entry["gomod"].split()) for kind in kinds for entry in manifest[kind]}
    sources = COLLECTOR_CONFIG / "otelcol" / "src"
    go_mod = (sources / "go.mod").read_text(encoding="utf-8")
    direct = go_mod.split("require (", 2)[1].split(")")[0]
    required = {tuple(line.split()) for line in direct.strip().splitlines()}
    imported = "\n".join((sources / name).read_text(encoding="utf-8") for name in ("components.go", "main.go"))
    assert wanted <= required
    for module, _ in wanted:
        assert f'"{module}"' in imported, module
    # What is required besides the components is the Collector itself.
    assert all(module.startswith("go.opentelemetry.io/collector") for module, _ in required - wanted)


def test_compose_file_runs_the_versions_that_the_tests_run() -> None:
    compose = (COLLECTOR_CONFIG / "compose.yaml").read_text(encoding="utf-8")
    types = json.loads((COLLECTOR_CONFIG / "grafana" / "check" / "package.json").read_text(encoding="utf-8"))
    grafana = types["devDependencies"]["@grafana/schema"]
    assert set(_IMAGE_VERSION.findall(compose)) == {grafana, *(program.version for program in PROGRAMS.values())}


def test_files_that_the_compose_file_mounts_exist() -> None:
    services = read(COLLECTOR_CONFIG / "compose.yaml")["services"].values()
    mounts = [volume.split(":")[0] for service in services for volume in service["volumes"]]
    local = [mount for mount in mounts if mount.startswith("./")]
    assert local
    assert [mount for mount in local if not (COLLECTOR_CONFIG / mount).exists()] == []


def test_variables_that_the_compose_file_sets_are_read_by_the_configurations() -> None:
    services = read(COLLECTOR_CONFIG / "compose.yaml")["services"]
    configs = {"otelcol": BASE, "jaeger": COLLECTOR_CONFIG / "jaeger" / "config.yaml"}
    for service, config in configs.items():
        known = set(re.findall(r"\$\{env:(\w+)", config.read_text(encoding="utf-8"))) | {"GOMEMLIMIT"}
        assert set(services[service]["environment"]) <= known, service
