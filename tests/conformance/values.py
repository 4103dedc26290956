"""Whether values are what the registry says: types, members of enums, limits."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kaizen_semconv.registry import AttributeModel, Level, Registry

_PYTHON: dict[str, type] = {"string": str, "int": int, "double": float, "boolean": bool}
_ARRAY = "[]"


def check_attributes(attributes: Mapping[str, Any], levels: Mapping[str, Level], registry: Registry) -> Iterator[str]:
    """Keys that do not belong there, keys that are missing, and values that are wrong."""
    for key, value in attributes.items():
        if key not in registry.attributes:
            yield f"unknown attribute {key}"
        elif key not in levels:
            yield f"attribute {key} does not belong here"
        else:
            yield from check_value(value, registry.attributes[key])
    for key, level in levels.items():
        if level == "required" and key not in attributes:
            yield f"required attribute {key} is missing"


def check_value(value: Any, attribute: AttributeModel) -> Iterator[str]:
    """At most one breach of one attribute."""
    if attribute.type == "any":
        return
    if attribute.type.endswith(_ARRAY):
        yield from _check_array(value, attribute)
        return
    # `type`, not isinstance: True is no int here, and 1 is no double.
    if type(value) is not _PYTHON[attribute.type] and not _is_enum_string(value, attribute):
        yield f"attribute {attribute.key} is {type(value).__name__}, not {attribute.type}: {value!r}"
    elif attribute.values and not attribute.open and value not in attribute.values:
        yield f"attribute {attribute.key} is {value!r}, none of {', '.join(sorted(attribute.values))}"
    elif attribute.pattern and not re.fullmatch(attribute.pattern, value):
        yield f"attribute {attribute.key} is {value!r}, which does not match {attribute.pattern}"
    elif isinstance(value, (int, float)) and not within(value, attribute.limits):
        yield f"attribute {attribute.key} is {value!r}, outside {attribute.limits}"


def within(value: float, limits: tuple[float, float]) -> bool:
    """Whether a number is finite and inside its limits."""
    low, high = limits
    return math.isfinite(value) and low <= value <= high


def _check_array(value: Any, attribute: AttributeModel) -> Iterator[str]:
    item_type = _PYTHON[attribute.type.removesuffix(_ARRAY)]
    if not isinstance(value, (list, tuple)) or any(type(item) is not item_type for item in value):
        yield f"attribute {attribute.key} is {value!r}, not {attribute.type}"


def _is_enum_string(value: Any, attribute: AttributeModel) -> bool:
    """A StrEnum member goes out as the string it is."""
    return attribute.type == "string" and isinstance(value, str)
