"""The price book: what a call of this model, at this moment, with this usage costs."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, TypeGuard

from kaizen_processors.clock import SYSTEM_CLOCK
from kaizen_processors.money import DECIMALS, from_decimal
from kaizen_processors.pricing.catalog import Catalog, boundaries, tiers_at
from kaizen_processors.pricing.overrides import Overrides
from kaizen_processors.pricing.price import (
    MISSING_MODEL,
    MISSING_PRICE,
    MISSING_USAGE,
    SOURCE_PROVIDER,
    UNKNOWN_CURRENCY,
    USD,
    Price,
    not_in_usd,
)
from kaizen_processors.pricing.rates import calculator

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kaizen_processors.clock import Clock
    from kaizen_processors.pricing.rates import Calculator
    from kaizen_processors.usage import Usage

    Window = tuple[int, int, Calculator]
    """A calculator, and the first and the first-after moment (Unix nanoseconds) for which it is right."""

MAX_CACHED: Final = 1024
"""How many (provider, model, fallback) are remembered. A full cache is emptied: what is in use comes back at once."""

MAX_NAME_LENGTH: Final = 256
"""Longer names are no models: they are neither looked up (patterns would run over them) nor remembered."""

_ALWAYS: Final = 2**200
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_REPORTED: Final = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation])


class PriceBook:
    """Prices calls. The user's overrides come first, then the genai-prices data; unknown stays unknown.

    Safe to use from several threads. Nothing is loaded until the first price is asked for.
    """

    __slots__ = ("_cache", "_cached", "_catalog", "_clock", "_overrides")

    def __init__(self, overrides: Overrides | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        """Use these overrides. The clock is read for calls that come without their moment."""
        self._overrides = overrides if overrides is not None else Overrides()
        self._clock = clock
        self._catalog: Catalog | None = None
        self._cache: dict[str | None, dict[str | None, dict[str | None, Window]]] = {}
        self._cached = 0

    @classmethod
    def from_file(cls, path: str | Path) -> PriceBook:
        """Read the overrides of a YAML file. Raises `PriceFileError` naming every wrong line and what is allowed."""
        from kaizen_processors.pricing.price_file import read_overrides  # noqa: PLC0415 - it imports the YAML parser

        return cls(read_overrides(path))

    def price(
        self,
        provider: str | None,
        model: str | None,
        usage: Usage,
        at_ns: int | None = None,
        fallback_model: str | None = None,
    ) -> Price:
        """Price one call. Never raises on odd names or counts: what cannot be priced says why in `missing`.

        Args:
            provider: value of `gen_ai.provider.name`; None takes the provider that such a model name belongs to.
            model: the model that answered, else the requested one.
            usage: what the call used. Price each call by itself, never a sum of calls: rates have tiers.
            at_ns: moment of the call in Unix nanoseconds (rates change with date and time of day); None = now.
            fallback_model: name to try when nothing knows `model`; usually the requested one.
        """
        if at_ns is None:
            at_ns = self._clock.time_ns()
        try:
            first_ns, end_ns, priced = self._cache[provider][model][fallback_model]
        except (KeyError, TypeError):  # TypeError: an unhashable name
            return self._resolve(provider, model, fallback_model, at_ns)(usage)
        if first_ns <= at_ns < end_ns:
            return priced(usage)
        return self._resolve(provider, model, fallback_model, at_ns)(usage)

    @staticmethod
    def reported(amount: Decimal | float | str, currency: str = USD) -> Price:
        """Take over the price that a provider put into its answer.

        A float counts as its shortest text (0.1 is a tenth); digits beyond 1e-24 are rounded. What is no amount of
        money (text, NaN, negative) has `missing="price"`; what is no currency code becomes `XXX`.
        """
        units = _reported_units(amount)
        if units is None:
            return MISSING_PRICE
        code = currency.strip().upper() if isinstance(currency, str) else ""
        code = code if _CURRENCY.fullmatch(code) else UNKNOWN_CURRENCY
        return Price(units, code, SOURCE_PROVIDER, None, not_in_usd(code))

    def _resolve(self, provider: str | None, model: str | None, fallback: str | None, at_ns: int) -> Calculator:
        models = [name for name in (model, fallback) if _is_name(name)]
        if not models:
            return _no_model
        if not (provider is None or _is_name(provider)):
            return _no_price
        window = self._window(provider, models, at_ns)
        if all(name is None or _is_name(name) for name in (model, fallback)):
            self._remember(provider, model, fallback, window)
        return window[2]

    def _remember(self, provider: str | None, model: str | None, fallback: str | None, window: Window) -> None:
        if self._cached >= MAX_CACHED:  # replaced, not cleared: another thread may be reading the old one
            self._cache = {}
            self._cached = 0
        self._cache.setdefault(provider, {}).setdefault(model, {})[fallback] = window
        self._cached += 1

    def _window(self, provider: str | None, models: list[str], at_ns: int) -> Window:
        entries = self._overrides.matching(provider, models)
        moments = [moment for entry in entries for moment in (entry.from_ns, entry.until_ns) if moment is not None]
        chosen = next((entry for entry in entries if entry.valid_at(at_ns)), None)
        if chosen is not None:
            return _around(at_ns, moments, calculator(chosen.tiers, self._overrides.terms(chosen)))
        if self._catalog is None:
            self._catalog = Catalog()
        catalog = self._catalog
        known = next((found for name in models if (found := catalog.find(provider, name)) is not None), None)
        if known is None:
            return _around(at_ns, moments, _no_price)
        moments.extend(boundaries(known, at_ns))
        tiers = tiers_at(known, at_ns)
        return _around(at_ns, moments, _no_price if tiers is None else calculator(tiers, catalog.terms))


def _around(at_ns: int, moments: Iterable[int], priced: Calculator) -> Window:
    """Return the span between the last of these moments up to now and the first after it."""
    known = (-_ALWAYS, *moments, _ALWAYS)
    first_ns = max((moment for moment in known if moment <= at_ns), default=at_ns)
    end_ns = min((moment for moment in known if moment > at_ns), default=at_ns + 1)
    return first_ns, end_ns, priced


def _is_name(name: object) -> TypeGuard[str]:
    return isinstance(name, str) and 0 < len(name) <= MAX_NAME_LENGTH


def _no_model(usage: Usage) -> Price:
    return MISSING_USAGE if usage.input_tokens is usage.output_tokens is None else MISSING_MODEL


def _no_price(usage: Usage) -> Price:
    return MISSING_USAGE if usage.input_tokens is usage.output_tokens is None else MISSING_PRICE


def _reported_units(amount: object) -> int | None:
    if isinstance(amount, bool) or not isinstance(amount, (Decimal, int, float, str)):
        return None
    try:
        value = amount if isinstance(amount, Decimal) else Decimal(str(amount).strip())
        rounded = value.quantize(Decimal(1).scaleb(-DECIMALS), context=_REPORTED)
        return None if rounded.is_signed() and rounded else from_decimal(rounded)
    except (InvalidOperation, ValueError):
        return None
