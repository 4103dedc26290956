"""What a model call costs: exact integers from published rates, from the user's own file, or from the provider."""

from __future__ import annotations

from kaizen_processors.pricing.book import PriceBook
from kaizen_processors.pricing.overrides import Overrides, PriceFileError
from kaizen_processors.pricing.price import Price

__all__ = ["Overrides", "Price", "PriceBook", "PriceFileError"]
