"""The price book: odd input, memory, laziness, prices that providers report."""

from __future__ import annotations

import subprocess
import sys
import threading
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from genai_prices import data_snapshot
from hypothesis import given
from hypothesis import strategies as st

from kaizen_processors.money import UNITS_PER_USD
from kaizen_processors.pricing import Overrides, Price, PriceBook
from kaizen_processors.pricing.book import MAX_CACHED
from kaizen_processors.pricing.overrides import Override
from kaizen_processors.pricing.rates import MAX_COUNT, Rates, Tier
from kaizen_processors.usage import Usage

AT_NS = 1_795_000_000 * 10**9
BOOK = PriceBook()
ODD_COUNTS: list[Any] = [
    -1,
    True,
    False,
    1.0,
    0.0,
    float("nan"),
    float("inf"),
    "12",
    b"1",
    2**63,
    2**70,
    [],
    {},
    object(),
]


class Raising:
    """Raises whatever is done to it, except what pytest must know of a parameter."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return Raising
        raise RuntimeError(name)

    def __bool__(self) -> bool:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __lt__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = object.__hash__


@pytest.mark.parametrize("odd", [*ODD_COUNTS, Raising()], ids=lambda odd: type(odd).__name__)
@pytest.mark.parametrize("side", ["input_tokens", "output_tokens"])
@pytest.mark.parametrize("model", ["gpt-4", "gpt-4o", "gpt-5.4"], ids=["plain", "with cache rates", "with tiers"])
def test_an_odd_count_is_an_unknown_count(odd: Any, side: str, model: str) -> None:
    usage = Usage(100, 100)
    setattr(usage, side, odd)
    assert BOOK.price("openai", model, usage, AT_NS) == Price(None, missing="usage")


@pytest.mark.parametrize("odd", [*ODD_COUNTS, Raising()], ids=lambda odd: type(odd).__name__)
@pytest.mark.parametrize(
    "detail",
    ["cache_read_tokens", "cache_write_tokens", "input_audio_tokens", "output_audio_tokens", "reasoning_tokens"],
)
def test_an_odd_detail_with_a_rate_of_its_own_is_an_unknown_count(odd: Any, detail: str) -> None:
    rates = Rates(1, 1, cache_read=6, cache_write=2, reasoning=3, input_audio=4, output_audio=5)
    book = PriceBook(Overrides((Override("m", (Tier(-1, rates),)),)))
    usage = Usage(100, 100)
    setattr(usage, detail, odd)
    assert book.price(None, "m", usage, AT_NS).missing == "usage"


@pytest.mark.parametrize("odd", ODD_COUNTS, ids=lambda odd: type(odd).__name__)
def test_an_odd_detail_that_the_price_does_not_depend_on_changes_nothing(odd: Any) -> None:
    usage = Usage(100, 100, reasoning_tokens=odd, input_audio_tokens=odd)
    assert BOOK.price("openai", "gpt-4o", usage, AT_NS) == BOOK.price("openai", "gpt-4o", Usage(100, 100), AT_NS)


@pytest.mark.parametrize("usage", [Usage(), Usage(5, None), Usage(None, 5)], ids=repr)
@pytest.mark.parametrize("model", ["gpt-4", "gpt-4o", "gpt-5.4"])
def test_a_side_that_was_not_reported_is_not_guessed(usage: Usage, model: str) -> None:
    assert BOOK.price("openai", model, usage, AT_NS) == Price(None, missing="usage")


@pytest.mark.parametrize(
    "model", ["google/gemma-3-unknown", "gemma-3", "text-embedding-3-small", None, "whisper-large-v3"]
)
@pytest.mark.parametrize("provider", ["google", "openai", "groq", None])
def test_a_call_without_any_count_always_lacks_its_usage(provider: str | None, model: str | None) -> None:
    assert BOOK.price(provider, model, Usage(), AT_NS).missing == "usage"


def test_the_largest_count_is_still_exact() -> None:
    price = BOOK.price("openai", "gpt-4o", Usage(MAX_COUNT, MAX_COUNT), AT_NS)
    assert price.amount is not None
    assert Fraction(price.amount, UNITS_PER_USD) == Fraction("12.5") * MAX_COUNT / 10**6


@pytest.mark.parametrize(
    "model", [None, "", 7, b"gpt-4o", ["gpt-4o"], {}, float("nan"), "x" * 10**6], ids=lambda m: type(m).__name__
)
def test_a_call_without_the_name_of_a_model_says_so(model: Any) -> None:
    assert BOOK.price("openai", model, Usage(1, 1), AT_NS) == Price(None, missing="model")


@pytest.mark.parametrize("odd", [7, b"", ["openai"], {}, "\ud800", "x" * 10**6], ids=lambda odd: type(odd).__name__)
def test_odd_names_beside_a_good_one_do_not_raise(odd: Any) -> None:
    assert BOOK.price(odd, "gpt-4o", Usage(1, 1), AT_NS).missing == "price"
    assert BOOK.price("openai", "gpt-4o", Usage(1, 1), AT_NS, fallback_model=odd).missing is None
    assert BOOK.price("openai", odd, Usage(1, 1), AT_NS, fallback_model="gpt-4o").missing is None


@given(st.text(max_size=300), st.none() | st.text(max_size=30) | st.sampled_from(["openai", "aws.bedrock", "azure"]))
def test_no_name_raises(model: str, provider: str | None) -> None:
    price = BOOK.price(provider, model, Usage(1, 1), AT_NS)
    assert (price.amount is None) == (price.source == "unknown")


def remembered(book: PriceBook) -> int:
    return sum(len(fallbacks) for models in book._cache.values() for fallbacks in models.values())


def test_the_memory_of_names_is_bounded() -> None:
    book = PriceBook()
    for number in range(3 * MAX_CACHED + 10):
        book.price("openai", f"model-{number}", Usage(1, 1), AT_NS, fallback_model=f"asked-{number % 7}")
        assert remembered(book) <= MAX_CACHED
    assert remembered(book) > 0
    assert book.price("openai", "gpt-4o", Usage(1, 1), AT_NS).amount is not None


def test_names_that_cannot_be_models_are_not_remembered() -> None:
    book = PriceBook()
    odd: Any
    for odd in ("x" * 10**6, 7, ["gpt-4o"]):
        book.price("openai", odd, Usage(1, 1), AT_NS)
        book.price("openai", "gpt-4o", Usage(1, 1), AT_NS, fallback_model=odd)
        book.price(odd, "gpt-4o", Usage(1, 1), AT_NS)
    assert remembered(book) == 0


def test_a_second_call_is_priced_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    book = PriceBook()
    first = book.price("openai", "gpt-4o", Usage(10, 20), AT_NS)
    monkeypatch.setattr(PriceBook, "_resolve", None)
    assert book.price("openai", "gpt-4o", Usage(10, 20), AT_NS + 1) == first
    assert book.price("openai", "gpt-4o", Usage(20, 40), AT_NS).amount == 2 * (first.amount or 0)


def test_each_price_is_an_object_of_its_own() -> None:
    first, second = (BOOK.price("openai", "gpt-4o", Usage(10, 20), AT_NS) for _ in range(2))
    assert first == second
    assert first is not second


def test_threads_agree_while_the_memory_overflows() -> None:
    book = PriceBook()
    expected = book.price("openai", "gpt-4o", Usage(10, 20), AT_NS)
    wrong: list[Price] = []

    def work(worker: int) -> None:
        for number in range(700):
            book.price("openai", f"model-{worker}-{number}", Usage(1, 1), AT_NS)
            price = book.price("openai", "gpt-4o", Usage(10, 20), AT_NS)
            if price != expected:
                wrong.append(price)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class FixedClock:
    """Stands at one moment."""

    def __init__(self, at_ns: int) -> None:
        self._at_ns = at_ns

    def time_ns(self) -> int:
        return self._at_ns

    def monotonic_ns(self) -> int:
        return 0


def test_a_call_without_its_moment_is_priced_by_the_clock() -> None:
    changed_ns = 1_800_000_000 * 10**9
    entries = tuple(
        Override("m", (Tier(-1, Rates(cost, cost)),), from_ns=start, until_ns=end)
        for cost, start, end in ((1, None, changed_ns), (2, changed_ns, None))
    )
    amounts = [
        PriceBook(Overrides(entries), clock=FixedClock(changed_ns + shift)).price(None, "m", Usage(1, 0)).amount
        for shift in (-1, 0)
    ]
    assert amounts == [1, 2]


def test_an_updater_of_the_application_does_not_reach_us() -> None:
    before = BOOK.price("openai", "gpt-4o", Usage(10, 20), AT_NS)
    data_snapshot.set_custom_snapshot(data_snapshot.DataSnapshot(providers=[], from_auto_update=True))
    try:
        assert PriceBook().price("openai", "gpt-4o", Usage(10, 20), AT_NS) == before
    finally:
        data_snapshot.set_custom_snapshot(None)


LAZY = """
import sys, threading
from kaizen_processors.pricing import PriceBook
from kaizen_processors.usage import Usage
book = PriceBook()
assert not {"genai_prices", "yaml", "pydantic"} & set(sys.modules), "loaded too early"
import socket
def refuse(*args, **kwargs):
    raise AssertionError("network")
socket.socket.connect = socket.getaddrinfo = refuse
assert book.price("openai", "gpt-4o", Usage(1, 1)).amount
assert threading.active_count() == 1, threading.enumerate()
"""


def test_prices_load_when_first_asked_for_without_network_or_threads() -> None:
    subprocess.run([sys.executable, "-c", LAZY], check=True, timeout=60)  # noqa: S603 - our own text


@pytest.mark.parametrize(
    ("amount", "units"),
    [
        (Decimal("0.0123"), 123 * 10**20),
        ("0.0123", 123 * 10**20),
        (" 1.23e-05 ", 123 * 10**17),
        (0.1, 10**23),
        (1.23e-05, 123 * 10**17),
        (2, 2 * 10**24),
        (0, 0),
        ("0", 0),
        ("1.2345678901234567e-10", 123456789012346),
        (Decimal("1e-30"), 0),
        ("-0", 0),
    ],
)
def test_a_price_that_the_provider_reports_is_taken_over(amount: Decimal | float | str, units: int) -> None:
    assert PriceBook.reported(amount, "USD") == Price(units, "USD", "provider")


@pytest.mark.parametrize(
    "amount",
    [
        "NaN",
        "sNaN",
        "Infinity",
        "free",
        "",
        "-0.5",
        "1e30",
        "1e999999",
        float("nan"),
        float("inf"),
        -1.0,
        True,
        None,
        [],
        b"1",
    ],
    ids=repr,
)
def test_a_reported_price_that_is_no_amount_is_unknown(amount: Any) -> None:
    assert PriceBook.reported(amount, "USD") == Price(None, missing="price")


@pytest.mark.parametrize(
    ("given_as", "currency", "missing"),
    [
        ("usd", "USD", None),
        ("EUR", "EUR", "currency"),
        (" eur ", "EUR", "currency"),
        ("credits", "XXX", "currency"),
        ("", "XXX", "currency"),
        (None, "XXX", "currency"),
        (7, "XXX", "currency"),
    ],
)
def test_a_reported_price_stays_in_its_currency(given_as: Any, currency: str, missing: str | None) -> None:
    assert PriceBook.reported("0.5", given_as) == Price(5 * 10**23, currency, "provider", None, missing)


@given(st.floats(min_value=0, max_value=1e15))
def test_a_reported_float_means_its_shortest_text(amount: float) -> None:
    units = PriceBook.reported(amount).amount
    assert units is not None
    assert abs(Fraction(units, UNITS_PER_USD) - Fraction(repr(amount))) <= Fraction(1, 2 * UNITS_PER_USD)


def test_a_price_shows_what_it_holds() -> None:
    shown = repr(Price(5, "EUR", "override", "v1", "currency"))
    assert shown == "Price(amount=5, currency='EUR', source='override', version='v1', missing='currency')"
    assert Price(5) != Price(6)
    assert Price(5) != 5
    with pytest.raises(TypeError):
        hash(Price(5))
