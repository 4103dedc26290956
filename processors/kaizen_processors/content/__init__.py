"""Content of model calls in the shapes of the GenAI conventions: redacted, bounded, off unless asked for.

`ContentEncoder` turns OpenAI-style messages, which is what Kaizen passes around, into `gen_ai.input.messages`,
`gen_ai.output.messages`, `gen_ai.system_instructions` and `gen_ai.tool.definitions`: JSON text for spans, structured
values for events. `ContentPolicy` says whether, how much, and what is redacted.
"""

from __future__ import annotations

from kaizen_processors.content.encoder import ContentEncoder, ContentValue, encode_messages
from kaizen_processors.content.policy import ContentError, ContentMode, ContentPolicy

__all__ = ["ContentEncoder", "ContentError", "ContentMode", "ContentPolicy", "ContentValue", "encode_messages"]
