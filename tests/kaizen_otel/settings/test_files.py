"""Settings files: what is read, and errors that name the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaizen_otel.settings import Settings, SettingsError


def load(folder: Path, name: str, content: str | bytes) -> Settings:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return Settings.load(config_file=file, env={})


def test_yaml_reads_a_bare_off_as_off(tmp_path: Path) -> None:
    settings = load(tmp_path, "a.yaml", "monitoring_level: off\ncontent: off\nfile: off\nprometheus_port: on\n")
    assert (settings.monitoring_level, settings.content, settings.file) == ("off", "off", None)
    assert settings.prometheus_port == 9464


@pytest.mark.parametrize("content", ["", "# only a comment\n", "---\n", "\ufeff"])
def test_an_empty_file_says_nothing(content: str, tmp_path: Path) -> None:
    assert load(tmp_path, "a.yaml", content) == Settings()
    assert load(tmp_path, "a.toml", content.replace("---\n", "")) == Settings()


def test_relative_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    settings = load(tmp_path, "a.yaml", "price_file: prices.yaml\nfile: ~/x.jsonl\n")
    assert (settings.price_file, settings.file) == (tmp_path / "prices.yaml", Path("/home/someone/x.jsonl"))
    assert load(tmp_path, "b.yml", "file: true\n").file == Path("kaizen-otel.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "line", "why"),
    [
        ("a.yaml", "console: true\nconsole: false\n", 2, "'console' stands twice"),
        ("a.yaml", "console: true\n  bad: [\n", 2, "mapping values are not allowed here"),
        ("a.yaml", "\n- console\n", 2, "not a table of settings"),
        ("a.yaml", "console: 'open\n", 2, "found unexpected end of stream"),
        ("a.yaml", "\nconsle: true\n", 2, "unknown setting 'consle'. Did you mean console?"),
        ("a.yaml", "\n? [a]\n: 3\n", 2, "unknown setting 'a key that is no text'"),
        ("a.yaml", "\nclock: 3\n", 2, "unknown setting 'clock'"),
        ("a.yaml", "console: true\n\nconsole_width: wide\n", 3, "console_width cannot be 'wide'"),
        ("a.yaml", "x: &a [*a]\n", 1, "unconstructable recursive node"),
        ("a.yaml", "console: !!python/object:os.system {}\n", 1, "could not determine a constructor"),
        ("a.yaml", "console: 2020-13-45\n", 1, "ValueError in a value"),
        ("a.yaml", "[" * 3_000, 1, "RecursionError in a value"),
        ("a.yaml", "a: 1\n---\nb: 1\n", 2, "but found another document"),
        ("a.yaml", b"a: 1\nb: \xff\n", 2, "not UTF-8"),
        ("a.toml", "console = true\nconsole = false\n", 2, "Cannot overwrite a value"),
        ("a.toml", "\nconsole == true\n", 2, "Invalid value"),
        ("a.toml", 'x = "open', 1, "Unterminated string"),
        ("a.toml", "\n\n[exporters]\nconsole = true\n", 3, "unknown setting 'exporters'"),
        ("a.toml", '# console_width\n"console_width" = 3\n', 2, "console_width cannot be 3"),
        ("a.toml", "conventions = 2026-01-01\n", 1, "conventions cannot be datetime.date(2026, 1, 1)"),
        ("a.toml", "x = " + "[" * 3_000, 1, "recursion"),
    ],
)
def test_errors_name_the_line(name: str, content: str | bytes, line: int, why: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, name, content)
    assert str(caught.value).startswith(f"{tmp_path / name}:{line}: ")
    assert why in str(caught.value)
    assert caught.value.where == f"{tmp_path / name}:{line}"


def test_all_mistakes_of_all_sources_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "consle: true\nconsole_width: wide\nconsole: true\nconsole: false\nenvironment: 2020-13-45\npreset: testing\n"
    )
    env = {"KAIZEN_OTEL_CONTENT": "all", "KAIZEN_OTEL_CONSLE": "1", "OTEL_EXPORTER_PROMETHEUS_HOST": "a\x00b"}
    config = {"exporters": {"consol": True, "file": {"path": 3}}}
    with pytest.raises(SettingsError) as caught:
        Settings.load(config_file=file, env=env, config=config, storre=True, queue_bytes="5 cows")
    expected = [
        (f"{file}:4", "'console' stands twice"),
        (f"{file}:5", "ValueError in a value"),
        (f"{file}:6", "preset cannot be 'testing'"),
        (f"{file}:1", "unknown setting 'consle'"),
        (f"{file}:2", "console_width cannot be 'wide'"),
        ("environment variable OTEL_EXPORTER_PROMETHEUS_HOST", "prometheus_host cannot be"),
        ("environment", "unknown variable 'KAIZEN_OTEL_CONSLE'"),
        ("environment variable KAIZEN_OTEL_CONTENT", "content cannot be 'all'"),
        ("argument config['exporters']", "unknown key 'consol'"),
        ("argument config['exporters']['file']['path']", "file cannot be 3"),
        ("argument", "unknown setting 'storre'. Did you mean store?"),
        ("argument", "queue_bytes cannot be '5 cows'"),
    ]
    problems = caught.value.problems
    for problem, line, (where, why) in zip(problems, str(caught.value).splitlines(), expected, strict=True):
        assert (problem.where, str(problem)) == (where, line)
        assert why in line
    with pytest.raises(SettingsError) as caught:
        Settings(console="x", content="y")  # type: ignore[arg-type]  # what is wrong is the point
    assert [one.key for one in caught.value.problems] == ["content", "console"]


def test_a_file_that_cannot_be_read_is_named_with_the_place_that_asked_for_it(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    with pytest.raises(SettingsError, match=r"environment variable KAIZEN_OTEL_CONFIG: cannot read .*No such file"):
        Settings.load(env={"KAIZEN_OTEL_CONFIG": str(missing)})
    with pytest.raises(SettingsError, match=r"argument: cannot read .*No such file"):
        Settings.load(config_file=missing, env={})
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(SettingsError, match=r"argument: cannot read .*directory"):
        Settings.load(config_file=tmp_path / "folder.yaml", env={})


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"is no settings file; allowed: \.yaml, \.yml, \.toml"):
        load(tmp_path, "a.ini", "")


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="longer than 1048576 bytes"):
        load(tmp_path, "a.yaml", b"#" * (1 << 20) + b"#")


@pytest.mark.parametrize("path", [3, "", "a\x00b.yaml", True])
def test_what_is_no_path_is_refused(path: object) -> None:
    with pytest.raises(SettingsError, match="argument: config_file cannot be "):
        Settings.load(config_file=path, env={})  # type: ignore[arg-type]


def test_an_alias_bomb_costs_nothing(tmp_path: Path) -> None:
    levels = "\n".join(f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))
    with pytest.raises(SettingsError, match="redact_keys cannot be a list of 30"):
        load(tmp_path, "a.yaml", f"redact_keys:\n  - &a0 [x]\n{levels}\n")
