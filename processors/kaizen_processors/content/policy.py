"""Whether content is captured, where it goes, how large it may be, and what is redacted from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from kaizen_processors.redaction import Redactor

MIN_MESSAGE_BYTES = 256
OVERHEAD_BYTES = 256
"""Brackets, and the note of what was left out."""


class ContentError(ValueError):
    """A content setting that cannot be used; the message names it and says why."""


class ContentMode(StrEnum):
    """Where content goes."""

    OFF = "off"
    """Nowhere; nothing is computed."""
    SPAN = "span"
    """Into attributes of the call's span, as JSON text."""
    EVENT = "event"
    """Into a `gen_ai.client.inference.operation.details` event, as structured values."""


@dataclass(frozen=True, slots=True)
class ContentPolicy:
    """What happens to the content of model calls.

    Args:
        mode: Where content goes; off by default. A text (`"span"`) becomes its `ContentMode`.
        max_bytes: Largest value of one attribute, in bytes of its UTF-8 JSON.
        max_message_bytes: Largest single message, part of system instructions, or tool definition.
        redactor: What is replaced before content enters a span or an event.

    Raises:
        ContentError: An unknown mode, or limits that leave no room for the system message and the last one.
    """

    mode: ContentMode | str = ContentMode.OFF
    max_bytes: int = 65_536
    max_message_bytes: int = 16_384
    redactor: Redactor = field(default_factory=Redactor)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "mode", ContentMode(self.mode))
        except ValueError as error:
            known = ", ".join(ContentMode)
            raise ContentError(f"content mode must be one of {known}; got {self.mode!r}") from error
        if self.max_message_bytes < MIN_MESSAGE_BYTES:
            raise ContentError(f"max_message_bytes must be at least {MIN_MESSAGE_BYTES}, got {self.max_message_bytes}")
        least = 2 * self.max_message_bytes + OVERHEAD_BYTES
        if self.max_bytes < least:
            raise ContentError(
                f"max_bytes must be at least {least}: the system message and the last one, of max_message_bytes"
                f" ({self.max_message_bytes}) each, are never dropped; got {self.max_bytes}"
            )

    @property
    def captures(self) -> bool:
        """Whether any content is captured."""
        return self.mode is not ContentMode.OFF
