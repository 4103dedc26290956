"""Published prices: equal to genai-prices' own Decimal arithmetic, for every model, at any date, with any usage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice, StartDateConstraint, TieredPrices, TimeOfDateConstraint
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kaizen_processors.money import UNITS_PER_USD
from kaizen_processors.pricing import Price, PriceBook
from kaizen_processors.usage import Usage

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MODELS = [(provider.id, model.id) for provider in providers for model in provider.models]
BY_ID = {(provider.id, model.id): model for provider in providers for model in provider.models}
GENAI_NAMES = {
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "input_tokens": "input_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_tokens": "output_tokens",
    "reasoning_tokens": "output_reasoning_tokens",
}
BILLED_BY_USAGE = {"input_mtok", "output_mtok", "requests_kcount"}


def ns(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def conditions(model: ModelInfo) -> list[tuple[object, ModelPrice]]:
    if isinstance(model.prices, ModelPrice):
        return [(None, model.prices)]
    return [(conditional.constraint, conditional.prices) for conditional in model.prices]


def thresholds(model: ModelInfo) -> set[int]:
    rates = [value for _, prices in conditions(model) for value in vars(prices).values()]
    return {tier.start for value in rates if isinstance(value, TieredPrices) for tier in value.tiers}


def turning_points(model: ModelInfo) -> list[datetime]:
    points: list[datetime] = []
    for constraint, _ in conditions(model):
        if isinstance(constraint, StartDateConstraint):
            start = constraint.start_date
            points.append(datetime(start.year, start.month, start.day, tzinfo=UTC))
        elif isinstance(constraint, TimeOfDateConstraint):
            for moment in (constraint.start_time, constraint.end_time):
                assert moment.tzinfo is UTC
                points.extend(datetime.combine(day, moment) for day in (NOON.date(), NOON.date() - timedelta(days=300)))
    return points


def expected(provider: str | None, model: str, usage: Usage, at: datetime) -> Fraction | str:
    """What genai-prices says, in enough digits to be exact, or the reason why it has no price for this usage."""
    known = {theirs: getattr(usage, ours) for ours, theirs in GENAI_NAMES.items() if getattr(usage, ours) is not None}
    with localcontext(prec=200):
        try:
            found = genai_prices.calc_price(
                genai_prices.Usage(**known), model, provider_id=provider, genai_request_timestamp=at
            )
        except LookupError:
            return "price"
        except ValueError:
            return "usage"
        rates = {key for key, value in vars(found.model_price).items() if value is not None}
        if rates and not rates & BILLED_BY_USAGE:
            return "price"  # billed by hours, pages, characters: genai-prices says 0, and that is not what it costs
        return Fraction(found.total_price)


def shown(price: Price) -> Fraction | str:
    if price.amount is None:
        assert price.source == "unknown"
        assert price.version is None
        assert price.missing is not None
        return price.missing
    assert (price.source, price.version, price.currency) == ("genai-prices", genai_prices.__version__, "USD")
    assert price.missing is None
    return Fraction(price.amount, UNITS_PER_USD)


COUNTS = st.one_of(st.integers(0, 3000), st.integers(0, 2_000_000), st.sampled_from([0, 1, 10**12, 2**63 - 1]))
DETAILS = st.one_of(st.none(), st.just(0), st.integers(0, 1000), st.integers(0, 300_000))
USAGES = st.builds(
    Usage,
    COUNTS,
    COUNTS,
    cache_read_tokens=DETAILS,
    cache_write_tokens=DETAILS,
    reasoning_tokens=DETAILS,
    input_audio_tokens=DETAILS,
    output_audio_tokens=DETAILS,
)
MOMENTS = st.datetimes(datetime(2022, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds must be naive


@settings(max_examples=800, deadline=None)
@given(st.sampled_from(MODELS), USAGES, MOMENTS)
@example(("perplexity", "sonar-deep-research"), Usage(100, 5000, reasoning_tokens=4000), NOON)
@example(("anthropic", "claude-sonnet-4-5"), Usage(10, 0, cache_read_tokens=6, cache_write_tokens=5), NOON)
@example(("google", "gemini-2.0-flash"), Usage(100, 9, cache_read_tokens=5, input_audio_tokens=7), NOON)
@example(("openai", "gpt-realtime"), Usage(100, 90, input_audio_tokens=101), NOON)
@example(("openai", "gpt-realtime"), Usage(100, 90, output_audio_tokens=90), NOON)
def test_any_model_usage_and_date_cost_exactly_what_genai_prices_says(
    model: tuple[str, str], usage: Usage, at: datetime
) -> None:
    assert shown(PriceBook().price(*model, usage, ns(at))) == expected(*model, usage, at)


def unusual(model: ModelInfo) -> bool:
    usual = {"input_mtok", "output_mtok", "cache_read_mtok"}
    return bool(thresholds(model)) or any(vars(prices).keys() - usual for _, prices in conditions(model))


UNUSUAL = [key for key, model in BY_ID.items() if unusual(model)]
CLOSE_TO_A_TIER = st.sampled_from(
    sorted({start + shift for model in BY_ID.values() for start in thresholds(model) for shift in (0, 1)})
)
SMALL_DETAILS = st.none() | st.integers(0, 400)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(UNUSUAL),
    st.builds(
        Usage,
        st.integers(1000, 3000) | CLOSE_TO_A_TIER,
        st.integers(1000, 3000),
        cache_read_tokens=SMALL_DETAILS,
        cache_write_tokens=SMALL_DETAILS,
        reasoning_tokens=SMALL_DETAILS,
        input_audio_tokens=SMALL_DETAILS,
        output_audio_tokens=SMALL_DETAILS,
    ),
    MOMENTS,
)
def test_models_with_audio_tiers_fees_and_reasoning_agree_on_plausible_usage(
    model: tuple[str, str], usage: Usage, at: datetime
) -> None:
    assert shown(PriceBook().price(*model, usage, ns(at))) == expected(*model, usage, at)


def test_every_model_agrees_in_every_period_on_both_sides_of_every_tier() -> None:
    book = PriceBook()
    for key in MODELS:
        model = BY_ID[key]
        moments = [NOON]
        for point in turning_points(model):
            moments += [point - timedelta(microseconds=1), point]
        for at in moments:
            for taken in (1000, *thresholds(model), *(start + 1 for start in thresholds(model))):
                usage = Usage(taken, 70, cache_read_tokens=400, cache_write_tokens=30, reasoning_tokens=20)
                assert shown(book.price(*key, usage, ns(at))) == expected(*key, usage, at), (key, at, taken)


def test_the_data_has_what_these_tests_are_about() -> None:
    kinds = {type(constraint) for model in BY_ID.values() for constraint, _ in conditions(model)}
    keys = {key for model in BY_ID.values() for _, prices in conditions(model) for key in vars(prices)}
    assert {StartDateConstraint, TimeOfDateConstraint} <= kinds
    assert {"output_reasoning_mtok", "input_audio_mtok", "output_audio_mtok", "requests_kcount", "audio_hours"} <= keys
    assert any(len(thresholds(model)) > 1 for model in BY_ID.values())


DATED = [key for key, model in BY_ID.items() if turning_points(model)]


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(DATED))
@example(None, ("deepseek", "deepseek-chat"))
def test_a_remembered_price_never_outlives_its_period(data: Any, key: tuple[str, str]) -> None:
    model = BY_ID[key]
    near = [point + timedelta(microseconds=shift) for point in turning_points(model) for shift in (-1, 0, 1)]
    moments = near if data is None else data.draw(st.lists(st.sampled_from(near) | MOMENTS, max_size=30))
    book = PriceBook()
    for at in moments:
        assert shown(book.price(*key, Usage(1000, 1000), ns(at))) == expected(*key, Usage(1000, 1000), at)


TIMED = [
    key for key, model in BY_ID.items() if any(isinstance(each, TimeOfDateConstraint) for each, _ in conditions(model))
]


@pytest.mark.parametrize("key", TIMED, ids=lambda key: key[1])
def test_prices_by_the_time_of_day_hold_half_hour_by_half_hour_over_days(key: tuple[str, str]) -> None:
    book = PriceBook()
    for half_hours in range(2 * 24 * 3):
        at = NOON + timedelta(minutes=30 * half_hours)
        assert shown(book.price(*key, Usage(1000, 1000), ns(at))) == expected(*key, Usage(1000, 1000), at)


def test_nanoseconds_just_before_a_price_change_still_have_the_old_price() -> None:
    book = PriceBook()
    change = next(point for point in turning_points(BY_ID["deepseek", "deepseek-chat"]) if point.date() < NOON.date())
    before, after = (book.price("deepseek", "deepseek-chat", Usage(10, 10), ns(change) + shift) for shift in (-1, 0))
    assert before.amount != after.amount
    assert before == book.price("deepseek", "deepseek-chat", Usage(10, 10), ns(change - timedelta(minutes=5)))


@pytest.mark.parametrize("at_ns", [0, -1, -(2**70), 2**70, -62_135_596_800 * 10**9, 253_402_300_799 * 10**9])
def test_a_moment_beyond_the_calendar_is_priced_like_its_nearest_end(at_ns: int) -> None:
    assert PriceBook().price("deepseek", "deepseek-chat", Usage(10, 10), at_ns).amount is not None


def usd(price: Price) -> Decimal:
    assert price.amount is not None
    return Decimal(price.amount) / UNITS_PER_USD


def test_cached_input_is_part_of_the_input_and_cheaper() -> None:
    cached = Usage(1_000_000, 0, cache_read_tokens=800_000)
    assert usd(PriceBook().price("openai", "gpt-4o", cached, ns(NOON))) == Decimal("1.50")


def test_reasoning_is_part_of_the_output_and_not_added_on_top() -> None:
    with_reasoning = PriceBook().price("openai", "o3", Usage(0, 1_000_000, reasoning_tokens=900_000), ns(NOON))
    assert usd(with_reasoning) == Decimal(8)


def test_tiers_look_at_one_call_and_not_at_a_sum() -> None:
    book = PriceBook()
    small, large = (
        book.price("anthropic", "claude-sonnet-4-5", Usage(tokens, 0), ns(NOON)) for tokens in (150_000, 300_000)
    )
    assert usd(small) * 2 == Decimal("0.90")
    assert usd(large) == Decimal("1.80")


def test_a_model_with_a_fee_per_request_costs_it_once_a_call() -> None:
    model = BY_ID["perplexity", "sonar"]
    fee = model.get_prices(NOON).requests_kcount
    assert isinstance(fee, Decimal)
    assert usd(PriceBook().price("perplexity", "sonar", Usage(0, 0), ns(NOON))) == fee / 1000


def test_a_free_model_costs_nothing_and_that_is_known() -> None:
    price = PriceBook().price("google", "gemma-3", Usage(1000, 1000), ns(NOON))
    assert (price.amount, price.missing, price.source) == (0, None, "genai-prices")


def test_an_embedding_needs_no_output_count() -> None:
    model = "text-embedding-3-small"
    without, zero = (PriceBook().price("openai", model, Usage(1000, given), ns(NOON)) for given in (None, 0))
    assert without == zero
    assert usd(without) == Decimal("0.00002")


def test_a_model_that_is_billed_by_the_hour_has_no_price_for_tokens() -> None:
    assert shown(PriceBook().price("groq", "whisper-large-v3", Usage(100, 100), ns(NOON))) == "price"


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o"),
        ("anthropic", "claude-sonnet-4-5"),
        ("gcp.gemini", "gemini-2.5-pro"),
        ("gcp.vertex_ai", "gemini-2.5-pro"),
        ("gcp.gen_ai", "gemini-2.5-pro"),
        ("gcp.vertex_ai", "claude-sonnet-4-5"),
        ("aws.bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0"),
        ("azure.ai.openai", "gpt-4o-2024-08-06"),
        ("azure.ai.inference", "gpt-4o"),
        ("mistral_ai", "mistral-large-latest"),
        ("cohere", "command-r"),
        ("groq", "llama-3.3-70b-versatile"),
        ("deepseek", "deepseek-chat"),
        ("x_ai", "grok-3"),
        ("perplexity", "sonar"),
        ("openrouter", "openai/gpt-4o"),
        ("OpenAI", "GPT-4o"),
        (None, "gpt-4o"),
        (None, "claude-sonnet-4-5"),
    ],
)
def test_providers_are_known_by_their_names_in_the_conventions(provider: str | None, model: str) -> None:
    amount = PriceBook().price(provider, model, Usage(1000, 1000), ns(NOON)).amount
    assert amount is not None
    assert amount > 0


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("ollama", "llama3.2"),
        ("ollama", "gpt-4o"),
        ("openai", "my-own-model"),
        ("openai-compatible", "gpt-4o"),
        ("mock", "mock-model"),
        ("", "gpt-4o"),
        ("ibm.watsonx.ai", "granite"),
        (None, "nobody-knows-it"),
        ("p" * 5000, "gpt-4o"),
    ],
)
def test_what_nobody_has_a_price_for_is_unknown_and_never_zero(provider: str | None, model: str) -> None:
    assert shown(PriceBook().price(provider, model, Usage(1000, 1000), ns(NOON))) == "price"


def test_the_deployment_name_falls_back_to_the_requested_model() -> None:
    book = PriceBook()
    direct = book.price("azure.ai.openai", "gpt-4o", Usage(10, 10), ns(NOON))
    assert book.price("azure.ai.openai", "prod-eu", Usage(10, 10), ns(NOON), "gpt-4o") == direct
    assert book.price("azure.ai.openai", None, Usage(10, 10), ns(NOON), fallback_model="gpt-4o") == direct
    assert book.price("azure.ai.openai", "prod-eu", Usage(10, 10), ns(NOON)).missing == "price"


def test_a_known_answering_model_comes_before_the_requested_one() -> None:
    book = PriceBook()
    price = book.price("openai", "gpt-4o-mini", Usage(10, 10), ns(NOON), fallback_model="gpt-4o")
    assert price == book.price("openai", "gpt-4o-mini", Usage(10, 10), ns(NOON))
    assert price != book.price("openai", "gpt-4o", Usage(10, 10), ns(NOON))
