"""Content of model calls: off by default, redacted and bounded before it enters a span or an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen_processors.redaction import Redactor

if TYPE_CHECKING:
    from kaizen_otel.invocations.call import CallInvocation
    from kaizen_otel.telemetry import Telemetry


class ContentWriter:
    """Writes the content of calls as the settings say."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Write for this telemetry."""
        self._telemetry = telemetry
        settings = telemetry.settings
        patterns = {f"pattern_{number}": pattern for number, pattern in enumerate(settings.redact_patterns, 1)}
        self._redactor = Redactor(keys=settings.redact_keys, patterns=patterns)

    def redacted(self, text: str) -> str:
        """A text as it may leave the process."""
        return self._redactor.text(text)

    def describe_call(self, call: CallInvocation) -> None:
        """Put a call's messages where the settings say."""
