"""A price file of one's own: what is refused, where, and what would be allowed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen_processors.pricing import PriceBook, PriceFileError
from tests.processors.price_files import DOCS, SOME, problems, write

if TYPE_CHECKING:
    from pathlib import Path


def test_the_problems_in_the_documentation_read_as_shown(tmp_path: Path) -> None:
    shown = re.findall(r"^prices\.yaml:\d+:\d+: (.*?)(?:, …)?$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    real = problems(tmp_path, 'prices: [{model: m, inputs: 1, input: "2,50", output: 1}]')
    assert len(shown) == len(real) == 2
    assert all(text in problem for text, problem in zip(shown, real, strict=True))


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", "1:1", "is empty"),
        ("# nothing\n", "1:1", "is empty"),
        ("[]", "1:1", "must be a mapping with `version`, `prices`"),
        ("just text", "1:1", "must be a mapping"),
        ("version: 1", "1:1", "`prices` is missing"),
        ("prices: []", "1:9", "at least one entry"),
        ("prices: {}", "1:9", "`prices` must be a list"),
        ("prices:", "1:8", "`prices` must be a list"),
        (SOME + "price: 1\n", "3:1", "unknown key `price` in the file; allowed: `version`, `prices`"),
        (SOME + "version:\n", "3:9", "`version` needs one value"),
        (SOME + "version: [1]\n", "3:10", "`version` needs one value"),
        (SOME + "version: null\n", "3:10", "`version` needs one value"),
        (SOME + "prices: []\n", "3:1", "`prices` is there twice"),
        (SOME + "? [a]\n: 1\n", "3:3", "unknown key"),
        ("prices:\n  - gpt-4o\n", "2:5", "an entry must be a mapping with `provider`, `model`"),
        ("prices:\n  - {input: 1, output: 1}\n", "2:5", "`model` is missing"),
        ("prices:\n  - {model: m, input: 1}\n", "2:5", "`output` is missing; write 0 where nothing is charged"),
        ("prices:\n  - model: m\n    input: 1\n    output: 1\n    outputs: 2\n", "5:5", "unknown key `outputs`"),
        ("prices: [{model: m, input: 1, output: 1, currency: eur}]", "1:52", "ISO 4217"),
        ("prices: [{model: m, input: 1, output: 1, per: 2M}]", "1:47", "allowed: `1`, `1k`, `1M`"),
        ("prices: [{model: m, input: 1, output: 1, from: soon}]", "1:48", "is no date"),
        ("prices: [{model: m, input: 1, output: 1, from: 2026-01-32}]", "1:48", "is no date"),
        ("prices: [{model: m, input: 1, output: 1, from: 2026-01-02, until: 2026-01-02}]", "1:67", "later than `from`"),
        ("prices: [{model: m, input: 1, output: 1, tiers: {}}]", "1:49", "`tiers` must be a list"),
        ("prices: [{model: m, input: 1, output: 1, tiers: [1]}]", "1:50", "a tier must be a mapping"),
        ("prices: [{model: m, input: 1, output: 1, tiers: [{input: 1}]}]", "1:50", "`above_input_tokens` is missing"),
        ("prices: [{model: m, input: 1, output: 1, tiers: [{above_input_tokens: 5}]}]", "1:50", "a tier needs a rate"),
        ("prices: [{model: m, input: 1, output: 1, tiers: [{above_input_tokens: -5, input: 1}]}]", "1:71", "no count"),
        (
            "prices: [{model: m, input: 1, output: 1, tiers: [{above_input_tokens: 5, per: 1, input: 1}]}]",
            "1:74",
            "`per`",
        ),
        (SOME + "  - {model: M, input: 3, output: 3}\n", "3:5", "never used: the entry in line 2 comes first"),
        ("a: [1,\n", "2:1", "is not YAML"),
        ("a: 1\n---\nb: 2\n", "2:1", "is not YAML"),
        ("prices: !!python/object:os.system {}", "1:9", "`prices` must be a list"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place_and_what_is_allowed(
    tmp_path: Path, text: str, place: str, what: str
) -> None:
    found = problems(tmp_path, text)
    assert any(problem.startswith(f"{place}: ") and what in problem for problem in found), found


@pytest.mark.parametrize(
    "value",
    ["-1", "1,5", "1_000", "abc", "NaN", ".inf", "0x10", "1:30", "~", "[1]", "$2", "1e999", "1.", "٣", "true", '""'],
)
def test_what_is_no_number_is_no_rate(tmp_path: Path, value: str) -> None:
    found = problems(tmp_path, f"prices:\n  - model: m\n    input: {value}\n    output: 1\n")
    assert any(problem.startswith("3:12: `input` ") for problem in found), found


@pytest.mark.parametrize(
    ("key", "per", "value"),
    [
        ("input", "1", "0.0000000000000000000000001"),
        ("cache_write", "1", "1e-25"),
        ("output", "1k", "1e-22"),
        ("input", "1M", "0.0000000000000000001"),
        ("per_request", "1M", "1e-25"),
    ],
)
def test_a_rate_that_would_be_rounded_is_refused(tmp_path: Path, key: str, per: str, value: str) -> None:
    rates = {"input": "1", "output": "1"} | {key: value}
    found = problems(
        tmp_path, f"prices: [{{model: m, per: {per}, {', '.join(f'{k}: {v}' for k, v in rates.items())}}}]"
    )
    assert len(found) == 1
    assert "cannot be held exactly; allowed: 24 decimals for one" in found[0]


def test_tiers_that_do_not_ascend_are_refused(tmp_path: Path) -> None:
    tiers = "[{above_input_tokens: 20, input: 1}, {above_input_tokens: 20, input: 2}]"
    found = problems(tmp_path, f"prices: [{{model: m, input: 1, output: 1, tiers: {tiers}}}]")
    assert len(found) == 1
    assert "must ascend: 20 comes after 20" in found[0]


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    text = "prices:\n  - model: m\n    input: x\n    output: y\n    colour: z\n    from: soon\n    until: later\n"
    text += "  - {}\n  - 5\n"
    lines = [problem.split(":")[0] for problem in problems(tmp_path, text)]
    assert lines == ["3", "4", "5", "6", "7", "8", "8", "8", "9"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("model: gpt-4*", "model: gpt-4o*"),
        ("model: '*'", "model: gpt-4o, provider: openai"),
        ("model: m, from: 2026-01-01", "model: m, from: 2026-02-01, until: 2026-03-01"),
        ("model: m, provider: openai", "model: m, provider: openai"),
    ],
)
def test_an_entry_that_cannot_be_reached_is_refused(tmp_path: Path, first: str, second: str) -> None:
    text = f"prices:\n  - {{{first}, input: 1, output: 1}}\n  - {{{second}, input: 2, output: 2}}\n"
    assert problems(tmp_path, text) == ["3:5: is never used: the entry in line 2 comes first"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PriceFileError, match=r"gone\.yaml: cannot be read: No such file"):
        PriceBook.from_file(str(tmp_path / "gone.yaml"))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_bytes(b"prices: \xff\xfe")
    with pytest.raises(PriceFileError, match="is not UTF-8 text"):
        PriceBook.from_file(path)
    path.write_bytes(b"prices: \x00")
    with pytest.raises(PriceFileError, match="is not YAML"):
        PriceBook.from_file(path)


def test_a_file_that_nests_too_deep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PriceFileError, match="is not YAML"):
        PriceBook.from_file(write(tmp_path, "[" * 5000 + "]" * 5000))


@settings(deadline=None)
@given(st.text(alphabet="prices:[]{}-, \n0123456789modelinputoutput*&\"'~!#", max_size=120))
def test_any_text_is_a_price_file_or_refused_as_one(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = write(tmp_path_factory.getbasetemp(), text)
    try:
        PriceBook.from_file(path)
    except PriceFileError as error:
        assert error.problems  # noqa: PT017 - both outcomes are right; nothing else may be raised
