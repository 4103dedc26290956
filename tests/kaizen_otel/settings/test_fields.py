"""Every field of `Settings`: its default, and the same value from each source that can give it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from kaizen_otel.settings import MonitoringLevel, Settings, SettingsError
from kaizen_otel.settings.model import DEFAULTS, KINDS, SECRETS
from kaizen_otel.settings.sources import VARIABLES


class Provider:
    def get_tracer(self) -> None: ...
    def get_meter(self) -> None: ...
    def get_logger(self) -> None: ...


class Clock:
    def time_ns(self) -> int:
        return 0

    def monotonic_ns(self) -> int:
        return 0


class Ids:
    def generate_span_id(self) -> int:
        return 1

    def generate_trace_id(self) -> int:
        return 1


def score(_: object) -> float:
    return 1.0


PROVIDER, CLOCK, IDS = Provider(), Clock(), Ids()


@dataclass(frozen=True)
class Case:
    """One field: its default; a text and a Python value that both mean `value`; and values that it refuses."""

    name: str
    default: Any
    value: Any
    given: Any
    text: str | None
    bad: list[Any] = field(default_factory=list)
    bad_texts: list[str] = field(default_factory=list)


NOT_FLAGS: list[Any] = [1, 0, "true", None, [], float("nan")]
CASES = [
    Case(
        "service_name", None, "desk", " desk ", "desk", ["", " ", 3, "a\nb", "x" * 1_025, "\ud800", b"desk"], ["a\x00b"]
    ),
    Case("environment", None, "prod", "prod", "prod", ["", 3, True], ["a\tb"]),
    Case(
        "monitoring_level",
        MonitoringLevel.STANDARD,
        MonitoringLevel.BASIC,
        "Basic",
        "BASIC",
        ["loud", 3, None, [], "", 10**5_000],
        ["loud", "1", "none"],
    ),
    Case("conventions", 41, 42, "42", "42", [43, True, None, 41.0, -(10**5_000)], ["43", "x"]),
    Case("content", "off", "span", "SPAN", "span", ["both", True, 1, None], ["both", "true"]),
    Case(
        "content_max_bytes",
        8_192,
        300,
        300,
        "300",
        [255, 10**9, True, "300", 1e3, None],
        ["255", "1e3", "\uff17"],
    ),
    Case("redact_keys", (), ("a", "b"), ["a ", "b", ""], "a, b,", [3, [3], {"a"}, ["x" * 1_025], ["a"] * 1_001, None]),
    Case("redact_patterns", (), (r"x{2,3}", "y"), [r"x{2,3}", "y"], "x{2,3}\ny", [["("], "(", 3, ["(" * 5_000]], ["("]),
    Case("console", False, True, True, "yes", NOT_FLAGS, ["2", "maybe"]),
    Case("console_width", None, 100, 100, "100", [19, 1_001, "100", True], ["19", "wide"]),
    Case("file", None, Path("/x/y.jsonl"), "/x/y.jsonl", "/x/y.jsonl", [3, "", "a\x00b", b"x"], ["a\x00b"]),
    Case("prometheus_port", None, 9_000, 9_000, "9000", [-1, 65_536, "9000", 1.0], ["-1", "65536", "http"]),
    Case("prometheus_host", "localhost", "0.0.0.0", "0.0.0.0", "0.0.0.0", ["", None, 3], ["\x01"]),  # noqa: S104 - a value
    Case("host_metrics", None, True, True, "on", [1, "true"], ["2"]),
    Case("otlp", None, True, True, "on", [1, "true"], ["2"]),
    Case(
        "queue_bytes",
        16_777_216,
        65_536,
        "64 KiB",
        "65536",
        [65_535, 2**33, "64 KB", "1.5", True, 65_536.0, None, "9" * 5_000, "64 kibi"],
        ["63KiB", "5GiB", "x", "none", "-1", "KiB"],
    ),
    Case("spool", None, Path("/x/spool"), "/x/spool", "/x/spool", [3, "", "a\x00b", b"x"], ["a\x00b"]),
    Case(
        "spool_max_bytes", 268_435_456, 2_000_000, "2MB", "2mb", [0, 1_048_575, 2**41, None, "1.5.2MB"], ["1KiB", "x"]
    ),
    Case("exit_timeout_s", 2.0, 5.0, "5s", "5000ms", [0, 301, None, "x", float("nan")], ["0", "6m", "x"]),
    Case("flush_on_sigterm", False, True, True, "true", NOT_FLAGS, ["2"]),
    Case("pending_spans_s", None, 30.0, "30s", "30000ms", [0, 0.5, 86_401, "x", float("nan")], ["0", "25h", "x"]),
    Case("set_global", False, True, True, "1", NOT_FLAGS, ["2"]),
    Case("metrics", True, False, False, "no", NOT_FLAGS, ["2"]),
    Case("durations", True, False, False, "off", NOT_FLAGS, ["2"]),
    Case("deferred_histograms", False, True, True, "TRUE", NOT_FLAGS, ["2"]),
    Case("metrics_interval_s", None, 1.5, "1500ms", "1.5", [0.05, True, "soon", float("inf"), 10**400], ["0s", "x"]),
    Case("metrics_retention_s", None, 604_800.0, "7d", "7d", [0, "7 years", "-1d", float("nan"), "1e3"], ["7y"]),
    Case("windows", True, False, False, "off", NOT_FLAGS, ["2"]),
    Case("windows_max_bytes", 67_108_864, 10**7, 10**7, "10000000", [999_999, True, 10**12, "64M"], ["0", "x"]),
    Case("store", None, Path("/x/s.db"), "/x/s.db", "/x/s.db", [3, "", "a\x00b", b"x"], ["a\x00b"]),
    Case(
        "store_max_bytes", 268_435_456, 2_000_000, "2MB", "2mb", [0, 1_048_575, 2**41, None, "1.5.2MB"], ["1KiB", "x"]
    ),
    Case("metrics_buffer_size", 1_000, 10, 10, "10", [0, -1, 10**7, 1.5, True], ["0", "x"]),
    Case("metrics_streaming", False, True, True, "1", NOT_FLAGS, ["2"]),
    Case("alerting", None, True, True, "on", [1, "yes please", 0.0], ["2"]),
    Case(
        "alert_rules",
        None,
        Path("/r.yaml"),
        Path("/r.yaml"),
        "/r.yaml",
        [3, True, "", {"rules": [object()]}],
        ["a\x00b"],
    ),
    Case("alert_channels", (), ("a", "b"), ["a", "b"], "a, b", [3, [3], None], []),
    Case("alert_state", None, Path("/s.json"), Path("/s.json"), "/s.json", [3, True, ""], ["a\x00b"]),
    Case("budget_limit", None, 250.0, 250, "250", [-1, "250", True, float("nan"), 1e13], ["-1", "x"]),
    Case("alertmanager_url", None, "http://a:9093", "http://a:9093", "http://a:9093", ["", 3, "a\nb"], ["a\tb"]),
    Case(
        "notification_channels",
        None,
        MappingProxyType({"a": {}}),
        {"a": {}},
        '{"a": {}}',
        [3, True, "a", {3: {}}, {"a": object()}],
        ["{", "[]", "3"],
    ),
    Case(
        "trace_url_template",
        None,
        "http://j/{trace_id}",
        "http://j/{trace_id}",
        "http://j/{trace_id}",
        ["", 3, "http://j", "javascript:{trace_id}"],
        ["\x01"],
    ),
    Case("max_ledger_keys", 2_000, 10, 10, "10", [0, -1, 10**7, 1.5], ["0", "x"]),
    Case("stream_usage", False, True, True, "true", NOT_FLAGS, ["2"]),
    Case("price_file", None, Path("/p.yaml"), Path("/p.yaml"), "/p.yaml", [3, True, ""], ["a\x00b"]),
    Case("structural_quality", True, False, False, "false", NOT_FLAGS, ["2"]),
    Case("evaluators", (), (score,), [score], None, [score, [3], None, {score}]),
    Case("evaluator_sample_rate", 1.0, 0.25, 0.25, "0.25", [-0.1, 1.1, float("nan"), "1", True], ["2", "nan", "x"]),
    Case("evaluator_timeout_s", 30.0, 5.0, 5, "5s", [0, 3_601, "x", None], ["0", "x"]),
    Case("baggage", False, True, True, "true", NOT_FLAGS, ["2"]),
    Case("log_correlation", None, False, False, "false", [0, "no"], ["2"]),
    Case("tracer_provider", None, PROVIDER, PROVIDER, None, [3, object(), Provider]),
    Case("meter_provider", None, PROVIDER, PROVIDER, None, [3, object(), Provider]),
    Case("logger_provider", None, PROVIDER, PROVIDER, None, [3, object(), Provider]),
    Case("clock", None, CLOCK, CLOCK, None, [3, object(), Clock]),
    Case("id_generator", None, IDS, IDS, None, [3, object(), Ids]),
]
TEXTUAL = [case for case in CASES if case.text is not None]
by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
textual_by_name = pytest.mark.parametrize("case", TEXTUAL, ids=lambda case: case.name)


def make(**given: Any) -> Settings:
    """Make settings from values that no type checker has seen."""
    return Settings(**given)


def variable_of(name: str) -> str:
    return f"KAIZEN_OTEL_{name.upper()}"


def same(value: Any, expected: Any) -> bool:
    return type(value) is type(expected) and value == expected


def test_every_field_has_a_case() -> None:
    assert [case.name for case in CASES] == list(KINDS)
    assert {variable_of(case.name) for case in TEXTUAL} == set(VARIABLES)


@by_name
def test_default(case: Case) -> None:
    assert same(getattr(Settings(), case.name), case.default)
    assert same(getattr(Settings.load(env={}), case.name), case.default)
    assert Settings().origins[case.name].where == "default"


@by_name
def test_argument(case: Case) -> None:
    for settings in (
        Settings(**{case.name: case.given}),
        Settings.load(env={}, **{case.name: case.given}),
        Settings().replace(**{case.name: case.given}),
    ):
        assert same(getattr(settings, case.name), case.value)
        assert settings.origins[case.name].where == "argument"


@textual_by_name
def test_environment_variable(case: Case) -> None:
    settings = Settings.load(env={variable_of(case.name): case.text or ""})
    assert same(getattr(settings, case.name), case.value)
    assert settings.origins[case.name].where == f"environment variable {variable_of(case.name)}"


@textual_by_name
@pytest.mark.parametrize("suffix", ["yaml", "toml"])
def test_settings_file(case: Case, suffix: str, tmp_path: Path) -> None:
    text = json.dumps(case.given if not isinstance(case.given, Path) else str(case.given))
    file = tmp_path / f"settings.{suffix}"
    text = text if suffix == "yaml" else text.replace(": ", " = ")  # a dictionary, as TOML writes it
    file.write_text(f"# the second line\n{case.name}{':' if suffix == 'yaml' else ' ='} {text}\n")
    settings = Settings.load(env={"KAIZEN_OTEL_CONFIG": str(file)})
    assert same(getattr(settings, case.name), case.value)
    assert settings.origins[case.name].where == f"{file}:2"


@by_name
def test_bad_argument_is_refused_with_what_is_allowed(case: Case) -> None:
    assert case.bad
    for bad in case.bad:
        for build in (Settings, Settings.load, Settings().replace):
            with pytest.raises(SettingsError) as caught:
                build(**{case.name: bad})
            message = str(caught.value)
            assert message.startswith(f"argument: {case.name} cannot be ")
            assert f"allowed: {KINDS[case.name].allowed}" in message
            assert (caught.value.key, caught.value.where) == (case.name, "argument")
            assert len(message) < 400


@textual_by_name
def test_bad_environment_variable_is_refused_by_its_name(case: Case) -> None:
    for bad in case.bad_texts:
        with pytest.raises(SettingsError) as caught:
            Settings.load(env={variable_of(case.name): bad})
        shown = "<str, not shown>" if case.name in SECRETS else repr(bad)
        assert str(caught.value).startswith(
            f"environment variable {variable_of(case.name)}: {case.name} cannot be {shown}"
        )


@textual_by_name
def test_bad_value_in_a_file_is_refused_by_its_line(case: Case, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    takes_dictionaries = case.name in {"alert_rules", "notification_channels"}
    file.write_text(f"\n\n{case.name}: {'[[a]]' if takes_dictionaries else '{a: dictionary}'}\n")
    with pytest.raises(SettingsError, match="cannot be") as caught:
        Settings.load(config_file=file, env={})
    assert caught.value.where == f"{file}:3"


@by_name
def test_only_optional_fields_take_none(case: Case) -> None:
    if KINDS[case.name].optional:
        assert getattr(make(**{case.name: None}), case.name) is None
    else:
        with pytest.raises(SettingsError):
            make(**{case.name: None})


@textual_by_name
def test_empty_environment_variable_counts_as_unset(case: Case) -> None:
    settings = Settings.load(env={variable_of(case.name): "  "})
    assert same(getattr(settings, case.name), case.default)


def test_none_in_the_environment_takes_back_what_a_file_gives(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("console_width = 90\nfile = true\n")
    env = {"KAIZEN_OTEL_CONFIG": str(file), "KAIZEN_OTEL_CONSOLE_WIDTH": "none", "KAIZEN_OTEL_FILE": "false"}
    settings = Settings.load(env=env)
    assert (settings.console_width, settings.file) == (None, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2500ms", 2.5),
        ("30s", 30.0),
        ("15m", 900.0),
        ("12h", 43_200.0),
        ("7d", 604_800.0),
        ("2w", 1_209_600.0),
        ("90", 90.0),
    ],
)
def test_durations_are_kept_in_seconds(text: str, seconds: float) -> None:
    kept = make(metrics_retention_s=text).metrics_retention_s
    assert kept == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1048576", 1 << 20), ("1.5 MiB", 3 << 19), ("2MB", 2_000_000), ("1gib", 1 << 30), ("4GB", 4 * 10**9)],
)
def test_sizes_are_kept_in_bytes(text: str, size: int) -> None:
    assert make(spool_max_bytes=text).spool_max_bytes == size


def test_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings.load(env={"KAIZEN_OTEL_PRICE_FILE": "~/prices.yaml"}).price_file == tmp_path / "prices.yaml"


def test_settings_are_frozen_hashable_and_compared_by_value() -> None:
    settings = Settings(console=True)
    with pytest.raises(AttributeError):
        settings.console = False  # type: ignore[misc]
    assert settings == Settings.load(env={"KAIZEN_OTEL_CONSOLE": "1"})
    assert hash(settings) == hash(Settings(console=True))
    assert settings != Settings()


def test_replace_keeps_the_origin_of_what_it_leaves() -> None:
    settings = Settings.load(env={"KAIZEN_OTEL_CONSOLE": "1", "KAIZEN_OTEL_BAGGAGE": "1"}).replace(baggage=False)
    assert settings.console
    assert settings.origins["console"].where == "environment variable KAIZEN_OTEL_CONSOLE"
    assert settings.origins["baggage"].where == "argument"


def test_levels_compare_by_what_they_include() -> None:
    levels = [MonitoringLevel(name) for name in ("comprehensive", "off", "standard", "basic")]
    assert sorted(levels) == ["off", "basic", "standard", "comprehensive"]
    assert MonitoringLevel.COMPREHENSIVE > "standard"
    assert MonitoringLevel.BASIC < MonitoringLevel.COMPREHENSIVE
    assert MonitoringLevel.BASIC <= MonitoringLevel.BASIC >= "off"


@pytest.mark.parametrize(("word", "level"), [("detailed", "standard"), ("verbose", "comprehensive"), (False, "off")])
def test_kaizen_words_for_levels_are_understood(word: Any, level: str) -> None:
    assert Settings(monitoring_level=word).monitoring_level == level


def test_the_repr_of_what_was_given_is_bounded_and_hides_containers() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(service_name="x" * 70_000_000)
    assert len(str(caught.value)) < 300
    with pytest.raises(SettingsError) as caught:
        Settings(service_name={"api_key": "hunter2"})  # type: ignore[arg-type]
    assert "cannot be a dict of 1;" in str(caught.value)


def test_a_pattern_never_appears_in_a_message_or_a_repr() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(redact_patterns=("(hunter2",))
    assert "hunter2" not in str(caught.value)
    assert "not a regular expression" in str(caught.value)
    settings = Settings(redact_patterns=("hunter2",))
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.describe()


class Hostile:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise LookupError(name)

    def __repr__(self) -> str:
        raise LookupError

    def __eq__(self, other: object) -> bool:
        raise LookupError

    __hash__ = None  # type: ignore[assignment]


@by_name
def test_a_hostile_value_raises_only_settings_errors(case: Case) -> None:
    with pytest.raises(SettingsError, match=r"<Hostile>|not shown"):
        make(**{case.name: Hostile()})
    if case.name in {"redact_keys", "evaluators"}:
        with pytest.raises(SettingsError):
            make(**{case.name: [Hostile()]})


def test_unknown_argument_lists_the_known_ones_and_the_closest() -> None:
    for build in (Settings.load, Settings().replace):
        with pytest.raises(SettingsError) as caught:
            build(consle=True)
        assert "unknown setting 'consle'. Did you mean console? Known: " in str(caught.value)
        assert all(name in str(caught.value) for name in KINDS)


def test_unknown_environment_variable_lists_the_known_ones_and_the_closest() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(env={"KAIZEN_OTEL_CONSLE": "1"})
    assert "Did you mean KAIZEN_OTEL_CONSOLE?" in str(caught.value)
    assert all(name in str(caught.value) for name in [*VARIABLES, "KAIZEN_OTEL_CONFIG", "KAIZEN_OTEL_PRESET"])


def test_defaults_are_what_the_fields_say() -> None:
    assert {case.name: case.default for case in CASES} == dict(DEFAULTS)
