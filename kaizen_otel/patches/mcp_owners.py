"""Whose a server of the MCP SDK is: Kailash's are watched, all others are left alone.

Those that Kailash makes or runs while we watch are noted then. One that was made before is known by what it serves:
what Kailash registers with it are functions of its own, around the application's.
"""

from __future__ import annotations

from itertools import islice
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.invocations.values import attribute_of, bounded_text
from kaizen_otel.patches.by_identity import ByIdentity

if TYPE_CHECKING:
    from collections.abc import Iterator

_OURS: ByIdentity[bool] = ByIdentity()
"""Whether one of the SDK's low-level servers is Kailash's, where that is decided."""

_REGISTRIES: Final = (
    ("_tool_manager", "_tools"),
    ("_resource_manager", "_resources"),
    ("_resource_manager", "_templates"),
    ("_prompt_manager", "_prompts"),
)
"""Where a FastMCP keeps what it serves, by name (mcp 1.30)."""

_KAILASH: Final = ("kailash_mcp.", "kailash.trust.plane.mcp_server")
"""Modules whose functions Kailash registers with the SDK's servers: its servers', its platform's, its trust plane's."""

_MAX_LOOKED_AT: Final = 64
"""Handlers of a server, and entries of a registry, that are looked at."""

_MAX_WRAPPERS: Final = 8


def note_server(server: Any) -> None:
    """Remember that this FastMCP is Kailash's."""
    low = attribute_of(server, "_mcp_server")
    if low is not None:
        _OURS.put(low, True)


def is_kailash(low: Any) -> bool:
    """Whether a low-level server is Kailash's; looked up once for each.

    Raises:
        TypeError: nothing can refer weakly to it.
    """
    known = _OURS.get(low)
    if known is None:
        known = any(_of_kailash(function) for function in _served_by(low))
        _OURS.put(low, known)
    return known


def _served_by(low: Any) -> Iterator[Any]:
    """The functions that are registered with the FastMCP above a low-level server."""
    fast = _fast_above(low)
    for holder, name in _REGISTRIES:
        registry = attribute_of(attribute_of(fast, holder), name)
        if type(registry) is dict:
            yield from (attribute_of(entry, "fn") for entry in islice(list(registry.values()), _MAX_LOOKED_AT))


def _fast_above(low: Any) -> Any:
    """The FastMCP whose methods answer for a low-level server, which holds them in the closures of its handlers."""
    handlers = attribute_of(low, "request_handlers")
    looked_at = list(islice(list(handlers.values()), _MAX_LOOKED_AT)) if type(handlers) is dict else []
    for function in looked_at:  # grows by what is found inside
        if type(function) is not FunctionType or len(looked_at) > 4 * _MAX_LOOKED_AT:
            continue
        for cell in function.__closure__ or ():
            held = _content(cell)
            if type(held) is MethodType and attribute_of(held.__self__, "_mcp_server") is low:
                return held.__self__
            looked_at.append(held)
    return None


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _of_kailash(function: Any) -> bool:
    """Whether a function, or what it wraps, stands in a module of Kailash's."""
    for _ in range(_MAX_WRAPPERS):
        if type(function) is not FunctionType:
            return False
        module = bounded_text(function.__globals__.get("__name__")) or ""
        if module.startswith(_KAILASH):
            return True
        function = attribute_of(function, "__wrapped__")
    return False
