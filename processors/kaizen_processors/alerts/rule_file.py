"""Rules from dictionaries and from a YAML file, each problem with its place and what is allowed.

A file is read once into plain values and a table of where each stands; from there on both go the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kaizen_processors.alerts.budget import Budget
from kaizen_processors.alerts.conditions import Condition, ConditionError
from kaizen_processors.alerts.durations import parse_duration
from kaizen_processors.alerts.parsing import checked_constants
from kaizen_processors.alerts.rules import Rule, RuleError
from kaizen_processors.alerts.silences import Silence, SilenceError
from kaizen_processors.alerts.yaml_places import Way, YamlError, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
        data, places = read_yaml(path)
    except YamlError as error:
        raise RuleError((str(error),)) from error
    return _Reader(str(path), places).rule_set(data, constants)


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
    return _Reader(where, {}).rule_set(data, constants or {})


class _Reader:
    """Turns plain values into rules and collects what is wrong."""

    def __init__(self, source: str, places: Mapping[Way, str]) -> None:
        self._source = source
        self._places = places
        self._problems: list[str] = []

    def rule_set(self, data: object, constants: Mapping[str, float] | None = None) -> RuleSet:
        top = self._mapping(data, _FILE_KEYS, ())
        known = self._constants(top.get("constants", {}), constants or {})
        if not top.get("rules") and not top.get("budgets") and not self._problems:
            self._problem(("rules",), "there is no rule; expected a list of them")
        rules = []
        for index, given in enumerate(self._list(top.get("rules", []), ("rules",))):
            rule = self._rule(given, ("rules", index), known)
            if rule is not None:
                rules.append(rule)
        budgets = [
            budget
            for index, given in enumerate(self._list(top.get("budgets", []), ("budgets",)))
            if (budget := self._budget(given, ("budgets", index))) is not None
        ]
        self._refuse_twins("rules", [rule.name for rule in rules])
        self._refuse_twins("budgets", [budget.name for budget in budgets])
        silences = [
            silence
            for index, given in enumerate(self._list(top.get("silences", []), ("silences",)))
            if (silence := self._silence(given, ("silences", index))) is not None
        ]
        if self._problems:
            raise RuleError(tuple(self._problems))
        return RuleSet(tuple(rules), tuple(budgets), tuple(silences))

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
        for key in ("name", "condition"):
            if key not in entry and isinstance(given, dict):
                self._problem(path, f"`{key}` is missing")
        if len(self._problems) > before:
            return None
        fields: dict[str, Any] = {"name": entry["name"], "condition": self._condition(entry, path, constants)}
        for key, name in _DURATIONS.items():
            if key in entry:
                fields[name] = self._duration(entry[key], (*path, key))
        fields |= {key: entry[key] for key in _PLAIN if key in entry}
        fields |= {key: self._texts(entry[key], (*path, key)) for key in ("labels", "annotations") if key in entry}
        if "channels" in entry:
            fields["channels"] = tuple(self._list(entry["channels"], (*path, "channels")))
        self._refuse_mitigation(entry, path)
        if len(self._problems) > before:
            return None
        try:
            return Rule(**fields)
        except RuleError as error:
            self._from_rule(error, path)
            return None

    def _from_rule(self, error: RuleError, path: Way) -> None:
        for problem in error.problems:
            _, key, what = problem.split(": ", 2)
            self._problem((*path, *key.split(".", 1)), f"`{key}` {what}")

    def _condition(self, entry: Mapping[str, Any], path: Way, constants: Mapping[str, float]) -> Condition | None:
        try:
            return Condition(entry["condition"], constants)
        except ConditionError as error:
            self._problem((*path, "condition"), str(error))
            return None

    def _duration(self, given: object, path: Way) -> float:
        seconds = parse_duration(given)
        if seconds is None:
            self._problem(
                path, f"`{path[-1]}` cannot be {_shown(given)}; allowed: a duration such as 30s, 5m, 1h30m, 1d"
            )
        return seconds or 0.0

    def _texts(self, given: object, path: Way) -> dict[str, str]:
        if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
            self._problem(path, f"`{path[-1]}` must be a mapping of names to texts")
            return {}
        return given

    def _refuse_mitigation(self, entry: Mapping[str, Any], path: Way) -> None:
        # Details of what is off are accepted, as everywhere in the settings.
        if entry.get("auto_mitigation", False) is not False:
            self._problem((*path, "auto_mitigation"), "`auto_mitigation` is not available yet; allowed: false")

    def _refuse_twins(self, what: str, names: list[str]) -> None:
        for index, name in enumerate(names):
            if name in names[:index]:
                self._problem((what, index, "name"), f"there are two {what} named `{name}`")

    def _budget(self, given: object, path: Way) -> Budget | None:
        before = len(self._problems)
        entry = self._mapping(given, _BUDGET_KEYS, path)
        for key in ("name", "limit_usd"):
            if key not in entry and isinstance(given, dict):
                self._problem(path, f"`{key}` is missing")
        for key in ("at", "channels"):
            if key in entry:
                entry[key] = tuple(self._list(entry[key], (*path, key)))
        if len(self._problems) > before:
            return None
        limit = entry["limit_usd"]
        try:
            return Budget(**(entry | {"limit_usd": repr(limit) if isinstance(limit, float) else limit}))
        except RuleError as error:
            self._from_rule(error, path)
            return None

    def _silence(self, given: object, path: Way) -> Silence | None:
        entry = self._mapping(given, _SILENCE_KEYS, path)
        try:
            return Silence.of(**{key: entry[key] for key in _SILENCE_KEYS if key in entry}) if entry else None
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
            close = get_close_matches(str(key), names, n=1, cutoff=0.6)
            hint = f" Did you mean `{close[0]}`?" if close else ""
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


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _shown(value: object) -> str:
    text = ascii(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:79]}…"  # noqa: PLR2004 - one line
