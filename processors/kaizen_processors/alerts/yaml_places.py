"""A YAML file as plain values, and a table of where each stands.

Aliases may make a small file huge and a value contain itself: both are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

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


class Document(NamedTuple):
    """What a file holds.

    Attributes:
        value: plain values; what is wrong is left out.
        places: `file:line:column` of everything in it.
        problems: what is wrong in it, each with its place.
    """

    value: Any
    places: dict[Way, str]
    problems: list[str]


def read_yaml(path: Path) -> Document:
    """Read a file.

    Raises:
        YamlError: it cannot be read at all.
    """
    text = _text(path)
    loader = SafeLoader(text)
    try:
        root = loader.get_single_node()
        reader = _Plain(path, loader)
        reader.places[()] = f"{path}:1:1"  # an empty file has no node
        return Document(None if root is None else reader.value(root, ()), reader.places, reader.problems)
    except (YAMLError, RecursionError) as error:
        raise YamlError(_no_yaml(path, error)) from error
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


def _no_yaml(path: Path, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else f"{path}"
    return f"{place}: is not YAML: {getattr(error, 'problem', None) or error}"


class _Plain:
    """Builds plain values of nodes and notes their places."""

    def __init__(self, path: Path, loader: SafeLoader) -> None:
        self.places: dict[Way, str] = {}
        self.problems: list[str] = []
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
        except ValueError:  # 2026-02-31 is no date: a text then, and whoever wants a date says so
            return node.value
        except YAMLError as error:
            self.problems.append(_no_yaml(self._path, error))
            return None

    def _mapping(self, node: MappingNode, way: Way) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node.value, str) else None
            if key is None:
                self.problems.append(f"{self._place(key_node)}: a key must be one word")
            elif key in found:
                self.problems.append(f"{self._place(key_node)}: `{key}` is there twice")
            else:
                found[key] = self.value(value_node, (*way, key))
                self.places[(*way, key)] = self._place(key_node)
        return found

    def _place(self, node: Node) -> str:
        mark = node.start_mark
        return f"{self._path}:{mark.line + 1}:{mark.column + 1}"
