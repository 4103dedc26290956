"""Gathering the settings: arguments > `Kaizen(config=…)` > environment > file > preset > defaults."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.settings.errors import Refusals, Refused, SettingsError, unknown_key, wrong_value
from kaizen_otel.settings.kinds import FilePath
from kaizen_otel.settings.levels import MonitoringLevel
from kaizen_otel.settings.model import DEFAULTS, KINDS, SECRETS, Settings, checked
from kaizen_otel.settings.origins import Origin, Source
from kaizen_otel.settings.presets import preset_values
from kaizen_otel.settings.spec_dictionaries import KAIZEN_KEYS, OF_ARGUMENT, OF_KAIZEN, from_kaizen_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

PREFIX: Final = "KAIZEN_OTEL_"
CONFIG_VARIABLE: Final = "KAIZEN_OTEL_CONFIG"
PRESET_VARIABLE: Final = "KAIZEN_OTEL_PRESET"
VARIABLES: Final = {f"{PREFIX}{name.upper()}": name for name, kind in KINDS.items() if kind.from_text}
"""Environment variable → field; the fields that hold functions or objects have none."""

_RESOURCE_KEYS: Final = {"service.name": "service_name", "deployment.environment.name": "environment"}

_Value = tuple[str, Any, Origin]
"""A field, its value (`True` where that switches a field on that is no flag), and where it came from."""

_Reading = Callable[[], _Value]
"""Reads one value; raises `SettingsError` where it stands wrong, so that the others can be read all the same."""


def load(
    *,
    preset: str | None,
    config_file: str | Path | None,
    env: Mapping[str, str] | None,
    config: Mapping[str, Any] | None,
    overrides: Mapping[str, Any],
) -> Settings:
    """Gather every source; the arguments are those of `Settings.load`."""
    environment = os.environ if env is None else env
    refusals = Refusals()
    file_preset, file_values = _from_file(config_file, environment, refusals)
    layers: list[Iterable[_Reading]] = [
        _from_preset(preset, environment, file_preset),
        file_values,
        _from_environment(environment),
        _from_config({} if config is None else config, refusals, OF_ARGUMENT),
        _from_arguments(overrides),
        _from_switch(environment),
    ]
    gathered = _Gathered(environment, dict(DEFAULTS), {})
    for layer in layers:
        gathered.lay(layer, refusals)
    refusals.raise_all()
    return gathered.settings()


def lay_kaizen_config(
    settings: Settings, config: Mapping[str, Any], env: Mapping[str, str] | None
) -> tuple[Settings, list[SettingsError]]:
    """Lay a `Kaizen(config=…)` over settings that stand; see `Settings.with_kaizen_config`."""
    values = {name: getattr(settings, name) for name in KINDS}
    gathered = _Gathered(os.environ if env is None else env, values, dict(settings.origins))
    refusals = Refusals()
    gathered.lay(_from_config(config, refusals, OF_KAIZEN), refusals)
    return gathered.settings(), refusals.errors


class _Gathered:
    """The values so far, each with its origin; a higher source replaces a lower one."""

    def __init__(self, env: Mapping[str, str], values: dict[str, Any], origins: dict[str, Origin]) -> None:
        self._env = env
        self._values = values
        self._origins = origins

    def lay(self, layer: Iterable[_Reading], refusals: Refusals) -> None:
        """Lay a source over those below; what is wrong in it is noted, and left out."""
        for reading in layer:
            try:
                name, value, origin = reading()
            except SettingsError as error:
                refusals.note(error)
                continue
            if origin.source >= self._source(name):
                try:
                    self._values[name] = self._details(name) if _switches_on(name, value) else value
                    self._origins[name] = origin
                except SettingsError as error:
                    refusals.note(error)

    def settings(self) -> Settings:
        self._raise_level()
        return Settings(**self._values, origins=self._origins)

    def _source(self, name: str) -> Source:
        return self._origins[name].source if name in self._origins else Source.DEFAULT

    def _details(self, name: str) -> Any:
        """Give what `True` means for a field that is no flag: what the sources below say, or its usual value."""
        below = self._values[name]
        if below is not None and below is not MonitoringLevel.OFF:
            return below
        if name == "prometheus_port":
            return _otel_prometheus_port(self._env)
        return KINDS[name].on

    def _raise_level(self) -> None:
        """Asking for content or evaluators asks for the level that has them, unless someone chose a level."""
        asked = self._values["content"] != DEFAULTS["content"] or self._values["evaluators"]
        if asked and self._source("monitoring_level") <= Source.PRESET:
            self._values["monitoring_level"] = MonitoringLevel.COMPREHENSIVE
            self._origins["monitoring_level"] = Origin(Source.DEFAULT, "default with content or evaluators")


def _switches_on(name: str, value: Any) -> bool:
    return value is True and KINDS[name].on is not None


def _where_it_belongs(name: str) -> str | None:
    """Where a name that is unknown here would be understood."""
    if name in KINDS and not KINDS[name].from_text:
        return f"{name} is given in Python only: instrument({name}=…)"
    if name in KAIZEN_KEYS:
        return f"{name} is a key of Kaizen(config=…)"
    return None


def _refused(error: SettingsError) -> _Reading:
    def read() -> _Value:
        raise error

    return read


def _value(name: str, value: Any, origin: Origin) -> _Value:
    """Check a value where it stands, so that one which a higher source hides is reported too."""
    stored = checked(name, value, where=origin.where)
    return name, True if _switches_on(name, value) else stored, origin


def _from_preset(preset: str | None, env: Mapping[str, str], from_file: tuple[Any, str] | None) -> Iterator[_Reading]:
    try:
        name: Any = preset if preset is not None else _text(env, PRESET_VARIABLE)
        where = "argument" if preset is not None else _variable(PRESET_VARIABLE)
        if name is None and from_file is not None:
            name, where = from_file
        values = {} if name is None else preset_values(name, where=where)
    except SettingsError as error:
        yield _refused(error)
        return
    for field, value in values.items():
        yield partial(_value, field, value, Origin(Source.PRESET, f"preset {name} ({where})"))


def _from_file(
    config_file: str | Path | None, env: Mapping[str, str], refusals: Refusals
) -> tuple[tuple[Any, str] | None, list[_Reading]]:
    preset: tuple[Any, str] | None = None
    values: list[_Reading] = []
    try:
        given = config_file if config_file is not None else _text(env, CONFIG_VARIABLE)
        where = "argument" if config_file is not None else _variable(CONFIG_VARIABLE)
        if given is None:
            return None, []
        path = checked("config_file", given, where=where, kind=FilePath())
        from kaizen_otel.settings.files import read_file  # noqa: PLC0415 - yaml and tomllib only where there is a file

        table = read_file(path, where=where, refusals=refusals)
    except SettingsError as error:
        return None, [_refused(error)]
    for name, (value, line) in table.items():
        place = f"{path}:{line}"
        if name == "preset":
            preset = (value, place)
        elif name not in KINDS or not KINDS[name].from_text:
            known = [*VARIABLES.values(), "preset"]
            values.append(_refused(unknown_key(name, known, where=place, hint=_where_it_belongs(name))))
        else:
            values.append(partial(_value, name, _beside(path, name, value), Origin(Source.FILE, place)))
    return preset, values


def _beside(config_file: Path, name: str, value: Any) -> Any:
    """Take a relative path from the folder of the settings file, wherever the process was started."""
    kind = KINDS[name]
    if isinstance(kind, FilePath) and isinstance(value, str) and not value.startswith("~") and kind.is_path(value):
        return str(config_file.parent / value)
    return value


def _from_environment(env: Mapping[str, str]) -> Iterator[_Reading]:
    yield from _from_otel_variables(env)
    for variable in sorted(name for name in env if name.startswith(PREFIX)):
        if variable in {CONFIG_VARIABLE, PRESET_VARIABLE}:
            continue
        if variable not in VARIABLES:
            known = [*VARIABLES, CONFIG_VARIABLE, PRESET_VARIABLE]
            field = _where_it_belongs(variable.removeprefix(PREFIX).lower())
            yield _refused(unknown_key(variable, known, where="environment", what="variable", hint=field))
            continue
        yield from _from_variable(VARIABLES[variable], env, variable)


def _from_variable(name: str, env: Mapping[str, str], variable: str) -> Iterator[_Reading]:
    try:
        text = _text(env, variable)
    except SettingsError as error:
        yield _refused(error)
        return
    if text is not None:
        yield partial(_read, name, text, variable)


def _from_otel_variables(env: Mapping[str, str]) -> Iterator[_Reading]:
    """Give what OpenTelemetry's own variables say; ours come after and win."""
    try:
        for name, attribute in _resource_attributes(env):
            yield partial(_read, name, attribute, "OTEL_RESOURCE_ATTRIBUTES")
    except SettingsError as error:
        yield _refused(error)
    for name, variable in (("service_name", "OTEL_SERVICE_NAME"), ("prometheus_host", "OTEL_EXPORTER_PROMETHEUS_HOST")):
        yield from _from_variable(name, env, variable)


def _resource_attributes(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    from urllib.parse import unquote  # noqa: PLC0415 - most applications have no such variable

    for pair in (_text(env, "OTEL_RESOURCE_ATTRIBUTES") or "").split(","):
        key, _, text = pair.partition("=")
        if key.strip() in _RESOURCE_KEYS and text.strip():
            yield _RESOURCE_KEYS[key.strip()], unquote(text.strip())


def _otel_prometheus_port(env: Mapping[str, str]) -> Any:
    variable = "OTEL_EXPORTER_PROMETHEUS_PORT"
    text = _text(env, variable)
    if text is None:
        return KINDS["prometheus_port"].on
    _, port, _ = _read("prometheus_port", text, variable)
    return KINDS["prometheus_port"].on if port is True else port


def _read(name: str, text: str, variable: str) -> _Value:
    kind = KINDS[name]
    where = _variable(variable)
    try:
        return _value(name, kind.read(text), Origin(Source.ENVIRONMENT, where))
    except Refused as refused:
        raise wrong_value(
            name, text, where=where, allowed=kind.allowed, why=str(refused), secret=name in SECRETS
        ) from None


def _from_config(config: Mapping[str, Any], refusals: Refusals, where: str) -> Iterator[_Reading]:
    for name, given in from_kaizen_config(config, refusals, where).items():
        yield partial(_value, name, given.value, Origin(Source.DICTIONARY, given.where))


def _from_arguments(overrides: Mapping[str, Any]) -> Iterator[_Reading]:
    for name, value in overrides.items():
        if name in KINDS:
            yield partial(_value, name, value, Origin(Source.ARGUMENT, "argument"))
        else:
            yield _refused(unknown_key(name, KINDS, where="argument"))


def _from_switch(env: Mapping[str, str]) -> Iterator[_Reading]:
    # OpenTelemetry reads only "true", in any case, as true.
    if str(env.get("OTEL_SDK_DISABLED", "")).strip().lower() == "true":
        off = Origin(Source.SWITCH, _variable("OTEL_SDK_DISABLED"))
        yield partial(_value, "monitoring_level", MonitoringLevel.OFF, off)


def _variable(name: str) -> str:
    return f"environment variable {name}"


def _text(env: Mapping[str, str], variable: str) -> str | None:
    """Give the text of a variable; an empty one counts as unset, as everywhere in OpenTelemetry."""
    text = env.get(variable)
    if text is not None and not isinstance(text, str):
        raise SettingsError(f"{_variable(variable)} must be text", key=variable, where=_variable(variable))
    return text.strip() or None if text is not None else None
