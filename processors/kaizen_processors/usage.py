"""What a model call used, as its provider reported it."""

from __future__ import annotations


class Usage:
    """Token counts of one model call. `None` means that the provider did not say; nothing is guessed.

    The numbers follow the OpenTelemetry GenAI conventions: `input_tokens` **includes** cached and audio input,
    `output_tokens` **includes** reasoning and audio output. The others are details of those two.
    """

    __slots__ = (
        "cache_read_tokens",
        "cache_write_tokens",
        "input_audio_tokens",
        "input_tokens",
        "output_audio_tokens",
        "output_tokens",
        "reasoning_tokens",
    )

    def __init__(  # noqa: PLR0913 - a record: each argument is a field
        self,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        *,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        input_audio_tokens: int | None = None,
        output_audio_tokens: int | None = None,
    ) -> None:
        """Hold the counts; see the class for their meaning."""
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.cache_read_tokens = cache_read_tokens
        self.cache_write_tokens = cache_write_tokens
        self.reasoning_tokens = reasoning_tokens
        self.input_audio_tokens = input_audio_tokens
        self.output_audio_tokens = output_audio_tokens

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Usage) and all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # compared by value, never a key

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={getattr(self, name)}" for name in self.__slots__ if getattr(self, name) is not None)
        return f"Usage({given})"
