"""The overview dashboard, as Grafana reads it: `python collector-config/grafana/overview.py` writes overview.json.

`--check` says whether the committed file is what this program makes. What is asked stands in panels.py.
"""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from panels import JOBS, ROWS, Panel, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FILE: Final = Path(__file__).with_name("overview.json")
AnyPanel: TypeAlias = stat.Panel | timeseries.Panel | heatmap.Panel

DATASOURCE: Final = DataSourceRef("prometheus", "${datasource}")


def build() -> dict[str, Any]:
    """The dashboard's JSON model."""
    board = (
        dashboard.Dashboard("Kaizen overview")
        .uid("kaizen-otel-overview")
        .description("Executions, errors, time, tokens, cost and quality of Kaizen agents, as kaizen-otel counts them.")
        .tags(["kaizen", "genai"])
        .timezone("browser")
        .time("now-3h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_choice("job", "Service", "label_values(kaizen_active_agents, job)"))
        .with_variable(_choice("agent", "Agent", f"label_values(kaizen_agent_executions_total{{{JOBS}}}, agent_name)"))
        .with_variable(_choice("model", "Model", f"label_values(kaizen_agent_executions_total{{{JOBS}}}, model)"))
        .with_variable(dashboard.TextBoxVariable("budget").label("Daily budget, USD").default_value("100"))
    )
    ids = count(1)
    for row in ROWS:
        board = board.with_row(dashboard.Row(row.title).id(next(ids)))
        for panel in row.panels:
            board = board.with_panel(_panel(panel).id(next(ids)))
    model: dict[str, Any] = json.loads(JSONEncoder(sort_keys=True).encode(board.build()))
    for variable in model["templating"]["list"]:
        for name in ("auto", "auto_count", "auto_min"):  # of intervals only; the SDK (11.6) writes them on every kind
            variable.pop(name, None)
    return model


def _choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def _panel(panel: Panel) -> AnyPanel:
    drawn = DRAWN[panel.kind]()
    drawn.title(panel.title).description(panel.question).datasource(DATASOURCE).unit(panel.unit).span(panel.width)
    if panel.decimals is not None:
        drawn.decimals(panel.decimals)
    if panel.steps is not None:
        drawn.thresholds(_thresholds(panel.steps))
    for query, letter in zip(panel.queries, "ABCDEFG", strict=False):
        drawn.with_target(_target(query, letter, panel.kind))
    return drawn


def _stat() -> stat.Panel:
    return (
        stat.Panel()
        .height(4)
        .graph_mode(BigValueGraphMode.NONE)
        .color_mode(BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value("-")
    )


def _lines() -> timeseries.Panel:
    return (
        timeseries.Panel()
        .height(8)
        .min(0)
        .line_width(1)
        .fill_opacity(10)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )


def _stacked() -> timeseries.Panel:
    return _lines().fill_opacity(60).stacking(common.StackingConfig().mode(StackingMode.NORMAL))


def _heatmap() -> heatmap.Panel:
    return (
        heatmap.Panel()
        .height(8)
        .calculate(False)
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
    )


DRAWN: Final[dict[str, Callable[[], AnyPanel]]] = {
    "stat": _stat,
    "lines": _lines,
    "stacked": _stacked,
    "heatmap": _heatmap,
}


def _thresholds(steps: tuple[float, float]) -> dashboard.ThresholdsConfig:
    orange, red = steps
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(None, "green"), Threshold(orange, "orange"), Threshold(red, "red")])
    )


def _target(query: Query, letter: str, kind: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).ref_id(letter).datasource(DATASOURCE)
    if query.legend:
        target = target.legend_format(query.legend)
    if kind == "stat":
        return target.instant()
    if kind == "heatmap":
        target = target.format(PromQueryFormat.HEATMAP)
    return target.range()


def main(arguments: Iterable[str]) -> int:
    """Write the file, or with `--check` compare it; 1 when it is another one."""
    text = json.dumps(build(), indent=2, sort_keys=True) + "\n"
    if "--check" not in arguments:
        FILE.write_text(text, encoding="utf-8")
        return 0
    if FILE.exists() and FILE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{FILE.name} is stale: python collector-config/grafana/overview.py")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
