"""The price of one model call, or the reason why there is none."""

from __future__ import annotations

from typing import Final

from kaizen_semconv.attributes import KaizenUsageCostSource, KaizenUsageMissingReason

USD: Final = "USD"
UNKNOWN_CURRENCY: Final = "XXX"
"""The ISO 4217 code for "no currency"."""

SOURCE_GENAI_PRICES: Final = KaizenUsageCostSource.GENAI_PRICES.value
SOURCE_OVERRIDE: Final = KaizenUsageCostSource.OVERRIDE.value
SOURCE_PROVIDER: Final = KaizenUsageCostSource.PROVIDER.value
SOURCE_UNKNOWN: Final = KaizenUsageCostSource.UNKNOWN.value


class Price:
    """What one call costs. Made once, never changed after it was handed out.

    Attributes:
        amount: integer of 1e-24 of `currency` (see `kaizen_processors.money`); None when unknown, never a guess.
        currency: ISO 4217.
        source: where the amount comes from: `genai-prices`, `override`, `provider`, or `unknown` without an amount.
        version: version of the price data: of the genai-prices package, or the override file's own.
        missing: None when the cost in US dollars is known; else `usage` (the provider did not report the counts that
            are billed, or they contradict each other), `model` (the call has no name of a model), `price` (nobody knows
            what that model costs) or `currency` (the amount is known, but it is not in US dollars).
    """

    __slots__ = ("amount", "currency", "missing", "source", "version")

    def __init__(
        self,
        amount: int | None,
        currency: str = USD,
        source: str = SOURCE_UNKNOWN,
        version: str | None = None,
        missing: str | None = None,
    ) -> None:
        """Hold the facts; see the class for their meaning."""
        self.amount = amount
        self.currency = currency
        self.source = source
        self.version = version
        self.missing = missing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Price) and all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # compared by value, never a key

    def __repr__(self) -> str:
        return (
            f"Price(amount={self.amount}, currency={self.currency!r}, source={self.source!r}, "
            f"version={self.version!r}, missing={self.missing!r})"
        )


MISSING_USAGE: Final = Price(None, missing=KaizenUsageMissingReason.USAGE.value)
MISSING_MODEL: Final = Price(None, missing=KaizenUsageMissingReason.MODEL.value)
MISSING_PRICE: Final = Price(None, missing=KaizenUsageMissingReason.PRICE.value)


def not_in_usd(currency: str) -> str | None:
    """Return why an amount in this currency is no cost in US dollars: nobody converts it."""
    return None if currency == USD else KaizenUsageMissingReason.CURRENCY.value
