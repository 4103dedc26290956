"""A condition as a PromQL filter, and the texts of a rule as Go templates.

`not` is pushed down to the comparisons: that is exact where missing data are neither true nor false. Division by zero
is filtered out, since PromQL would answer infinity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kaizen_processors.alerts import expressions as ex
from kaizen_processors.alerts.annotations import places_in, segments
from kaizen_processors.alerts.durations import write_duration
from kaizen_processors.alerts.promql.measures import EDGES_S, NotExpressibleError, measure_scope, record_name
from kaizen_processors.alerts.vocabulary import MEASURES, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen_processors.alerts.rules import Rule

_OPPOSITE: Final = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_PERCENTILES: Final = ("p50_latency", "p95_latency", "p99_latency")
_TEMPLATES: Final = {
    Unit.RATIO: "{{ $value | humanizePercentage }}",
    Unit.MILLISECONDS: '{{ printf "%.0f" $value }}ms',
    Unit.PER_MINUTE: '{{ printf "%.4g" $value }}/min',
    Unit.PER_SECOND: '{{ printf "%.4g" $value }}/s',
    Unit.USD_SMALL: '${{ printf "%.8f" $value }}',
    Unit.USD: '${{ printf "%.4f" $value }}',
    Unit.USD_PER_HOUR: '${{ printf "%.4f" $value }}/hour',
    Unit.COUNT: '{{ printf "%.4g" $value }}',
}
"""How Prometheus writes what `Unit.write` writes; percentages have four digits there, dollars those of `printf`."""


def filter_of(rule: Rule) -> str:
    """The rule's condition over recorded series; the value of what it lets through is what was compared."""
    expression = _logical(rule.condition.expression, rule, negated=False)
    if not rule.min_executions:
        return expression
    return f"({expression}) and ({_name('executions', rule)} >= {rule.min_executions})"


def measures_of(rule: Rule) -> tuple[str, ...]:
    """What has to be recorded for a rule."""
    further = ("executions",) if rule.min_executions else ()
    return tuple(dict.fromkeys((*rule.condition.names, *further)))


def annotation_of(text: str, rule: Rule) -> str:
    """A text with places as a template of Prometheus.

    Raises:
        NotExpressibleError: it has a place that Prometheus cannot fill.
    """
    unknown = places_in(text) & {"threshold", "subject"} if subject_of(rule) is None else frozenset[str]()
    if unknown:
        place = f"{{{min(unknown)}}}"
        raise NotExpressibleError(f"the place {place}: a condition with `or` does not say which comparison decided")
    return "".join(_place(piece, rule) if is_place else _literal(piece) for is_place, piece in segments(text))


def summary_of(rule: Rule) -> str:
    """What Prometheus says of a rule that has no summary of its own."""
    return "{subject}: {value}" if subject_of(rule) is not None else "{name}: {value}"


def subject_of(rule: Rule) -> tuple[str, Unit | None, float | None] | None:
    """What the value of a rule's alert is: its title, its unit, and the number it is held against.

    None where the condition has an `or`: then Prometheus does not tell.
    """
    if _has_choice(rule.condition.expression, negated=False):
        return None
    comparison = next(ex.comparisons(rule.condition.expression))
    index = next(i for i, one in enumerate(comparison.operands) if any(True for _ in ex.names_in(one)))
    operand = comparison.operands[index]
    constants = [one.value for one in comparison.operands if isinstance(one, ex.Number)]
    threshold = constants[0] if constants else None
    if isinstance(operand, ex.Name):
        measure = MEASURES[operand.name]
        return measure.title, measure.unit, threshold
    return comparison.texts[index], None, threshold


def warnings_of(rule: Rule) -> Iterator[str]:
    """Where both engines may judge differently, beyond what they always do.

    Raises:
        NotExpressibleError: a percentile is compared with more than the highest bucket: it would never fire.
    """
    for comparison in ex.comparisons(rule.condition.expression):
        names = [one.name for one in comparison.operands if isinstance(one, ex.Name) and one.name in _PERCENTILES]
        numbers = [one.value / 1_000 for one in comparison.operands if isinstance(one, ex.Number)]
        if not names:
            continue
        above = [number for number in numbers if number >= EDGES_S[-1]]
        if above:
            raise NotExpressibleError(
                f"`{names[0]}` against {above[0] * 1_000:g} ms: the highest bucket ends at {EDGES_S[-1] * 1_000:g} ms"
            )
        for number in numbers:
            if number not in EDGES_S:
                nearest = min(EDGES_S, key=lambda edge: abs(edge - number))
                yield (
                    f"{number * 1_000:g} ms is no edge of a bucket, so Prometheus may judge `{names[0]}` "
                    f"differently; the nearest edge is {nearest * 1_000:g} ms"
                )


def _logical(node: ex.Logical, rule: Rule, *, negated: bool) -> str:
    if isinstance(node, ex.Not):
        return _logical(node.operand, rule, negated=not negated)
    if isinstance(node, ex.Comparison):
        return _comparison(node, rule, negated=negated)
    both = isinstance(node, ex.Every) is not negated
    return (" and " if both else " or ").join(f"({_logical(one, rule, negated=negated)})" for one in node.operands)


def _comparison(node: ex.Comparison, rule: Rule, *, negated: bool) -> str:
    sides = [_numeric(operand, rule) for operand in node.operands]
    operators = [_OPPOSITE[operator] for operator in node.operators] if negated else node.operators
    links = [f"{sides[index]} {operator} {sides[index + 1]}" for index, operator in enumerate(operators)]
    if len(links) == 1:
        return links[0]
    return (" or " if negated else " and ").join(f"({link})" for link in links)


def _numeric(node: ex.Numeric, rule: Rule) -> str:
    if isinstance(node, ex.Number):
        return number(node.value)
    if isinstance(node, ex.Name):
        return _name(node.name, rule)
    if isinstance(node, ex.Negative):
        return f"-({_numeric(node.operand, rule)})"
    right = _numeric(node.right, rule)
    if node.operator == "/" and not isinstance(node.right, ex.Number):
        right = f"({right} != 0)"
    return f"({_numeric(node.left, rule)} {node.operator} {right})"


def _name(measure: str, rule: Rule) -> str:
    return record_name(measure, measure_scope(measure, rule.group_by, rule.window_s))


def number(value: float) -> str:
    """A number as PromQL reads it back."""
    return f"{value:.0f}" if value == int(value) else repr(value)


def _has_choice(node: ex.Logical, *, negated: bool) -> bool:
    """Whether it is true for one of several reasons."""
    if isinstance(node, ex.Not):
        return _has_choice(node.operand, negated=not negated)
    if isinstance(node, ex.Comparison):
        return negated and len(node.operators) > 1
    if isinstance(node, ex.Every) is negated:
        return True
    return any(_has_choice(operand, negated=negated) for operand in node.operands)


def _place(place: str, rule: Rule) -> str:
    if place == "agent":
        return "{{ $labels.agent_name }}"
    if place == "model":
        return "{{ $labels.model }}"
    subject = subject_of(rule)
    title, unit, threshold = subject or ("", None, None)
    if place == "value":
        return _TEMPLATES[unit or Unit.COUNT]
    if place == "threshold":
        if threshold is None:
            raise NotExpressibleError("the place {threshold}: it is no constant")
        return (unit or Unit.COUNT).write(threshold)
    fixed = {"subject": title, "window": write_duration(rule.window_s), "name": rule.name, "severity": rule.severity}
    return _literal(fixed[place])


def _literal(text: str) -> str:
    return text.replace("{{", '{{ "{{" }}')
