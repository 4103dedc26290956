"""From a key of the registry to a name in Python."""

from __future__ import annotations

import re

_SEPARATOR = re.compile(r"[._\-]")


def constant(key: str) -> str:
    """`gen_ai.request.top_k` becomes `GEN_AI_REQUEST_TOP_K`."""
    return _SEPARATOR.sub("_", key).upper()


def class_name(key: str) -> str:
    """`gen_ai.operation.name` becomes `GenAiOperationName`."""
    return "".join(part.capitalize() for part in _SEPARATOR.split(key))
