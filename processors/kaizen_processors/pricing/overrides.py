"""The user's own prices: entries that come before the published ones."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, NamedTuple

from kaizen_processors.pricing.catalog import catalog_id
from kaizen_processors.pricing.price import SOURCE_OVERRIDE, USD
from kaizen_processors.pricing.rates import Terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen_processors.pricing.rates import Tier


class PriceFileError(ValueError):
    """An override file cannot be used. `problems` has one text for each wrong place: `file:line:column: what`."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Show all problems at once."""
        super().__init__("\n".join(problems))
        self.problems = problems


class Override:
    """One entry: whose calls it prices, when, and at which rates. Never changed after it was made.

    `provider` None is any; `model` is a name or a glob, upper and lower case alike. Valid from `from_ns` until just
    before `until_ns` (Unix nanoseconds, None = always).
    """

    __slots__ = ("_pattern", "currency", "from_ns", "model", "provider", "tiers", "until_ns")

    def __init__(
        self,
        model: str,
        tiers: tuple[Tier, ...],
        *,
        provider: str | None = None,
        currency: str = USD,
        from_ns: int | None = None,
        until_ns: int | None = None,
    ) -> None:
        """Hold the fields and compile the glob once."""
        self.model = model
        self.tiers = tiers
        self.provider = provider
        self.currency = currency
        self.from_ns = from_ns
        self.until_ns = until_ns
        self._pattern = re.compile(translate(model.lower()))

    def matches(self, provider: str | None, model: str) -> bool:
        """Whether this entry is about that model. Its provider may be named as the call names it or as genai-prices."""
        if self.provider is not None:
            own = self.provider.strip().lower()
            if provider is None or own not in {provider.strip().lower(), catalog_id(provider)}:
                return False
        return self._pattern.match(model.lower()) is not None

    def valid_at(self, at_ns: int) -> bool:
        """Whether the entry applies to a call made at this moment."""
        return (self.from_ns is None or self.from_ns <= at_ns) and (self.until_ns is None or at_ns < self.until_ns)

    def hides(self, later: Override) -> bool:
        """Whether a later entry can never be reached because of this one. Says no when in doubt."""
        if "?" in self.model or "[" in self.model or self.provider not in {None, later.provider}:
            return False
        covers_start = self.from_ns is None or (later.from_ns is not None and self.from_ns <= later.from_ns)
        covers_end = self.until_ns is None or (later.until_ns is not None and later.until_ns <= self.until_ns)
        return covers_start and covers_end and self._pattern.match(later.model.lower()) is not None


class Overrides(NamedTuple):
    """The entries of an override file, in its order: the first that matches and is valid wins."""

    entries: tuple[Override, ...] = ()
    version: str | None = None

    def matching(self, provider: str | None, models: Sequence[str]) -> list[Override]:
        """Return the entries about a call whose model goes by these names."""
        return [entry for entry in self.entries if any(entry.matches(provider, model) for model in models)]

    def terms(self, entry: Override) -> Terms:
        """Return what a price of this entry says about itself."""
        return Terms(SOURCE_OVERRIDE, self.version, entry.currency)
