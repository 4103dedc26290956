"""The published prices: the offline data of the genai-prices package, as rates of our own.

Only its bundled data is read, without network; an updater that the application may run does not reach us, so the
version on a price says exactly which data it came from. The package is imported when the first price is asked for
(0.1 to 0.4 s).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from kaizen_processors.pricing.price import SOURCE_GENAI_PRICES
from kaizen_processors.pricing.rates import Rates, Terms, Tier, rate
from kaizen_semconv.gen_ai import GenAiProviderName

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

DAY_NS: Final = 86_400_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_NS: Final = (date.min - _EPOCH.date()).days * DAY_NS
_LAST_NS: Final = ((date.max - _EPOCH.date()).days + 1) * DAY_NS - 1

_TOKEN_KEYS: Final = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "reasoning": "output_reasoning_mtok",
    "input_audio": "input_audio_mtok",
    "output_audio": "output_audio_mtok",
}
_REQUESTS_KEY: Final = "requests_kcount"
_BILLED_BY_USAGE: Final = {_TOKEN_KEYS["input"], _TOKEN_KEYS["output"], _REQUESTS_KEY}

_PROVIDER_IDS: Final[dict[str, str]] = {
    GenAiProviderName.AWS_BEDROCK: "aws",
    GenAiProviderName.AZURE_AI_INFERENCE: "azure",
    GenAiProviderName.AZURE_AI_OPENAI: "azure",
    GenAiProviderName.GCP_GEMINI: "google",
    GenAiProviderName.GCP_GEN_AI: "google",
    GenAiProviderName.GCP_VERTEX_AI: "google",
    GenAiProviderName.MISTRAL_AI: "mistral",
    GenAiProviderName.X_AI: "x-ai",
    "azure_ai_foundry": "azure",
    "azure_openai": "azure",
    "bedrock": "aws",
    "gemini": "google",
    "moonshot_ai": "moonshotai",
    "vertex_ai": "google",
    "xai": "x-ai",
}
"""`gen_ai.provider.name` values, and the names Kaizen gives providers, where genai-prices has another id."""


def catalog_id(provider: str) -> str:
    """Return the genai-prices id of a provider; a name without one is its own id."""
    name = provider.strip().lower()
    return _PROVIDER_IDS.get(name, name)


class Catalog:
    """The genai-prices data. Making one imports the package."""

    def __init__(self) -> None:
        """Read the bundled data."""
        from genai_prices import __version__  # noqa: PLC0415 - 0.1 s and more: only when a price is asked for
        from genai_prices.data import providers  # noqa: PLC0415 - same

        self.terms = Terms(SOURCE_GENAI_PRICES, __version__)
        self._providers = providers
        self._by_id = {provider.id: provider for provider in providers}

    def find(self, provider: str | None, model: str) -> ModelInfo | None:
        """Find a model as genai-prices does, but with provider ids exact: what only resembles one is unknown.

        Without a provider, the first one is taken that claims models with such a name.
        """
        if provider is None:
            name = model.lower()
            matching = (each for each in self._providers if each.model_match and each.model_match.is_match(name))
            found = next(matching, None)
        else:
            found = self._by_id.get(catalog_id(provider))
        return None if found is None else found.find_model(model, all_providers=self._providers)


def tiers_at(model: ModelInfo, at_ns: int) -> list[Tier] | None:
    """Return the rates of a model at a moment, or None when it is not billed by what a `Usage` counts.

    genai-prices leaves rates of zero out, so a side without a rate is free, and a model without any rate is too.
    """
    prices = model.get_prices(_moment(at_ns))
    given = {key: value for key, value in vars(prices).items() if value is not None}
    if given and not given.keys() & _BILLED_BY_USAGE:
        return None
    bounds = sorted({tier.start for value in given.values() for tier in getattr(value, "tiers", ())})
    try:
        return [Tier(above, _rates(prices, above)) for above in (-1, *bounds)]
    except ValueError:  # a rate finer than 1e-24 a token: known to nobody yet, and not to be rounded
        return None


def _rates(prices: ModelPrice, above: int) -> Rates:
    """Return the rates of calls with just more than `above` input tokens."""

    def units(key: str, per: int) -> int | None:
        value = getattr(prices, key)
        return None if value is None else rate(_in_tier(value, above), per)

    details = {name: units(key, 10**6) for name, key in _TOKEN_KEYS.items()}
    return Rates(
        input=details.pop("input") or 0,
        output=details.pop("output") or 0,
        per_request=units(_REQUESTS_KEY, 1000) or 0,
        **details,
    )


def _in_tier(value: Decimal | TieredPrices, above: int) -> Decimal:
    from genai_prices.types import TieredPrices  # noqa: PLC0415 - loaded with the catalog

    if not isinstance(value, TieredPrices):
        return value
    reached = [tier.price for tier in value.tiers if tier.start <= above]
    return reached[-1] if reached else value.base


def boundaries(model: ModelInfo, at_ns: int) -> Iterator[int]:
    """Yield the moments around `at_ns` at which the rates of this model may change, in Unix nanoseconds."""
    from genai_prices.types import StartDateConstraint, TimeOfDateConstraint  # noqa: PLC0415 - loaded with the catalog

    if not isinstance(model.prices, list):
        return
    midnight = at_ns - at_ns % DAY_NS
    for conditional in model.prices:
        constraint: object = conditional.constraint
        if constraint is None:
            continue
        if isinstance(constraint, StartDateConstraint):
            yield (constraint.start_date - _EPOCH.date()).days * DAY_NS
        elif isinstance(constraint, TimeOfDateConstraint):
            yield midnight
            yield midnight + _time_of_day_ns(constraint.start_time)
            yield midnight + _time_of_day_ns(constraint.end_time)
            yield midnight + DAY_NS
        else:  # a kind of condition newer than this code: ask again for every call
            yield at_ns
            yield at_ns + 1


def _moment(at_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=min(max(at_ns, _FIRST_NS), _LAST_NS) // 1000)


def _time_of_day_ns(moment: time) -> int:
    """Nanoseconds from midnight UTC. Naive times are UTC, as in genai-prices."""
    offset = moment.utcoffset() or timedelta()
    since_midnight = timedelta(
        hours=moment.hour, minutes=moment.minute, seconds=moment.second, microseconds=moment.microsecond
    )
    return (since_midnight - offset) // timedelta(microseconds=1) * 1000 % DAY_NS
