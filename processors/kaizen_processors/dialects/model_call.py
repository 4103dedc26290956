"""What a span of another library says of one model call, whatever dialect it is written in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN_PROVIDER: Final = "unknown"

MAX_TEXT_CHARS: Final = 256
"""Longer names are cut: they become keys of the ledger and labels of metrics."""

MAX_COUNT: Final = 2**63 - 1
"""The largest count that an OpenTelemetry integer attribute can hold."""

Attributes = dict[str, Any]
"""A plain copy of a span's attributes. Their values are anything that the other library put there."""


class ModelCall:
    """One model call as its span tells it. None is what the span does not say; nothing is guessed."""

    __slots__ = ("error_type", "operation", "provider", "request_model", "response_model", "usage")

    def __init__(
        self,
        operation: str,
        *,
        provider: str | None = None,
        request_model: str | None = None,
        response_model: str | None = None,
        usage: Usage | None = None,
        error_type: str | None = None,
    ) -> None:
        """Hold the call; operation and provider are values of `gen_ai.operation.name` and `gen_ai.provider.name`."""
        self.operation = operation
        self.provider = provider
        self.request_model = request_model
        self.response_model = response_model
        self.usage = Usage() if usage is None else usage
        self.error_type = error_type


class UsageNames:
    """Under which names a dialect reports each count; of several, the first that is there."""

    __slots__ = (
        "cache_read",
        "cache_write",
        "input",
        "input_audio",
        "output",
        "output_audio",
        "reasoning",
    )

    def __init__(  # noqa: PLR0913 - a table: each argument is a row
        self,
        *,
        input: tuple[str, ...],  # noqa: A002 - the name of the count
        output: tuple[str, ...],
        cache_read: tuple[str, ...] = (),
        cache_write: tuple[str, ...] = (),
        reasoning: tuple[str, ...] = (),
        input_audio: tuple[str, ...] = (),
        output_audio: tuple[str, ...] = (),
    ) -> None:
        """Hold the table."""
        self.input = input
        self.output = output
        self.cache_read = cache_read
        self.cache_write = cache_write
        self.reasoning = reasoning
        self.input_audio = input_audio
        self.output_audio = output_audio

    def read(self, attributes: Attributes) -> Usage:
        """Read the counts that are there."""
        return Usage(
            count(attributes, self.input),
            count(attributes, self.output),
            cache_read_tokens=count(attributes, self.cache_read),
            cache_write_tokens=count(attributes, self.cache_write),
            reasoning_tokens=count(attributes, self.reasoning),
            input_audio_tokens=count(attributes, self.input_audio),
            output_audio_tokens=count(attributes, self.output_audio),
        )


def count(attributes: Attributes, names: tuple[str, ...]) -> int | None:
    """Give the first of these attributes that holds a count: an `int` from 0 on, nothing that only resembles one."""
    for name in names:
        value = attributes.get(name)
        if type(value) is int and 0 <= value <= MAX_COUNT:
            return value
    return None


def text(attributes: Mapping[str, Any], *names: str) -> str | None:
    """Give the first of these attributes that holds a text which is not empty."""
    for name in names:
        value = attributes.get(name)
        if type(value) is str and value:
            return value if len(value) <= MAX_TEXT_CHARS else value[:MAX_TEXT_CHARS]
    return None
