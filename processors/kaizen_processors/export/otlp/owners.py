"""Who made the telemetry: resources and instrumentation scopes, encoded once each.

There are few of them and each is named by every span, so their encodings are kept by identity. (Their own hash is no
help: a resource's is that of its JSON text, and takes longer than a span.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kaizen_processors.export.otlp.odd_values import mended_attributes, mended_text
from kaizen_processors.export.otlp.values import Attributes, attribute_fields
from kaizen_processors.export.otlp.wire import count_field, framed, text_field
from kaizen_processors.forking import begin_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

_MESSAGE = b"\x0a"
_SCHEMA_URL = b"\x1a"
_RESOURCE_ATTRIBUTES, _RESOURCE_LOST = b"\x0a", b"\x10"
_NAME, _VERSION, _SCOPE_ATTRIBUTES, _SCOPE_LOST = b"\x0a", b"\x12", b"\x1a", b"\x20"

_MAX_KNOWN: Final = 256


class Owner(NamedTuple):
    """A resource or a scope: what stands before the telemetry that it owns, and what stands after."""

    source: Any
    """Held so that its `id` stays its own."""
    head: bytes
    tail: bytes


class _Owners:
    """Encoded owners by the identity of what was encoded, a bounded number."""

    __slots__ = ("__weakref__", "_encode", "_known")

    def __init__(self, encode: Callable[[Any], tuple[bytes, bytes]]) -> None:
        self._encode = encode
        self._known: dict[int, Owner] = {}
        begin_anew_in_children(self)

    def after_fork_in_child(self) -> None:
        """Forget all: a resource may name another instance now."""
        self._known.clear()

    def __call__(self, source: Any) -> Owner:
        owner = self._known.get(id(source))
        if owner is None:
            owner = Owner(source, *self._encode(source))
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[id(source)] = owner
        return owner


def _encode_resource(resource: Resource | None) -> tuple[bytes, bytes]:
    if resource is None:
        return framed(_MESSAGE, b""), b""
    attributes = _attributes(_RESOURCE_ATTRIBUTES, _RESOURCE_LOST, lambda: resource.attributes)
    return framed(_MESSAGE, attributes), _text(_SCHEMA_URL, lambda: resource.schema_url)


def _encode_scope(scope: InstrumentationScope | None) -> tuple[bytes, bytes]:
    if scope is None:
        return framed(_MESSAGE, b""), b""
    message = (
        _text(_NAME, lambda: scope.name)
        + _text(_VERSION, lambda: scope.version)
        + _attributes(_SCOPE_ATTRIBUTES, _SCOPE_LOST, lambda: scope.attributes)
    )
    return framed(_MESSAGE, message), _text(_SCHEMA_URL, lambda: scope.schema_url)


def _attributes(tag: bytes, lost_tag: bytes, read: Callable[[], Attributes | None]) -> bytes:
    try:
        return attribute_fields(tag, read())
    except Exception:  # noqa: BLE001 - whatever it is, the telemetry must not be lost with its owner
        own = mended_attributes(read, lambda: 0)
        return attribute_fields(tag, own.values) + count_field(lost_tag, own.lost)


def _text(tag: bytes, read: Callable[[], str | None]) -> bytes:
    try:
        text = read()
        return text_field(tag, text) if text is not None else b""
    except Exception:  # noqa: BLE001 - as above
        return text_field(tag, mended_text(read) or "")


resource_owner: Final = _Owners(_encode_resource)
scope_owner: Final = _Owners(_encode_scope)
