"""Rules from dictionaries and from a YAML file, each problem with its place and what is allowed.

A file is read once into plain values and a table of where each stands; from there on both go the same way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.alerts.budget import Budget
from kaizen_processors.alerts.conditions import Condition, ConditionError
from kaizen_processors.alerts.durations import parse_duration
from kaizen_processors.alerts.parsing import checked_constants
from kaizen_processors.alerts.rules import Rule, RuleError
from kaizen_processors.alerts.silences import Silence, SilenceError
from kaizen_processors.alerts.yaml_places import Way, YamlError, read_yaml
from kaizen_processors.spelling import closest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PLACE: Final = re.compile(r".*?:([0-9]+):([0-9]+): ")
_FILE_KEYS: Final = ("constants", "rules", "budgets", "silences")
_RULE_KEYS: Final = (
    "name",
    "condition",
    "time_window",
    "for",
    "keep_firing_for",
    "min_executions",
    "group_by",
    "severity",
    "labels",
    "annotations",
    "channels",
    "auto_mitigation",
    "mitigation_actions",
)
_BUDGET_KEYS: Final = ("name", "limit_usd", "period", "timezone", "per", "at", "channels")
_SILENCE_KEYS: Final = ("matchers", "starts_at", "ends_at", "comment", "created_by")
_DURATIONS: Final = {"time_window": "window_s", "for": "for_s", "keep_firing_for": "keep_firing_for_s"}
_PLAIN: Final = ("min_executions", "group_by", "severity")
MAX_RULES: Final = 1_000

_STAND_IN: Final = "stand_in"
"""The name that is tried where there is none: the rest of the entry is to be checked all the same."""

_NO_CONDITION: Final = Condition("executions >= 0")
_ANYBODY: Final = ('a="b"',)
_NEVER: Final = "9999-12-31T00:00:00Z"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What a file of rules says."""

    rules: tuple[Rule, ...] = ()
    budgets: tuple[Budget, ...] = ()
    silences: tuple[Silence, ...] = ()


def read_rules(path: str | Path, *, constants: Mapping[str, float] | None = None) -> RuleSet:
    """Read and check a file of rules.

    Args:
        path: the file.
        constants: further constants that conditions may use.

    Raises:
        RuleError: it cannot be used; the message has a line for each problem, `file:line:column: what`.
    """
    path = Path(path)
    try:
        document = read_yaml(path)
    except YamlError as error:
        raise RuleError((str(error),)) from error
    return _Reader(str(path), document.places, document.problems).rule_set(document.value, constants)


def rules_from(
    data: Mapping[str, Any], *, constants: Mapping[str, float] | None = None, where: str = "rules"
) -> RuleSet:
    """Read and check a dictionary with the keys of a file: `rules`, `constants`, `budgets`, `silences`.

    Args:
        data: the dictionary.
        constants: further constants that conditions may use.
        where: what messages call the dictionary.

    Raises:
        RuleError: it cannot be used.
    """
    return _Reader(where, {}, ()).rule_set(data, constants or {})


class _Reader:
    """Turns plain values into rules and collects all that is wrong: a problem hides no other one."""

    def __init__(self, source: str, places: Mapping[Way, str], problems: Iterable[str]) -> None:
        self._source = source
        self._places = places
        self._problems = list(problems)

    def rule_set(self, data: object, constants: Mapping[str, float] | None = None) -> RuleSet:
        top = self._mapping(data, _FILE_KEYS, ())
        known = self._constants(top.get("constants", {}), constants or {})
        if not top.get("rules") and not top.get("budgets") and not self._problems:
            self._problem(("rules",), "there is no rule; expected a list of them")
        rules = [self._rule(given, way, known) for way, given in self._entries(top, "rules")]
        budgets = [self._budget(given, way) for way, given in self._entries(top, "budgets")]
        silences = [self._silence(given, way) for way, given in self._entries(top, "silences")]
        for what in ("rules", "budgets"):
            self._refuse_twins(self._entries(top, what))
        if self._problems:
            raise RuleError(tuple(sorted(dict.fromkeys(self._problems), key=_position)))
        return RuleSet(tuple(filter(None, rules)), tuple(filter(None, budgets)), tuple(filter(None, silences)))

    def _entries(self, top: Mapping[str, Any], what: str) -> list[tuple[Way, Any]]:
        return [((what, index), given) for index, given in enumerate(self._list(top.get(what, []), (what,)))]

    def _constants(self, given: object, further: Mapping[str, float]) -> dict[str, float]:
        if not isinstance(given, dict):
            self._problem(("constants",), "must be a mapping of names to numbers")
            given = {}
        known = checked_constants(further)
        for name, value in given.items():
            try:
                known |= checked_constants({name: value})
            except ValueError as error:
                self._problem(("constants", name), str(error))
        return known

    def _rule(self, given: object, path: Way, constants: Mapping[str, float]) -> Rule | None:
        before = len(self._problems)
        entry = self._mapping(given, _RULE_KEYS, path)
        if not isinstance(given, dict):
            return None
        self._refuse_missing(("name", "condition"), entry, path)
        fields: dict[str, Any] = {"name": entry.get("name", _STAND_IN)}
        fields["condition"] = self._condition(entry, path, constants) if "condition" in entry else _NO_CONDITION
        for key, name in _DURATIONS.items():
            if key in entry and (seconds := self._duration(entry[key], (*path, key))) is not None:
                fields[name] = seconds
        fields |= {key: entry[key] for key in _PLAIN if key in entry}
        fields |= {key: self._texts(entry[key], (*path, key)) for key in ("labels", "annotations") if key in entry}
        if "channels" in entry:
            fields["channels"] = tuple(self._list(entry["channels"], (*path, "channels")))
        self._refuse_mitigation(entry, path)
        try:
            rule = Rule(**fields)
        except RuleError as error:
            self._from_rule(error, path)
        return rule if len(self._problems) == before else None

    def _refuse_missing(self, keys: Iterable[str], entry: Mapping[str, Any], path: Way) -> None:
        for key in keys:
            if key not in entry:
                self._problem(path, f"`{key}` is missing")

    def _from_rule(self, error: RuleError, path: Way) -> None:
        for problem in error.problems:
            _, key, what = problem.split(": ", 2)
            self._problem((*path, *key.split(".", 1)), f"`{key}` {what}")

    def _condition(self, entry: Mapping[str, Any], path: Way, constants: Mapping[str, float]) -> Condition:
        try:
            return Condition(entry["condition"], constants)
        except ConditionError as error:
            for problem in error.problems:
                self._problem((*path, "condition"), problem)
            return _NO_CONDITION

    def _duration(self, given: object, path: Way) -> float | None:
        seconds = parse_duration(given)
        if seconds is None:
            self._problem(
                path, f"`{path[-1]}` cannot be {_shown(given)}; allowed: a duration such as 30s, 5m, 1h30m, 1d"
            )
        return seconds

    def _texts(self, given: object, path: Way) -> dict[str, str]:
        if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
            self._problem(path, f"`{path[-1]}` must be a mapping of names to texts")
            return {}
        return given

    def _refuse_mitigation(self, entry: Mapping[str, Any], path: Way) -> None:
        # Details of what is off are accepted, as everywhere in the settings.
        if entry.get("auto_mitigation", False) is not False:
            self._problem((*path, "auto_mitigation"), "`auto_mitigation` is not available yet; allowed: false")

    def _refuse_twins(self, entries: list[tuple[Way, Any]]) -> None:
        seen: set[str] = set()
        for way, given in entries:
            name = given.get("name") if isinstance(given, dict) else None
            if isinstance(name, str):
                if name in seen:
                    self._problem((*way, "name"), f"there are two {way[0]} named `{name}`")
                seen.add(name)

    def _budget(self, given: object, path: Way) -> Budget | None:
        before = len(self._problems)
        entry = self._mapping(given, _BUDGET_KEYS, path)
        if not isinstance(given, dict):
            return None
        self._refuse_missing(("name", "limit_usd"), entry, path)
        for key in {"at", "channels"} & entry.keys():
            listed = entry.pop(key)
            self._list(listed, (*path, key))
            if isinstance(listed, list | tuple):
                entry[key] = tuple(listed)
        limit = entry.get("limit_usd", 1)
        fields = {"name": _STAND_IN} | entry | {"limit_usd": repr(limit) if isinstance(limit, float) else limit}
        try:
            budget = Budget(**fields)
        except RuleError as error:
            self._from_rule(error, path)
        return budget if len(self._problems) == before else None

    def _silence(self, given: object, path: Way) -> Silence | None:
        before = len(self._problems)
        entry = self._mapping(given, _SILENCE_KEYS, path)
        if not isinstance(given, dict):
            return None
        # Part by part, with stand-ins for the others: a silence by itself names only the first that is wrong.
        matchers = entry.get("matchers", ())
        for part in [[one] for one in matchers] if isinstance(matchers, list) and matchers else [matchers]:
            self._try_silence({"matchers": part, "ends_at": _NEVER}, path)
        self._try_silence({"matchers": _ANYBODY, "ends_at": entry.get("ends_at")}, path)
        self._try_silence({"matchers": _ANYBODY, "starts_at": entry.get("starts_at"), "ends_at": _NEVER}, path)
        return self._try_silence(entry, path) if len(self._problems) == before else None

    def _try_silence(self, parts: Mapping[str, Any], path: Way) -> Silence | None:
        try:
            return Silence.of(**parts)
        except SilenceError as error:
            self._problem((*path, error.key), f"`{error.key}` {error}")
            return None

    def _mapping(self, given: object, allowed: Iterable[str], path: Way) -> dict[str, Any]:
        names = list(allowed)
        if not isinstance(given, dict):
            self._problem(path, f"must be a mapping with {_listed(names)}")
            return {}
        found: dict[str, Any] = {}
        for key, value in given.items():
            if key in names:
                found[key] = value
                continue
            close = closest(key, names)
            hint = "" if close is None else f" Did you mean `{close}`?"
            self._problem((*path, key), f"unknown key {_shown(key)}.{hint} Allowed: {_listed(names)}")
        return found

    def _list(self, given: object, path: Way) -> list[Any]:
        if not isinstance(given, list | tuple):
            self._problem(path, f"`{path[-1]}` must be a list")
            return []
        if len(given) > MAX_RULES:
            self._problem(path, f"`{path[-1]}` has more than {MAX_RULES} entries")
            return []
        return list(given)

    def _problem(self, path: Way, what: str) -> None:
        self._problems.append(f"{self._place(path)}: {what}")

    def _place(self, path: Way) -> str:
        # What is missing has no place of its own: that of what it is missing from.
        for length in range(len(path), -1, -1):
            if path[:length] in self._places:
                return self._places[path[:length]]
        return self._source + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _position(problem: str) -> tuple[int, int]:
    """Where it stands in a file; what has no such place comes first."""
    found = _PLACE.match(problem)
    return (0, 0) if found is None else (int(found[1]), int(found[2]))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _shown(value: object) -> str:
    text = ascii(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:79]}…"  # noqa: PLR2004 - one line
