"""A YAML file as plain values, and a table of where each stands.

Aliases may make a small file huge and a value contain itself: both are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from yaml import SafeLoader, YAMLError
from yaml.nodes import MappingNode, Node, SequenceNode

if TYPE_CHECKING:
    from pathlib import Path

Way = tuple["str | int", ...]
"""The way to a value: `("rules", 0, "name")`."""

MAX_BYTES: Final = 1_000_000
_MAX_NODES: Final = 50_000
_MAX_DEPTH: Final = 20


class YamlError(ValueError):
    """A file cannot be read as YAML: `file:line:column: what`."""


def read_yaml(path: Path) -> tuple[Any, dict[Way, str]]:
    """Read a file: its value, and `file:line:column` of everything in it.

    Raises:
        YamlError: it cannot be read.
    """
    text = _text(path)
    loader = SafeLoader(text)
    try:
        root = loader.get_single_node()
        reader = _Plain(path, loader)
        reader.places[()] = f"{path}:1:1"  # an empty file has no node
        return (None if root is None else reader.value(root, ())), reader.places
    except (YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else f"{path}"
        raise YamlError(f"{place}: is not YAML: {getattr(error, 'problem', None) or error}") from error
    finally:
        loader.dispose()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise YamlError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise YamlError(f"{path}: is larger than {MAX_BYTES} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise YamlError(f"{path}: is not UTF-8 text") from error


class _Plain:
    """Builds plain values of nodes and notes their places."""

    def __init__(self, path: Path, loader: SafeLoader) -> None:
        self.places: dict[Way, str] = {}
        self._path = path
        self._loader = loader
        self._nodes = 0

    def value(self, node: Node, way: Way) -> Any:
        self.places[way] = self._place(node)
        self._nodes += 1
        if self._nodes > _MAX_NODES or len(way) > _MAX_DEPTH:
            raise YamlError(f"{self._place(node)}: has more than {_MAX_NODES} values or {_MAX_DEPTH} levels")
        if isinstance(node, MappingNode):
            return self._mapping(node, way)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*way, index)) for index, item in enumerate(node.value)]
        try:
            return self._loader.construct_object(node)
        except ValueError as error:  # 2026-02-31
            raise YamlError(f"{self._place(node)}: {node.value!r} cannot be read: {error}") from error

    def _mapping(self, node: MappingNode, way: Way) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node.value, str) else None
            if key is None:
                raise YamlError(f"{self._place(key_node)}: a key must be one word")
            if key in found:
                raise YamlError(f"{self._place(key_node)}: `{key}` is there twice")
            found[key] = self.value(value_node, (*way, key))
            self.places[(*way, key)] = self._place(key_node)
        return found

    def _place(self, node: Node) -> str:
        mark = node.start_mark
        return f"{self._path}:{mark.line + 1}:{mark.column + 1}"
