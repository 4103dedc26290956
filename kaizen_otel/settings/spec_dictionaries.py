"""The dictionaries of the spec: `Kaizen(config={…})` and `create_agent(…, {"transparency": {…}})`.

A key either changes a setting, or is refused because its subsystem does not exist in this version, or is unknown and
refused with the list of the known ones. Only at the top of `Kaizen(config=…)` are other keys left alone: they are
Kaizen's. docs/settings.md has a row for each key below, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from kaizen_otel._version import __version__
from kaizen_otel.settings.agent import AgentSettings
from kaizen_otel.settings.errors import Refusals, SettingsError, unknown_key, wrong_value
from kaizen_otel.settings.kinds import Flag
from kaizen_otel.settings.levels import MonitoringLevel
from kaizen_otel.settings.model import KINDS, checked

Tree = Mapping[str, "Tree | None"]

OF_KAIZEN: Final = "Kaizen(config=…)"
OF_ARGUMENT: Final = "argument config"
"""Where a dictionary was given: to Kaizen, or to `instrument()` and `Settings.load()`."""

_ON: Final[Tree] = {"enabled": None}

TRANSPARENCY_KEYS: Final[Tree] = {
    "monitoring_level": None,
    "real_time_metrics": None,
    "decision_tracing": None,
    "performance_profiling": None,
}
"""What `create_agent(…, {"transparency": {…}})` may hold."""

KAIZEN_KEYS: Final[Tree] = {
    "transparency_enabled": None,
    "monitoring_level": None,
    "performance_monitoring": None,
    "performance_tracking": None,
    "real_time_metrics": None,
    "metrics_retention": None,
    "metrics_collection": {**_ON, "collection_interval": None, "buffer_size": None, "streaming": None},
    "exporters": {
        "console": {**_ON, "width": None},
        "file": {**_ON, "path": None},
        "prometheus": {**_ON, "port": None, "host": None, "endpoint": None},
        "otlp": _ON,
        "grafana": {**_ON, "dashboard_id": None},
        "datadog": {**_ON, "api_key": None},
        "elasticsearch": {**_ON, "index_prefix": None},
        "siem": {**_ON, "splunk": None, "qradar": None, "sentinel": None},
    },
    "alerting": {
        **_ON,
        "channels": None,
        "escalation_policy": None,
        "rules": None,
        "notification_channels": None,
    },
    "anomaly_detection": {**_ON, "ml_based": None, "sensitivity": None},
}
"""The monitoring keys of `Kaizen(config={…})`, as the spec shows them."""

NOT_AVAILABLE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "exporters.prometheus.endpoint": (
            "Prometheus scrapes the `port`; to push to its OTLP receiver, set OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
        ),
        "exporters.grafana": "point Grafana at the Prometheus that scrapes exporters.prometheus",
        "exporters.datadog": "send OTLP to a Collector with its datadog exporter",
        "exporters.elasticsearch": "send OTLP to a Collector with its elasticsearch exporter",
        "exporters.siem": "send OTLP to a Collector with the exporter of that SIEM",
        "alerting.escalation_policy": "let Alertmanager escalate: setting alertmanager_url",
        "anomaly_detection": "let the metrics backend judge the metrics of exporters.prometheus",
        "transparency.decision_tracing": "with content recorded, spans show prompts and answers",
    }
)
"""Keys whose subsystem does not exist in this version, and what to do instead. Refused when on, accepted when off."""


_OF_RULE_FILES: Final = ("budgets", "silences", "constants")


class Given(NamedTuple):
    """One field's value and the place in the dictionary that gave it."""

    value: Any
    where: str


class _Place(NamedTuple):
    """A place inside a dictionary: `Kaizen(config=…)['exporters']['file']`, and its dotted key `exporters.file`."""

    root: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.root + "".join(f"[{key!r}]" for key in self.path)

    def __truediv__(self, key: str) -> _Place:
        return _Place(self.root, (*self.path, key))

    @property
    def dotted(self) -> str:
        return ".".join(self.path)


class _Reading:
    """What one dictionary asks for, collected key by key; a key that is refused leaves the others."""

    def __init__(self, refusals: Refusals) -> None:
        self.given: dict[str, Given] = {}
        self.refusals = refusals
        self.unavailable: list[str] = []

    def each(self, given: Mapping[str, Any], readers: Mapping[str, _Reader], place: _Place) -> None:
        """Read every key of `given` that may stand at `place`; without a reader of its own it is not available."""
        for key, value in given.items():
            with self.refusals.noting(str(place / key)):
                readers.get(key, _unavailable)(self, value, place / key)

    def known(self, value: Any, tree: Tree, place: _Place) -> Mapping[str, Any]:
        """Give the keys of a dictionary that may stand at `place`; the others are refused."""
        found: dict[str, Any] = {}
        for key, below in _mapping(value, place).items():
            if isinstance(key, str) and key in tree:
                found[key] = below
            else:
                self.refusals.note(unknown_key(key, tree, where=str(place), what="key", hint=_elsewhere(key)))
        return found

    def take(self, field: str, value: Any, place: _Place) -> None:
        """Note `value` for `field`; `True` stays itself, since what it stands for depends on the sources below."""
        with self.refusals.noting(str(place)):
            stored = checked(field, value, where=str(place))
            stored = True if value is True else stored
            before = self.given.get(field)
            if before is not None and before.value != stored:
                message = f"{place} and {before.where} contradict each other; give one of them"
                raise SettingsError(message, key=place.dotted, where=str(place))
            self.given[field] = Given(stored, str(place))

    def refuse(self, place: _Place) -> None:
        """Note a key that is on and not available."""
        self.unavailable.append(f"{place.dotted} ({NOT_AVAILABLE[place.dotted]})")

    def close(self, top: _Place) -> dict[str, Given]:
        """Give what was collected; what is not available is told in one."""
        if self.unavailable:
            version = ".".join(__version__.split(".")[:2])
            message = f"{top}: not available in kaizen-otel {version}: {'; '.join(self.unavailable)}"
            key = self.unavailable[0].partition(" ")[0]
            self.refusals.note(SettingsError(message, key=key, where=str(top)))
        return self.given


def from_kaizen_config(config: Mapping[str, Any], refusals: Refusals, where: str = OF_KAIZEN) -> dict[str, Given]:
    """Read the monitoring keys of a `Kaizen(config={…})`; all others are Kaizen's own and ignored.

    Args:
        config: the dictionary.
        refusals: told of keys inside our dictionaries that are unknown or not available, and of wrong values.
        where: what the user gave the dictionary to: `OF_KAIZEN`, or `OF_ARGUMENT` of ours.

    Returns:
        The fields of `Settings` that the others give. `True` in a field that is no flag means: on, with the details of
        the sources below.
    """
    top = _Place(where)
    reading = _Reading(refusals)
    with refusals.noting(str(top)):
        config = _mapping(config, top)
        reading.each({key: config[key] for key in KAIZEN_KEYS if key in config}, _READERS, top)
        with refusals.noting(str(top)):
            _master_switch(reading, config, top / "transparency_enabled")
    return reading.close(top)


def from_agent_config(transparency: Any, refusals: Refusals) -> AgentSettings:
    """Read the `transparency` of a `create_agent(name, {"transparency": {…}})`; `False` switches the agent's off.

    A key that is refused must not switch a level back on that another one lowers.

    Args:
        transparency: the dictionary, or whether the agent is watched.
        refusals: told of keys that are unknown or not available, and of wrong values.
    """
    top = _Place("create_agent(…)", ("transparency",))
    if isinstance(transparency, bool):
        return AgentSettings() if transparency else AgentSettings(monitoring_level=MonitoringLevel.OFF)
    reading = _Reading(refusals)
    with refusals.noting(str(top)):
        reading.each(reading.known(transparency, TRANSPARENCY_KEYS, top), _TRANSPARENCY_READERS, top)
    given = {name: taken.value for name, taken in reading.close(top).items()}
    if given.get("monitoring_level") is True:  # on, at the level that the settings say
        del given["monitoring_level"]
    return AgentSettings(**given)


def dotted_keys(tree: Tree = KAIZEN_KEYS, prefix: str = "") -> list[str]:
    """Give every key of a tree as `exporters.file.path`, parents before children."""
    keys: list[str] = []
    for key, below in tree.items():
        keys.append(prefix + key)
        keys.extend(dotted_keys(below, f"{prefix}{key}.") if below else [])
    return keys


def _elsewhere(key: object) -> str | None:
    """Where a key that is unknown in one of our dictionaries would be understood."""
    if not isinstance(key, str):
        return None
    if key in _OF_RULE_FILES:
        return f"{key} stand in a file of rules, or a dictionary with its keys: setting alert_rules"
    if key in KINDS:
        return f"{key} is a setting: instrument({key}=…)"
    homes = [dotted for dotted in dotted_keys() if dotted == key or dotted.endswith(f".{key}")]
    if len(homes) != 1:
        return None
    return f"It belongs to Kaizen(config=…){''.join(f'[{step!r}]' for step in homes[0].split('.'))}"


def _mapping(value: Any, place: _Place) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise wrong_value(place.path[-1] if place.path else "config", value, where=str(place), allowed="a dictionary")


def _flag(value: Any, place: _Place) -> bool:
    return bool(checked(place.path[-1], value, where=str(place), kind=Flag()))


def _switched(reading: _Reading, value: Any, tree: Tree, place: _Place) -> tuple[bool, Mapping[str, Any]]:
    """Read `True`, `False`, or a dictionary that is on unless its `enabled` says otherwise."""
    if isinstance(value, bool):
        return value, {}
    if not isinstance(value, Mapping):
        raise wrong_value(place.path[-1], value, where=str(place), allowed="true, false, a dictionary")
    details = reading.known(value, tree, place)
    return _flag(details.get("enabled", True), place / "enabled"), details


def _take_details(
    reading: _Reading, details: Mapping[str, Any], fields: Mapping[str, str], place: _Place, *, on: bool
) -> None:
    """Take the details that stand for fields; those of a switched-off part are checked all the same."""
    for key, field in fields.items():
        if key in details:
            if on:
                reading.take(field, details[key], place / key)
            else:
                with reading.refusals.noting(str(place / key)):
                    checked(field, details[key], where=str(place / key))


def _level(reading: _Reading, value: Any, place: _Place) -> None:
    reading.take("monitoring_level", value, place)


def _durations(reading: _Reading, value: Any, place: _Place) -> None:
    reading.take("durations", _flag(value, place), place)


def _real_time(reading: _Reading, value: Any, place: _Place) -> None:
    reading.take("deferred_histograms", not _flag(value, place), place)


def _profiling(reading: _Reading, value: Any, place: _Place) -> None:
    reading.given["performance_profiling"] = Given(_flag(value, place), str(place))


def _retention(reading: _Reading, value: Any, place: _Place) -> None:
    reading.take("metrics_retention_s", value, place)


def _collection(reading: _Reading, value: Any, place: _Place) -> None:
    on, details = _switched(reading, value, _below(place), place)
    reading.take("metrics", on, place)
    _take_details(reading, details, _COLLECTION_FIELDS, place, on=on)


def _exporters(reading: _Reading, value: Any, place: _Place) -> None:
    reading.each(reading.known(value, _below(place), place), _EXPORTERS, place)


def _console(reading: _Reading, value: Any, place: _Place) -> None:
    on, details = _switched(reading, value, _below(place), place)
    reading.take("console", on, place)
    _take_details(reading, details, {"width": "console_width"}, place, on=on)


def _file(reading: _Reading, value: Any, place: _Place) -> None:
    on, details = _switched(reading, value, _below(place), place)
    if on and "path" in details:
        _take_details(reading, details, {"path": "file"}, place, on=on)
    else:
        reading.take("file", on, place)


def _prometheus(reading: _Reading, value: Any, place: _Place) -> None:
    on, details = _switched(reading, value, _below(place), place)
    if not on or "port" not in details:
        reading.take("prometheus_port", on, place)
    _take_details(reading, details, {"port": "prometheus_port", "host": "prometheus_host"}, place, on=on)
    if on and details.get("endpoint") is not None:
        reading.refuse(place / "endpoint")


def _otlp(reading: _Reading, value: Any, place: _Place) -> None:
    on, _ = _switched(reading, value, _below(place), place)
    reading.take("otlp", on, place)


def _alerting(reading: _Reading, value: Any, place: _Place) -> None:
    on, details = _switched(reading, value, _below(place), place)
    reading.take("alerting", on, place)
    _take_details(reading, details, _ALERTING_FIELDS, place, on=on)
    if on and details.get("escalation_policy") is not None:
        reading.refuse(place / "escalation_policy")
    if on and "rules" in details:
        reading.take("alert_rules", {"rules": details["rules"]}, place)


def _unavailable(reading: _Reading, value: Any, place: _Place) -> None:
    tree = _below(place)
    on = _switched(reading, value, tree, place)[0] if tree else _flag(value, place)
    if on:
        reading.refuse(place)


def _below(place: _Place) -> Tree:
    """Give the keys that may stand at `place`; none where only a value does."""
    tree: Tree = {**KAIZEN_KEYS, "transparency": TRANSPARENCY_KEYS}
    for key in place.path:
        tree = tree[key] or {}
    return tree


def _master_switch(reading: _Reading, config: Mapping[str, Any], place: _Place) -> None:
    """`transparency_enabled`: false is off whatever else is said; true is on, at the level that is said."""
    if "transparency_enabled" not in config:
        return
    if not _flag(config["transparency_enabled"], place):
        reading.given["monitoring_level"] = Given(MonitoringLevel.OFF, str(place))
    elif "monitoring_level" not in reading.given:
        reading.take("monitoring_level", True, place)


def _nothing(reading: _Reading, value: Any, place: _Place) -> None:
    """Leave `transparency_enabled` to `_master_switch`, which needs the level first."""


_Reader = Callable[[_Reading, Any, _Place], None]

_COLLECTION_FIELDS: Final = {
    "collection_interval": "metrics_interval_s",
    "buffer_size": "metrics_buffer_size",
    "streaming": "metrics_streaming",
}
_ALERTING_FIELDS: Final = {"channels": "alert_channels", "notification_channels": "notification_channels"}
_EXPORTERS: Final = {"console": _console, "file": _file, "prometheus": _prometheus, "otlp": _otlp}
_TRANSPARENCY_READERS: Final = {
    "monitoring_level": _level,
    "real_time_metrics": _real_time,
    "performance_profiling": _profiling,
}
_READERS: Final = {
    "transparency_enabled": _nothing,
    "monitoring_level": _level,
    "performance_monitoring": _durations,
    "performance_tracking": _durations,
    "real_time_metrics": _real_time,
    "metrics_retention": _retention,
    "metrics_collection": _collection,
    "exporters": _exporters,
    "alerting": _alerting,
    "anomaly_detection": _unavailable,
}
