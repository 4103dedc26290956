"""What a price costs in time: the price book against genai-prices itself, and against a plain multiplication.

Run: python benchmarks/pricing.py [--seconds 1.0]
"""

from __future__ import annotations

import argparse
import timeit
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import genai_prices

from kaizen_processors.pricing import PriceBook
from kaizen_processors.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
AT_NS = int(AT.timestamp()) * 10**9
BATCH = 500

CASES = [
    ("input and output", "openai", "gpt-4o", Usage(1200, 300)),
    ("all details reported", "openai", "gpt-4o", Usage(1200, 300, cache_read_tokens=200, reasoning_tokens=0)),
    ("no cache rates", "anthropic", "claude-2", Usage(1200, 300)),
    ("two tiers", "openai", "gpt-5.4", Usage(1200, 300, cache_read_tokens=200)),
    ("audio", "openai", "gpt-realtime", Usage(1200, 300, input_audio_tokens=100, output_audio_tokens=50)),
    ("reasoning rate", "perplexity", "sonar-deep-research", Usage(1200, 300, reasoning_tokens=200)),
    ("by time of day", "deepseek", "deepseek-chat", Usage(1200, 300)),
    ("unknown model", "ollama", "llama3.2", Usage(1200, 300)),
]


def microseconds(call: Callable[[], object], seconds: float) -> float:
    """Best time of one call among as many batches as fit: the least disturbed one says what the code costs."""
    once = max(timeit.timeit(call, number=BATCH), 1e-9)
    rounds = max(5, int(seconds / once))
    return min(timeit.repeat(call, number=BATCH, repeat=rounds)) / BATCH * 1e6


def theirs(usage: Usage) -> genai_prices.Usage:
    given = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "output_reasoning_tokens": usage.reasoning_tokens,
        "input_audio_tokens": usage.input_audio_tokens,
        "output_audio_tokens": usage.output_audio_tokens,
    }
    return genai_prices.Usage(**{name: count for name, count in given.items() if count is not None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each figure")
    seconds = parser.parse_args().seconds

    nothing = microseconds(lambda: None, seconds)
    book = PriceBook()
    print(f"{'case':24}{'cached µs':>12}{'first µs':>12}{'genai-prices µs':>18}{'ratio':>9}")
    for name, provider, model, usage in CASES:

        def cached(provider: str = provider, model: str = model, usage: Usage = usage) -> object:
            return book.price(provider, model, usage, AT_NS)

        def first(provider: str = provider, model: str = model, usage: Usage = usage) -> object:
            book._cache.clear()  # noqa: SLF001 - the cost of a miss, with the data loaded
            return book.price(provider, model, usage, AT_NS)

        def peer(provider: str = provider, model: str = model, usage: Usage = usage) -> object:
            try:
                return genai_prices.calc_price(theirs(usage), model, provider_id=provider, genai_request_timestamp=AT)
            except LookupError:
                return None

        cached()
        ours, miss, other = (microseconds(call, seconds) - nothing for call in (cached, first, peer))
        print(f"{name:24}{ours:12.2f}{miss:12.1f}{other:18.1f}{other / ours:8.0f}x")
    taken, given, input_rate, output_rate = 1200, 300, 25 * 10**17, 10**19
    bare = microseconds(lambda: taken * input_rate + given * output_rate, seconds) - nothing
    print(
        f"\nfor scale: the two multiplications alone {bare:.2f} µs. An empty call ({nothing:.2f} µs) is taken off each."
    )


if __name__ == "__main__":
    main()
