"""All checks in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kaizen_otel.doctor.alerting import check_alerting
from kaizen_otel.doctor.destinations import SIGNALS, check_destinations, destinations
from kaizen_otel.doctor.findings import Finding, Report, Secrets, Section, error, info, ok, warning
from kaizen_otel.doctor.local import check_machine
from kaizen_otel.doctor.variables import check_variables, secrets_in
from kaizen_otel.doctor.versions import check_versions
from kaizen_otel.outputs import otlp_wanted
from kaizen_otel.settings import MonitoringLevel, Settings, SettingsError, Source
from kaizen_otel.settings.describe import rows
from kaizen_otel.settings.paths import check_paths, with_absolute_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kaizen_otel.doctor.destinations import Destination


def examine(env: Mapping[str, str], settings_file: Path | None = None) -> Report:
    """Look at everything that this environment, and a file of settings, decide.

    Args:
        env: The environment, as the application has it.
        settings_file: A file of settings; otherwise the one that `KAIZEN_OTEL_CONFIG` names.
    """
    variables, usable = check_variables(env)
    settings, problem = _settings(usable, settings_file)
    found = destinations(settings, env)
    sections = [
        Section("Variables", variables),
        Section("Settings", problem or list(_effective(settings))),
        Section("Versions", check_versions()),
        Section("Outputs", list(_outputs(settings, found, env))),
        *([Section("Alerts and prices", alerting)] if (alerting := list(check_alerting(settings))) else []),
        *check_destinations(found, settings),
    ]
    login = urlsplit(settings.alertmanager_url or "").password
    secrets = Secrets([*secrets_in(env), *([] if login is None else [login])])
    told = [(name, secrets.hide(value), where) for name, value, where in rows(settings)]
    return Report([secrets.hide_in(section) for section in sections], told)


def _settings(env: dict[str, str], settings_file: Path | None) -> tuple[Settings, list[Finding]]:
    try:
        settings = with_absolute_paths(Settings.load(config_file=settings_file, env=env))
    except SettingsError as refused:
        return Settings(), _refusals(refused)
    try:
        check_paths(settings)
    except SettingsError as refused:
        return settings, _refusals(refused)
    return settings, []


def _refusals(refused: SettingsError) -> list[Finding]:
    return [error("settings", str(one), "Until then instrument() raises this error.") for one in refused.problems]


def _effective(settings: Settings) -> Iterator[Finding]:
    if settings.monitoring_level is MonitoringLevel.OFF:
        where = settings.origins["monitoring_level"].where
        yield warning("settings.off", f"monitoring is off ({where})", "Nothing is recorded until that is unset.")
    chosen = [row for row in rows(settings) if settings.origins[row[0]].source is not Source.DEFAULT]
    for name, value, where in chosen:
        yield info("settings.value", f"{name} = {value}  ({where})", setting=name, value=value, source=where)
    rest = "all settings are" if not chosen else "all others are"
    yield ok("settings", f"{rest} at their defaults, unless instrument(…) in your code says otherwise")


def _outputs(settings: Settings, found: list[Destination], env: Mapping[str, str]) -> Iterator[Finding]:
    machine = check_machine(settings, otlp=bool(found))
    if found:
        signals = ", ".join(one.signal for one in found)
        yield ok("outputs.otlp", f"{signals} leave by OTLP, unless your application has providers of its own")
    if settings.console:
        yield ok("outputs.console", "the tree of each execution is printed")
    yield from machine
    # An endpoint that is no address is told among the variables.
    otlp = any(otlp_wanted(settings, signal.upper(), env) for signal in SIGNALS)
    if not (otlp or settings.console or settings.file is not None or settings.prometheus_port is not None):
        asked = any(name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("ENDPOINT") for name in env)
        yield warning(
            "outputs",
            "nothing leaves the process" + (": OTLP is switched off" if asked else ""),
            "Set OTEL_EXPORTER_OTLP_ENDPOINT, or KAIZEN_OTEL_CONSOLE=true. An application with OpenTelemetry providers "
            "of its own exports through those: doctor cannot see them.",
        )
