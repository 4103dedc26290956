"""A price file of one's own: what its entries mean."""

from __future__ import annotations

import re
import time
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen_processors.money import UNITS_PER_USD, format_usd, from_decimal
from kaizen_processors.pricing import Price, PriceBook
from kaizen_processors.usage import Usage
from tests.processors.price_files import AT_NS, DOCS, amount, entry_book, ns, write

if TYPE_CHECKING:
    from pathlib import Path


def test_the_example_in_the_documentation_prices_as_it_says(tmp_path: Path) -> None:
    found = re.search(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    book = PriceBook.from_file(write(tmp_path, found[1]))
    gpt = book.price("openai", "gpt-4o-2024-08-06", Usage(1200, 300, cache_read_tokens=200), AT_NS)
    assert amount(gpt) == Fraction(1000 * 2 + 200 * Fraction(1, 2) + 300 * 8, 10**6)
    assert (gpt.version, gpt.currency, gpt.missing) == ("acme-2026-11", "USD", None)
    short = book.price("openai", "gpt-4o", Usage(input_tokens=1200, output_tokens=300), AT_NS)
    assert f"{format_usd(short.amount or 0)} {short.source} {short.version}" in DOCS.read_text(encoding="utf-8")
    long = book.price("gcp.vertex_ai", "gemini-2.5-pro", Usage(200_001, 10), AT_NS)
    assert amount(long) == Fraction(200_001 * Fraction("2.2") + 10 * Fraction("13.5")) / 10**6
    own = book.price("ollama", "llama3.2", Usage(5, 5), AT_NS)
    assert own == Price(from_decimal(Decimal("0.002")), "EUR", "override", "acme-2026-11", "currency")
    assert book.price("gcp.gemini", "gemini-2.5-pro", Usage(5, 5), AT_NS).source == "genai-prices"
    assert book.price("openai", "gpt-4o", Usage(5, 5), ns("2027-01-01T00:00:00")).source == "genai-prices"


RATES = st.decimals(min_value=0, max_value=10**6, places=12, allow_nan=False)
COUNTS = st.integers(0, 10**6)


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {"input": RATES, "output": RATES},
        optional=dict.fromkeys(["cache_read", "cache_write", "reasoning", "per_request"], RATES),
    ),
    st.sampled_from([("1", 1), ("1k", 10**3), ("1M", 10**6)]),
    st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS),
    st.booleans(),
)
def test_an_entry_prices_exactly_as_its_text_says(
    tmp_path_factory: pytest.TempPathFactory,
    rates: dict[str, Decimal],
    per: tuple[str, int],
    counts: tuple[int, int, int, int, int],
    quoted: bool,
) -> None:
    plain, read, written, thought, said = counts
    quote = '"' if quoted else ""
    text = ", ".join(f"{key}: {quote}{value:f}{quote}" for key, value in rates.items())
    book = entry_book(tmp_path_factory.mktemp("prices"), f"per: {per[0]}, {text}")
    usage = Usage(
        plain + read + written,
        thought + said,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=thought,
    )
    per_token = {key: Fraction(value) / per[1] for key, value in rates.items()}
    expected = (
        plain * per_token["input"]
        + read * per_token.get("cache_read", per_token["input"])
        + written * per_token.get("cache_write", per_token["input"])
        + thought * per_token.get("reasoning", per_token["output"])
        + said * per_token["output"]
        + Fraction(rates.get("per_request", 0))
    )
    assert amount(book.price("any", "m", usage, AT_NS)) == expected


def test_audio_has_its_own_rates(tmp_path: Path) -> None:
    book = entry_book(tmp_path, "per: 1, input: 1, output: 2, input_audio: 10, output_audio: 20, reasoning: 3")
    assert amount(book.price(None, "m", Usage(5, 5, input_audio_tokens=2, output_audio_tokens=1), AT_NS)) == 23 + 28
    both = Usage(5, 5, output_audio_tokens=1, reasoning_tokens=1)
    assert book.price(None, "m", both, AT_NS).missing == "usage"


def test_a_tier_replaces_the_rates_that_it_names(tmp_path: Path) -> None:
    tiers = "tiers: [{above_input_tokens: 10, input: 2}, {above_input_tokens: 20, output: 7, cache_read: 3}]"
    book = entry_book(tmp_path, f"per: 1, input: 1, output: 5, cache_read: 0.5, per_request: 100, {tiers}")
    costs = [book.price(None, "m", Usage(taken, 1, cache_read_tokens=2), AT_NS) for taken in (10, 11, 20, 21)]
    assert [amount(cost) for cost in costs] == [
        100 + 8 * 1 + 1 + 5,
        100 + 9 * 2 + 1 + 5,
        100 + 18 * 2 + 1 + 5,
        100 + 19 * 1 + 6 + 7,
    ]


def test_without_a_rate_of_its_own_a_detail_follows_its_side_into_the_tier(tmp_path: Path) -> None:
    book = entry_book(tmp_path, "per: 1, input: 1, output: 0, tiers: [{above_input_tokens: 10, input: 2}]")
    assert amount(book.price(None, "m", Usage(11, 0, cache_read_tokens=11), AT_NS)) == 22


def test_the_count_of_a_side_is_needed_when_any_tier_charges_it(tmp_path: Path) -> None:
    book = entry_book(tmp_path, "input: 1, output: 0, tiers: [{above_input_tokens: 10, output: 1}]")
    assert book.price(None, "m", Usage(5, None), AT_NS).missing == "usage"
    free = entry_book(tmp_path, "input: 0, output: 1")
    assert amount(free.price(None, "m", Usage(None, 10**6), AT_NS)) == 1
    assert free.price(None, "m", Usage(10**6, None), AT_NS).missing == "usage"


@pytest.mark.parametrize(
    ("entry_provider", "call_provider", "matches"),
    [
        ("openai", "openai", True),
        ("OpenAI", "openai", True),
        ("google", "gcp.gemini", True),
        ("google", "gcp.vertex_ai", True),
        ("gcp.gemini", "gcp.gemini", True),
        ("gcp.gemini", "gcp.vertex_ai", False),
        ("mistral", "mistral_ai", True),
        ("ollama", "ollama", True),
        ("openai", "ollama", False),
        ("openai", None, False),
    ],
)
def test_an_entry_names_the_provider_as_the_call_or_as_genai_prices(
    tmp_path: Path, entry_provider: str, call_provider: str | None, matches: bool
) -> None:
    book = entry_book(tmp_path, f"provider: {entry_provider}, input: 1, output: 1")
    assert (book.price(call_provider, "m", Usage(1, 1), AT_NS).source == "override") == matches


@pytest.mark.parametrize(
    ("pattern", "model", "matches"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("GPT-4o", "gpt-4O", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o*", "gpt-4o-mini", True),
        ("gpt-?o", "gpt-4o", True),
        ("gpt-[45]o", "gpt-5o", True),
        ("*", "x", True),
        ("gpt.4o", "gpt-4o", False),
    ],
)
def test_an_entry_names_its_model_exactly_or_by_a_glob(tmp_path: Path, pattern: str, model: str, matches: bool) -> None:
    book = PriceBook.from_file(write(tmp_path, f'prices: [{{model: "{pattern}", input: 1, output: 1}}]'))
    assert (book.price("acme", model, Usage(1, 1), AT_NS).source == "override") == matches


def test_the_first_matching_entry_wins(tmp_path: Path) -> None:
    text = "prices: [{model: m-1, per: 1, input: 1, output: 0}, {model: m-*, per: 1, input: 2, output: 0}]"
    book = PriceBook.from_file(write(tmp_path, text))
    assert [amount(book.price(None, model, Usage(1, 0), AT_NS)) for model in ("m-1", "m-2")] == [1, 2]


def test_an_entry_for_the_requested_model_holds_when_the_answer_names_a_dated_one(tmp_path: Path) -> None:
    book = PriceBook.from_file(write(tmp_path, "prices: [{model: gpt-4o, per: 1, input: 1, output: 1}]"))
    price = book.price("openai", "gpt-4o-2024-08-06", Usage(1, 1), AT_NS, fallback_model="gpt-4o")
    assert amount(price) == 2
    assert book.price("openai", "gpt-4o-2024-08-06", Usage(1, 1), AT_NS).source == "genai-prices"


def test_the_first_entry_wins_whichever_name_of_the_model_it_is_about(tmp_path: Path) -> None:
    text = "prices: [{model: asked, per: 1, input: 1, output: 0}, {model: answered, per: 1, input: 2, output: 0}]"
    book = PriceBook.from_file(write(tmp_path, text))
    assert amount(book.price(None, "answered", Usage(1, 0), AT_NS, fallback_model="asked")) == 1
    assert amount(book.price(None, "answered", Usage(1, 0), AT_NS)) == 2


def test_a_date_without_a_zone_is_utc_wherever_the_machine_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        book = entry_book(tmp_path, "input: 1, output: 1, from: 2026-01-01")
    finally:
        monkeypatch.undo()
        time.tzset()
    start = ns("2026-01-01T00:00:00")
    assert [book.price("acme", "m", Usage(1, 1), at).source for at in (start - 1, start)] == ["unknown", "override"]


def test_an_entry_is_valid_from_its_first_moment_until_just_before_its_last(tmp_path: Path) -> None:
    book = entry_book(tmp_path, "input: 1, output: 1, from: 2026-01-01, until: 2026-02-01T01:00:00+01:00")
    start, end = ns("2026-01-01T00:00:00"), ns("2026-02-01T00:00:00")
    sources = [book.price("acme", "m", Usage(1, 1), at).source for at in (start - 1, start, end - 1, end, start)]
    assert sources == ["unknown", "override", "override", "unknown", "override"]


def test_a_rate_changes_when_one_entry_follows_another(tmp_path: Path) -> None:
    text = (
        "prices: [{model: m, per: 1, input: 1, output: 0, until: 2026-01-01}, {model: m, per: 1, input: 2, output: 0}]"
    )
    book = PriceBook.from_file(write(tmp_path, text))
    change = ns("2026-01-01T00:00:00")
    assert [amount(book.price(None, "m", Usage(1, 0), at)) for at in (change, change - 1, change)] == [2, 1, 2]


def test_another_currency_is_known_but_not_counted_in_dollars(tmp_path: Path) -> None:
    price = entry_book(tmp_path, "currency: EUR, per: 1, input: 1, output: 1").price(None, "m", Usage(1, 2), AT_NS)
    assert price == Price(3 * UNITS_PER_USD, "EUR", "override", None, "currency")


def test_a_free_entry_costs_nothing(tmp_path: Path) -> None:
    price = entry_book(tmp_path, "input: 0, output: 0").price(None, "m", Usage(1, 2), AT_NS)
    assert (price.amount, price.missing) == (0, None)


def test_an_anchor_stands_for_what_it_names(tmp_path: Path) -> None:
    text = "prices: [{model: a, input: &rate 1, output: *rate}, {model: b, input: *rate, output: 0}]"
    assert amount(PriceBook.from_file(write(tmp_path, text)).price(None, "b", Usage(10**6, 0), AT_NS)) == 1


def test_a_rate_is_what_is_written_and_not_what_a_float_makes_of_it(tmp_path: Path) -> None:
    book = entry_book(tmp_path, "per: 1, input: 0.123456789012345678901234, output: 1e-3")
    assert book.price(None, "m", Usage(1, 0), AT_NS).amount == 123456789012345678901234
    assert amount(book.price(None, "m", Usage(0, 1), AT_NS)) == Fraction(1, 1000)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("model: gpt-4o", "model: gpt-4*"),
        ("model: 'gpt-?'", "model: gpt-*"),
        ("model: m, provider: openai", "model: m"),
        ("model: m, provider: google", "model: m, provider: gcp.gemini"),
        ("model: m, until: 2026-01-01", "model: m"),
        ("model: m, from: 2026-01-01, until: 2026-02-01", "model: m, from: 2026-01-15"),
    ],
)
def test_an_entry_that_may_be_reached_is_taken(tmp_path: Path, first: str, second: str) -> None:
    text = f"prices:\n  - {{{first}, input: 1, output: 1}}\n  - {{{second}, input: 2, output: 2}}\n"
    PriceBook.from_file(write(tmp_path, text))
