"""`Settings`: every choice of kaizen-otel in one frozen, validated value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from kaizen_otel.settings.errors import Refusals, Refused, SettingsError, unknown_key, wrong_value
from kaizen_otel.settings.in_force import InForce
from kaizen_otel.settings.kinds import (
    Callables,
    Duration,
    FilePath,
    Flag,
    Has,
    Kind,
    Level,
    Lines,
    Number,
    OneOf,
    Patterns,
    Size,
    Template,
    Text,
    Whole,
)
from kaizen_otel.settings.levels import MonitoringLevel
from kaizen_otel.settings.origins import Origin, Source
from kaizen_otel.settings.tables import RulesSource, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kaizen_processors.clock import Clock

_T = TypeVar("_T")
_KIB: Final = 1 << 10
_MIB: Final = 1 << 20
_GIB: Final = 1 << 30
_YEARS_S: Final = 10 * 365.25 * 86_400
_ARGUMENT: Final = Origin(Source.ARGUMENT, "argument")
_DEFAULT: Final = Origin(Source.DEFAULT, "default")


def _setting(default: _T, kind: Kind, meaning: str, *, secret: bool = False) -> _T:
    """One field: what it is when nobody says anything, what it may hold, and what it is for."""
    return field(default=default, repr=not secret, metadata={"kind": kind, "meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(InForce):
    """Every choice of kaizen-otel. Made directly it is checked and taken literally; `load` also asks the environment.

    Raises:
        SettingsError: a value is not allowed; the message names the field, the value and what is allowed.

    Example:
        >>> Settings(console=True).monitoring_level
        <MonitoringLevel.STANDARD: 'standard'>
    """

    service_name: str | None = _setting(None, Text(optional=True), "`service.name` of our own providers")
    environment: str | None = _setting(
        None, Text(optional=True), "`deployment.environment.name`; label `environment` of `kaizen_active_agents`"
    )
    monitoring_level: MonitoringLevel = _setting(MonitoringLevel.STANDARD, Level(), "how much is recorded")
    conventions: Literal[41, 42] = _setting(
        41, OneOf(41, 42), "version of the GenAI semantic conventions that spans and metrics follow"
    )
    content: Literal["off", "span", "event"] = _setting(
        "off", OneOf("off", "span", "event"), "whether and where prompts and answers are recorded"
    )
    content_max_bytes: int = _setting(
        8_192, Whole(least=256, most=16_777_216), "longest recorded content of one message, in bytes of UTF-8"
    )
    redact_keys: tuple[str, ...] = _setting((), Lines(), "keys whose values are redacted, beside the built-in ones")
    redact_patterns: tuple[str, ...] = _setting(
        (), Patterns(), "regular expressions whose matches are redacted, beside the built-in ones", secret=True
    )
    console: bool = _setting(False, Flag(), "print the tree of each execution as it ends")
    console_width: int | None = _setting(
        None, Whole(least=20, most=1_000, optional=True), "columns of that tree; none: as wide as the terminal"
    )
    file: Path | None = _setting(
        None,
        FilePath(optional=True, on=Path("kaizen-otel.jsonl")),
        "write OTLP-JSON lines to this file; true: `./kaizen-otel.jsonl`",
    )
    prometheus_port: int | None = _setting(
        None,
        Whole(least=0, most=65_535, optional=True, on=9464),
        "serve metrics for Prometheus on this port; 0: any free one; true: `OTEL_EXPORTER_PROMETHEUS_PORT` or 9464",
    )
    prometheus_host: str = _setting("localhost", Text(), "address that the Prometheus endpoint listens on")
    host_metrics: bool | None = _setting(
        None,
        Flag(optional=True),
        "add metrics up over all processes of a `store`; none: where there is one, and a `prometheus_port`",
    )
    otlp: bool | None = _setting(
        None,
        Flag(optional=True),
        "export by OTLP; none: as `OTEL_*_EXPORTER` say, else when an `OTEL_EXPORTER_OTLP_*` endpoint is set",
    )
    queue_bytes: int = _setting(
        16 * _MIB,
        Size(least=64 * _KIB, most=4 * _GIB),
        "most compressed bytes of each signal that wait in memory to be sent",
    )
    spool: Path | None = _setting(
        None,
        FilePath(optional=True, on=Path("kaizen-otel-spool")),
        "folder where OTLP waits on disk while the backend is away; true: `./kaizen-otel-spool`",
    )
    spool_max_bytes: int = _setting(
        256 * _MIB, Size(least=_MIB, most=1024 * _GIB), "most bytes of each signal in that folder"
    )
    exit_timeout_s: float = _setting(
        2.0, Duration(least=0.1, most=300.0), "seconds that the end of the process waits for delivery"
    )
    flush_on_sigterm: bool = _setting(
        False, Flag(), "deliver on SIGTERM, within `exit_timeout_s`, before what would happen without us"
    )
    pending_spans_s: float | None = _setting(
        None,
        Duration(least=1.0, most=86_400.0, optional=True),
        "seconds after which a running operation is told of by a placeholder span; none: only when it ends",
    )
    set_global: bool = _setting(False, Flag(), "make our own providers the global ones")
    metrics: bool = _setting(True, Flag(), "record metrics; false: spans only")
    durations: bool = _setting(True, Flag(), "record the duration histograms; false: only counters and quality")
    deferred_histograms: bool = _setting(
        False, Flag(), "record histograms off the calling thread, a moment later: cheaper"
    )
    metrics_interval_s: float | None = _setting(
        None,
        Duration(least=0.1, most=86_400.0, optional=True),
        "seconds between two exports of metrics; none: `OTEL_METRIC_EXPORT_INTERVAL` or 60",
    )
    metrics_retention_s: float | None = _setting(
        None,
        Duration(least=1.0, most=_YEARS_S, optional=True),
        "how long recorded metrics are kept: in the process at most 24 hours, in the `store` all of it; none: a week",
    )
    windows: bool = _setting(
        True,
        Flag(),
        "keep rolling sums for `snapshot()`, from level `standard` up; where there is a `store` at `basic`, too",
    )
    windows_max_bytes: int = _setting(
        67_108_864,
        Whole(least=1_000_000, most=68_719_476_736),
        "memory of those sums; beyond it the oldest are kept for all agents together",
    )
    store: Path | None = _setting(
        None,
        FilePath(optional=True, on=Path("kaizen-otel.db")),
        "file that all processes of this host share: sums, history, alerts; true: `./kaizen-otel.db`",
    )
    store_max_bytes: int = _setting(
        256 * _MIB, Size(least=_MIB, most=1024 * _GIB), "size of that file; beyond it the oldest history goes"
    )
    metrics_buffer_size: int = _setting(
        1_000, Whole(least=1, most=1_000_000), "executions that are kept whole, and that may wait for a subscriber"
    )
    metrics_streaming: bool = _setting(
        False, Flag(), "tell subscribers of `RealTimeMetrics` of each execution as it ends, not in batches"
    )
    alerting: bool | None = _setting(
        None,
        Flag(optional=True),
        "judge rules; none: once there are rules of yours, an Alertmanager, a webhook or a handler; false: never",
    )
    alert_rules: Path | Literal["production"] | Mapping[str, Any] | None = _setting(
        None,
        RulesSource(optional=True),
        "YAML file of rules, budgets and silences; `production`: the stricter built-in rules; none: the usual ones",
    )
    alert_channels: tuple[str, ...] = _setting(
        (), Lines(), "channels of alerts whose rule names none; none: all of them"
    )
    alert_state: Path | None = _setting(
        None, FilePath(optional=True), "file that keeps the alerts of this process over a restart"
    )
    budget_limit: float | None = _setting(
        None, Number(least=0.0, most=1e12, optional=True), "dollars that conditions of rules call `budget_limit`"
    )
    alertmanager_url: str | None = _setting(
        None, Text(optional=True), "send alerts to the Alertmanager at this address"
    )
    notification_channels: Mapping[str, Any] | None = _setting(
        None,
        Table(optional=True),
        "further channels of alerts: name → `type` (`webhook`, `alertmanager`), `url` …",
        secret=True,
    )
    trace_url_template: str | None = _setting(
        None,
        Template("trace_id", "http://localhost:16686/trace/{trace_id}"),
        "address of a trace, with `{trace_id}` in it, for the links of alerts",
    )
    max_ledger_keys: int = _setting(
        2_000, Whole(least=1, most=1_000_000), "pairs of agent and model counted apart before they fold into `overflow`"
    )
    stream_usage: bool = _setting(False, Flag(), "ask OpenAI-style providers to send the usage of streams")
    price_file: Path | None = _setting(None, FilePath(optional=True), "YAML file of prices that override the built-in")
    structural_quality: bool = _setting(
        True, Flag(), "score answers by their form: empty, truncated, refusal, invalid JSON, missing fields"
    )
    evaluators: tuple[Callable[..., Any], ...] = _setting((), Callables(), "functions that score an execution")
    evaluator_sample_rate: float = _setting(1.0, Number(least=0.0, most=1.0), "part of the executions they score")
    evaluator_timeout_s: float = _setting(
        30.0, Duration(least=0.001, most=3_600.0), "seconds that one evaluator may take for one execution"
    )
    baggage: bool = _setting(False, Flag(), "put user, session and conversation ids into W3C baggage")
    log_correlation: bool | None = _setting(
        None, Flag(optional=True), "give log records trace, agent and execution ids; none: where our console is on"
    )
    tracer_provider: Any = _setting(None, Has("get_tracer"), "join this tracer provider")
    meter_provider: Any = _setting(None, Has("get_meter"), "join this meter provider")
    logger_provider: Any = _setting(None, Has("get_logger"), "join this logger provider")
    clock: Clock | None = _setting(None, Has("time_ns", "monotonic_ns"), "the clock of everything of ours")
    id_generator: Any = _setting(
        None, Has("generate_span_id", "generate_trace_id"), "source of the ids of our own provider"
    )
    origins: Mapping[str, Origin] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)
    """Where each value came from, for `describe()` and for laying another source over this one."""

    def __post_init__(self) -> None:
        origins = dict(self.origins)
        refusals = Refusals()
        for name, kind in KINDS.items():
            given = getattr(self, name)
            default = DEFAULTS[name]
            if given is default:
                origins.setdefault(name, _DEFAULT)
                continue
            where = origins.setdefault(name, _ARGUMENT).where
            try:
                object.__setattr__(self, name, checked(name, given, kind=kind, where=where))
            except SettingsError as error:
                refusals.note(error)
        refusals.raise_all()
        object.__setattr__(self, "origins", MappingProxyType(origins))

    @classmethod
    def load(
        cls,
        preset: str | None = None,
        *,
        config_file: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        **overrides: Any,
    ) -> Settings:
        """Gather the settings from every source; see docs/settings.md for the order.

        Args:
            preset: `development` or `production`; otherwise what `KAIZEN_OTEL_PRESET` or the file's `preset` says.
            config_file: a YAML or TOML file of settings; otherwise the one that `KAIZEN_OTEL_CONFIG` names.
            env: the environment; `None` is `os.environ`.
            config: the dictionary of `Kaizen(config=…)`. Only the monitoring keys are read: the others are Kaizen's.
            overrides: fields of `Settings`. `True` for `file` or `prometheus_port` takes the details from below.

        Raises:
            SettingsError: a source holds what it may not; the message names the place.
        """
        from kaizen_otel.settings.sources import load  # noqa: PLC0415 - sources build on this module

        return load(preset=preset, config_file=config_file, env=env, config=config, overrides=overrides)

    def with_kaizen_config(
        self, config: Mapping[str, Any], *, env: Mapping[str, str] | None = None
    ) -> tuple[Settings, list[SettingsError]]:
        """Lay the dictionary of a `Kaizen(config=…)` over these settings: what was given as an argument stays.

        Returns:
            The settings, and what is wrong with those monitoring keys that could not be taken: unknown ones, wrong
            values, what is not available yet.
        """
        from kaizen_otel.settings.sources import lay_kaizen_config  # noqa: PLC0415 - sources build on this module

        return lay_kaizen_config(self, config, env)

    def replace(self, **changes: Any) -> Settings:
        """Give a copy with these fields changed, as arguments."""
        for name in changes:
            if name not in KINDS:
                raise unknown_key(name, KINDS, where="Settings.replace")
        origins = {name: origin for name, origin in self.origins.items() if name not in changes}
        return dataclasses.replace(self, **changes, origins=origins | dict.fromkeys(changes, _ARGUMENT))

    def describe(self) -> str:
        """Give a table of every field, its value (secrets masked) and where it came from."""
        from kaizen_otel.settings.describe import describe  # noqa: PLC0415 - only people ask for it

        return describe(self)


_FIELDS: Final = {known.name: known for known in dataclasses.fields(Settings) if known.metadata}
KINDS: Final[Mapping[str, Kind]] = MappingProxyType({name: known.metadata["kind"] for name, known in _FIELDS.items()})
DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType({name: known.default for name, known in _FIELDS.items()})
MEANINGS: Final[Mapping[str, str]] = MappingProxyType(
    {name: known.metadata["meaning"] for name, known in _FIELDS.items()}
)
SECRETS: Final = frozenset(name for name, known in _FIELDS.items() if not known.repr)
"""Fields whose values no message and no table shows."""


def checked(name: str, value: Any, *, where: str, kind: Kind | None = None) -> Any:
    """Give `value` as the field `name` stores it.

    Raises:
        SettingsError: it is not allowed there.
    """
    kind = KINDS[name] if kind is None else kind
    try:
        return kind.check(value)
    except Refused as refused:
        why = str(refused)
    except Exception as error:  # noqa: BLE001 - the methods of a foreign value may raise anything
        why = f"reading it raised {type(error).__name__}"
    raise wrong_value(name, value, where=where, allowed=kind.allowed, why=why, secret=name in SECRETS) from None
