"""Basic redaction: what must not leave the process is replaced before it enters a span or an event.

`Redactor` knows secrets by the name of their key, API keys and tokens, e-mail addresses and payment cards, and takes an
application's own keys and patterns. It works on text (`text`) and on nested values (`value`), of which it builds a new,
bounded copy: the application's own objects are never changed, never kept, and never asked for their `str()`.
"""

from __future__ import annotations

from kaizen_processors.redaction.copying import CopyLimits, JsonValue, bounded_copy
from kaizen_processors.redaction.redactor import RedactionError, Redactor
from kaizen_processors.redaction.rules import marker

__all__ = ["CopyLimits", "JsonValue", "RedactionError", "Redactor", "bounded_copy", "marker"]
