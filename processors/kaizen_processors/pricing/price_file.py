"""Reading an override file: YAML, validated entry by entry, each problem with its line, column and what is allowed.

The YAML is composed to nodes, not to Python values: a node knows its line, and its text is the number that was written
(a float would already be rounded).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from yaml import SafeLoader, YAMLError, compose
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kaizen_processors.pricing.overrides import Override, Overrides, PriceFileError
from kaizen_processors.pricing.price import USD
from kaizen_processors.pricing.rates import Rates, Tier, rate

_TOP_KEYS: Final = ("version", "prices")
_DETAIL_KEYS: Final = ("cache_read", "cache_write", "reasoning", "input_audio", "output_audio")
_TOKEN_KEYS: Final = ("input", "output", *_DETAIL_KEYS)
_ENTRY_KEYS: Final = ("provider", "model", "currency", "per", *_TOKEN_KEYS, "per_request", "from", "until", "tiers")
_TIER_KEYS: Final = ("above_input_tokens", *_TOKEN_KEYS)
_PER: Final = {"1": 1, "1k": 1_000, "1M": 1_000_000}

_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_NUMBER: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?")
_COUNT: Final = re.compile(r"[0-9]{1,18}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read_overrides(path: str | Path) -> Overrides:
    """Read and validate an override file. Raises `PriceFileError`."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PriceFileError((f"{path}: cannot be read: {error.strerror}",)) from error
    except UnicodeDecodeError as error:
        raise PriceFileError((f"{path}: is not UTF-8 text",)) from error
    try:
        root = compose(text, Loader=SafeLoader)
    except (YAMLError, RecursionError) as error:
        raise PriceFileError((_yaml_problem(path, error),)) from error
    reader = _Reader(path)
    overrides = reader.overrides(root)
    if reader.problems:
        raise PriceFileError(tuple(text for _, text in sorted(reader.problems)))
    return overrides


def _yaml_problem(path: Path, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else f"{path}"
    return f"{place}: is not YAML: {getattr(error, 'problem', None) or error}"


class _Reader:
    """Turns nodes into entries and collects what is wrong; after a problem it goes on with a stand-in value."""

    def __init__(self, path: Path) -> None:
        self.problems: list[tuple[tuple[int, int], str]] = []
        self._path = path

    def overrides(self, root: Node | None) -> Overrides:
        if root is None:
            self.problems.append(((1, 1), f"{self._path}:1:1: is empty; expected `version` and `prices`"))
            return Overrides()
        top = self._mapping(root, _TOP_KEYS, "the file")
        if "prices" not in top:
            self._problem(root, "`prices` is missing: a list of entries")
            return Overrides()
        entries = [(node, self._entry(node)) for node in self._items(top["prices"], "prices")]
        if not entries and isinstance(top["prices"], SequenceNode):
            self._problem(top["prices"], "`prices` needs at least one entry")
        self._refuse_hidden(entries)
        version = self._text(top["version"], "version") if "version" in top else None
        return Overrides(tuple(entry for _, entry in entries), version)

    def _entry(self, node: Node) -> Override:
        given = self._mapping(node, _ENTRY_KEYS, "an entry")
        for key in ("model", "input", "output"):
            if key not in given and isinstance(node, MappingNode):
                free = "" if key == "model" else "; write 0 where nothing is charged"
                self._problem(node, f"`{key}` is missing{free}")
        from_ns = self._moment(given["from"], "from") if "from" in given else None
        until_ns = self._moment(given["until"], "until") if "until" in given else None
        if from_ns is not None and until_ns is not None and from_ns >= until_ns:
            self._problem(given["until"], "`until` must be later than `from`")
        return Override(
            model=self._text(given["model"], "model") if "model" in given else "",
            tiers=self._tiers(given),
            provider=self._text(given["provider"], "provider") if "provider" in given else None,
            currency=self._currency(given),
            from_ns=from_ns,
            until_ns=until_ns,
        )

    def _tiers(self, given: dict[str, Node]) -> tuple[Tier, ...]:
        per = self._per(given)
        base = self._rates(given, per)
        fee = self._rate(given["per_request"], "per_request", 1) if "per_request" in given else 0
        tiers = [Tier(-1, _to_rates(base, fee))]
        for node in self._items(given["tiers"], "tiers") if "tiers" in given else ():
            tier = self._mapping(node, _TIER_KEYS, "a tier")
            above = self._above(node, tier)
            if above <= tiers[-1].above:
                self._problem(node, f"`above_input_tokens` must ascend: {above} comes after {tiers[-1].above}")
            if not tier.keys() - {"above_input_tokens"}:
                self._problem(node, f"a tier needs a rate: {_listed(_TOKEN_KEYS)}")
            tiers.append(Tier(above, _to_rates(base | self._rates(tier, per), fee)))
        return tuple(tiers)

    def _above(self, node: Node, tier: dict[str, Node]) -> int:
        if "above_input_tokens" not in tier:
            self._problem(node, "`above_input_tokens` is missing: the count above which the tier applies")
            return 0
        text = self._text(tier["above_input_tokens"], "above_input_tokens")
        if not _COUNT.fullmatch(text):
            self._problem(tier["above_input_tokens"], f"{text!r} is no count of tokens; allowed: digits, like 200000")
            return 0
        return int(text)

    def _rates(self, given: dict[str, Node], per: int) -> dict[str, int]:
        return {key: self._rate(given[key], key, per) for key in _TOKEN_KEYS if key in given}

    def _rate(self, node: Node, key: str, per: int) -> int:
        text = self._text(node, key)
        if not _NUMBER.fullmatch(text):
            self._problem(node, f"`{key}` {text!r} is no price; allowed: a decimal number of 0 or more, like 2.50")
            return 0
        try:
            return rate(Decimal(text), per)
        except ValueError:
            self._problem(node, f"`{key}` {text} for {per} cannot be held exactly; allowed: 24 decimals for one")
            return 0

    def _per(self, given: dict[str, Node]) -> int:
        text = self._text(given["per"], "per") if "per" in given else "1M"
        if text not in _PER:
            self._problem(given["per"], f"`per` {text!r} is unknown; allowed: {_listed(_PER)}")
        return _PER.get(text, 1)

    def _currency(self, given: dict[str, Node]) -> str:
        text = self._text(given["currency"], "currency") if "currency" in given else USD
        if not _CURRENCY.fullmatch(text):
            self._problem(given["currency"], f"`currency` {text!r} is no currency code; allowed: ISO 4217, like EUR")
        return text

    def _moment(self, node: Node, key: str) -> int | None:
        text = self._text(node, key)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self._problem(
                node, f"`{key}` {text!r} is no date; allowed: 2026-01-31 or 2026-01-31T12:00:00Z (without zone: UTC)"
            )
            return None
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1000

    def _refuse_hidden(self, entries: list[tuple[Node, Override]]) -> None:
        for index, (node, entry) in enumerate(entries):
            if not entry.model:
                continue  # it has none, and that is told already
            for other_node, other in entries[:index]:
                if other.hides(entry):
                    self._problem(
                        node, f"is never used: the entry in line {other_node.start_mark.line + 1} comes first"
                    )
                    break

    def _mapping(self, node: Node, allowed: tuple[str, ...], what: str) -> dict[str, Node]:
        if not isinstance(node, MappingNode):
            self._problem(node, f"{what} must be a mapping with {_listed(allowed)}")
            return {}
        found: dict[str, Node] = {}
        for key_node, value in node.value:
            key = key_node.value if isinstance(key_node, ScalarNode) else "?"
            if key not in allowed:
                self._problem(key_node, f"unknown key `{key}` in {what}; allowed: {_listed(allowed)}")
            elif key in found:
                self._problem(key_node, f"`{key}` is there twice")
            else:
                found[key] = value
        return found

    def _items(self, node: Node, what: str) -> list[Node]:
        if not isinstance(node, SequenceNode):
            self._problem(node, f"`{what}` must be a list")
            return []
        items: list[Node] = node.value
        return items

    def _text(self, node: Node, key: str) -> str:
        given = isinstance(node, ScalarNode) and not node.tag.endswith(":null")
        text = str(node.value).strip() if given else ""
        if not text:
            self._problem(node, f"`{key}` needs one value")
        return text

    def _problem(self, node: Node, what: str) -> None:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        self.problems.append(((line, column), f"{self._path}:{line}:{column}: {what}"))


def _to_rates(given: dict[str, int], fee: int) -> Rates:
    details = {key: given.get(key) for key in _DETAIL_KEYS}
    return Rates(given.get("input", 0), given.get("output", 0), per_request=fee, **details)


def _listed(names: tuple[str, ...] | dict[str, int]) -> str:
    return ", ".join(f"`{name}`" for name in names)
