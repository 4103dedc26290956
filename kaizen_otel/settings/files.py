"""Reading a settings file: YAML or TOML, by its suffix; every value with its line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from kaizen_otel.settings.errors import SettingsError, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kaizen_otel.settings.errors import Refusals

Lined = dict[str, tuple[Any, int]]
"""Key → its value and the line that it stands on."""

_MAX_BYTES: Final = 1 << 20
_MAX_PATH: Final = 4_096
"""Characters of a path that are shown: all of one that the system takes."""


def read_file(path: Path, *, where: str, refusals: Refusals) -> Lined:
    """Read the top-level keys of a settings file.

    Args:
        path: the file.
        where: the place that named it.
        refusals: where mistakes are noted that leave the rest readable.

    Raises:
        SettingsError: it cannot be read, is not YAML or TOML, or is not a table of settings.
    """
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        message = f"{where}: {shown(str(path), _MAX_PATH)} is no settings file; allowed: {', '.join(_PARSERS)}"
        raise SettingsError(message, key="config_file", where=where)
    return parse(path, _text(path, where), refusals)


def _text(path: Path, where: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{where}: cannot read {shown(str(path), _MAX_PATH)}: {reason}"
        raise SettingsError(message, key="config_file", where=where) from error
    if len(content) > _MAX_BYTES:
        raise SettingsError(f"{path}: longer than {_MAX_BYTES} bytes", key="config_file", where=str(path))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _broken(path, line, "not UTF-8") from error


def _yaml(path: Path, text: str, refusals: Refusals) -> Lined:
    import yaml  # noqa: PLC0415 - only those who have a YAML file pay for it

    try:
        # The node graph keeps the line of each key, which the loaded dictionary has lost.
        loader = yaml.SafeLoader(text)
        try:
            return _yaml_table(path, loader, refusals)
        finally:
            loader.dispose()
    except SettingsError:
        raise
    except yaml.YAMLError as error:
        raise _broken(path, _yaml_line(error), _one_line(str(getattr(error, "problem", None) or error))) from error
    except Exception as error:  # PyYAML lets RecursionError and others through
        raise _broken(path, 1, f"{type(error).__name__} in a value") from error


def _yaml_table(path: Path, loader: Any, refusals: Refusals) -> Lined:
    import yaml  # noqa: PLC0415 - as above

    root = loader.get_single_node()
    if root is None or root.tag == "tag:yaml.org,2002:null":
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise _broken(path, root.start_mark.line + 1, "not a table of settings")
    table: Lined = {}
    for key_node, value_node in root.value:
        line = key_node.start_mark.line + 1
        # By its spelling: a bare `on` or `1` as a key is no setting, and the error should show what stands there.
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a key that is no text"
        if key in table:
            refusals.note(_broken(path, line, f"{shown(key)} stands twice"))
            continue
        try:
            table[key] = (loader.construct_object(value_node, deep=True), line)
        except yaml.YAMLError as error:
            why = _one_line(str(getattr(error, "problem", None) or error))
            refusals.note(_broken(path, _yaml_line(error) or line, why))
        except Exception as error:  # noqa: BLE001 - PyYAML lets ValueError, TypeError … of its constructors through
            refusals.note(_broken(path, line, f"{type(error).__name__} in a value"))
    return table


def _yaml_line(error: Any) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return mark.line + 1 if mark is not None else 1


def _toml(path: Path, text: str, refusals: Refusals) -> Lined:  # noqa: ARG001 - its parser stops at the first
    import tomllib  # noqa: PLC0415 - only those who have a TOML file pay for it

    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        found = re.search(r"\(at line ([0-9]+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise _broken(path, line, _one_line(str(error))) from error
    return {key: (value, _toml_line(text, key)) for key, value in table.items()}


def _toml_line(text: str, key: str) -> int:
    # tomllib keeps no lines. A top-level key starts its line, bare or quoted, or heads a table.
    start = re.compile(rf"^\s*\[*\s*[\"']?{re.escape(key)}[\"']?\s*[=.\]]", re.MULTILINE)
    found = start.search(text)
    return text.count("\n", 0, found.end()) + 1 if found else 1


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _broken(path: Path, line: int, why: str) -> SettingsError:
    place = f"{path}:{line}"
    return SettingsError(f"{place}: {why}", key="config_file", where=place)


_PARSERS: Final[dict[str, Callable[[Path, str, Refusals], Lined]]] = {".yaml": _yaml, ".yml": _yaml, ".toml": _toml}
