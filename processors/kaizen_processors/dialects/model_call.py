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
        self.usage = usage or Usage()
        self.error_type = error_type


class UsageNames:
    """Under which names a dialect reports each count; of several, the first that is there.

    Args:
        names: for each field of `Usage` the attributes that may hold it.
    """

    __slots__ = ("_last_first", "names")

    def __init__(self, **names: tuple[str, ...]) -> None:
        """Hold the table."""
        self.names = names
        self._last_first = tuple((name, field) for field, given in names.items() for name in reversed(given))

    def read(self, attributes: Attributes) -> Usage:
        """Read the counts that are there: an `int` from 0 on, nothing that only resembles one."""
        usage = Usage()
        # Most names are not there: asking for each is cheaper than a call for each count.
        for name, field in self._last_first:
            if name in attributes:
                value = attributes[name]
                if type(value) is int and 0 <= value <= MAX_COUNT:
                    setattr(usage, field, value)
        return usage


def text(attributes: Mapping[str, Any], *names: str) -> str | None:
    """Give the first of these attributes that holds a text which is not empty."""
    for name in names:
        value = attributes.get(name)
        if type(value) is str and value:
            return value if len(value) <= MAX_TEXT_CHARS else value[:MAX_TEXT_CHARS]
    return None
