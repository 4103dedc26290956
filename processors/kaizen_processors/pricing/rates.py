"""Rates as integers, and the calculators made of them.

A calculator is a closure over integers that prices one call's usage. It is made once for each model and validity
window and runs on every model call, so the common case is flat code; what few models have (audio, reasoning, a fee,
tiers, a free side) is wrapped around it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kaizen_processors.money import from_decimal
from kaizen_processors.pricing.price import MISSING_USAGE, USD, Price, not_in_usd
from kaizen_processors.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

Calculator = Callable[[Usage], Price]

MAX_COUNT: Final = 2**63 - 1
"""The largest believable count: what an OpenTelemetry integer attribute can hold."""

_new: Final = object.__new__
"""Makes a price whose fields the calculator sets itself: `__init__` would be a fifth of the time of every call."""


class Rates(NamedTuple):
    """Rates of one token in units of 1e-24. A detail without a rate of its own (None) costs what its side costs."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    input_audio: int | None = None
    output_audio: int | None = None
    per_request: int = 0

    @property
    def free_input(self) -> bool:
        """Whether the price is the same whatever goes in."""
        return not any((self.input, self.cache_read, self.cache_write, self.input_audio))

    @property
    def free_output(self) -> bool:
        """Whether the price is the same whatever comes out."""
        return not any((self.output, self.reasoning, self.output_audio))


class Tier(NamedTuple):
    """The rates of every token of a call with more than `above` input tokens. The first tier has -1 here."""

    above: int
    rates: Rates


class Terms(NamedTuple):
    """What a calculator writes on each price beside the amount."""

    source: str
    version: str | None
    currency: str = USD


def rate(amount: Decimal, per: int) -> int:
    """Convert a published rate (`amount` for `per` tokens or requests) to units for one.

    Raises `ValueError` when that is no whole number of 1e-24.
    """
    units, rest = divmod(from_decimal(amount), per)
    if rest:
        raise ValueError(f"{amount} per {per} is no whole number of 1e-24")
    return units


def calculator(tiers: Sequence[Tier], terms: Terms) -> Calculator:
    """Make the calculator of these tiers, which ascend by `above`."""
    price = _tiered(tiers, terms) if len(tiers) > 1 else _one_tier(tiers[0].rates, terms)
    free_input = len(tiers) == 1 and tiers[0].rates.free_input
    free_output = all(tier.rates.free_output for tier in tiers)
    return _lenient(price, free_input, free_output) if free_input or free_output else price


def _one_tier(rates: Rates, terms: Terms) -> Calculator:
    price = _plain(rates, terms) if rates.cache_read is rates.cache_write is None else _cached(rates, terms)
    details = _details(rates)
    return _with_details(price, details, rates.per_request) if details or rates.per_request else price


def _plain(rates: Rates, terms: Terms) -> Calculator:
    input_rate, output_rate = rates.input, rates.output
    currency, source, version, missing = terms.currency, terms.source, terms.version, not_in_usd(terms.currency)

    def price(usage: Usage) -> Price:
        taken, given = usage.input_tokens, usage.output_tokens
        if type(taken) is not int or type(given) is not int or not 0 <= taken | given <= MAX_COUNT:
            return MISSING_USAGE
        priced = _new(Price)
        priced.amount = taken * input_rate + given * output_rate
        priced.currency = currency
        priced.source = source
        priced.version = version
        priced.missing = missing
        return priced

    return price


def _cached(rates: Rates, terms: Terms) -> Calculator:
    input_rate, output_rate = rates.input, rates.output
    currency, source, version, missing = terms.currency, terms.source, terms.version, not_in_usd(terms.currency)
    read_priced, read_extra = rates.cache_read is not None, _extra(rates.cache_read, input_rate)
    write_priced, write_extra = rates.cache_write is not None, _extra(rates.cache_write, input_rate)

    def price(usage: Usage) -> Price:
        taken, given = usage.input_tokens, usage.output_tokens
        if type(taken) is not int or type(given) is not int or not 0 <= taken | given <= MAX_COUNT:
            return MISSING_USAGE
        amount = taken * input_rate + given * output_rate
        if read_priced and (read := usage.cache_read_tokens) is not None:
            if type(read) is not int or not 0 <= read <= taken:
                return MISSING_USAGE
            amount += read * read_extra
            taken -= read
        if write_priced and (written := usage.cache_write_tokens) is not None:
            if type(written) is not int or not 0 <= written <= taken:
                return MISSING_USAGE
            amount += written * write_extra
        priced = _new(Price)
        priced.amount = amount
        priced.currency = currency
        priced.source = source
        priced.version = version
        priced.missing = missing
        return priced

    return price


def _extra(detail: int | None, side: int) -> int:
    """What a token of this detail costs beyond a token of its side."""
    return 0 if detail is None else detail - side


class _Detail(NamedTuple):
    """Part of a side that has its own rate. `overlapping` are priced details that may be the same tokens."""

    tokens: Callable[[Usage], Any]
    side: Callable[[Usage], Any]
    overlapping: tuple[Callable[[Usage], Any], ...]
    extra: int


def _details(rates: Rates) -> tuple[_Detail, ...]:
    cache_read, cache_write = attrgetter("cache_read_tokens"), attrgetter("cache_write_tokens")
    reasoning, output_audio = attrgetter("reasoning_tokens"), attrgetter("output_audio_tokens")
    taken, given = attrgetter("input_tokens"), attrgetter("output_tokens")
    found: list[_Detail] = []
    if rates.input_audio is not None:
        priced = ((cache_read, rates.cache_read), (cache_write, rates.cache_write))
        cached = tuple(count for count, own in priced if own is not None)
        audio = attrgetter("input_audio_tokens")
        found.append(_Detail(audio, taken, cached, rates.input_audio - rates.input))
    if rates.output_audio is not None:
        spoken = () if rates.reasoning is None else (reasoning,)
        found.append(_Detail(output_audio, given, spoken, rates.output_audio - rates.output))
    if rates.reasoning is not None:
        found.append(_Detail(reasoning, given, (), rates.reasoning - rates.output))
    return tuple(found)


def _with_details(base: Calculator, details: tuple[_Detail, ...], fee: int) -> Calculator:
    def price(usage: Usage) -> Price:
        priced = base(usage)
        if priced.amount is None:
            return priced
        for detail in details:
            count = detail.tokens(usage)
            if count is None:
                continue
            if type(count) is not int or not 0 <= count <= detail.side(usage):
                return MISSING_USAGE
            if count and any(other(usage) for other in detail.overlapping):
                return MISSING_USAGE  # how many tokens are both is not reported, and their rate differs
            priced.amount += count * detail.extra
        priced.amount += fee
        return priced

    return price


def _tiered(tiers: Sequence[Tier], terms: Terms) -> Calculator:
    bounds = [tier.above for tier in tiers[1:]]
    prices = [_one_tier(tier.rates, terms) for tier in tiers]

    def price(usage: Usage) -> Price:
        taken = usage.input_tokens
        if type(taken) is not int:
            return MISSING_USAGE
        return prices[bisect_left(bounds, taken)](usage)

    return price


def _lenient(base: Calculator, free_input: bool, free_output: bool) -> Calculator:
    """Do without the count of a free side: an embedding has no output, and its provider reports none.

    Without any count the usage is missing all the same.
    """

    def price(usage: Usage) -> Price:
        if free_output and usage.output_tokens is None:
            return base(_with_zero(usage, "output_tokens"))
        if free_input and usage.input_tokens is None:
            return base(_with_zero(usage, "input_tokens"))
        return base(usage)

    return price


def _with_zero(usage: Usage, side: str) -> Usage:
    filled = Usage(**{name: getattr(usage, name) for name in Usage.__slots__})
    setattr(filled, side, 0)
    return filled
