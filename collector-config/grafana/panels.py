"""What the overview dashboard asks: rows of panels, each with its PromQL. How they look is overview.py's.

Queries name the metrics of docs/metrics.md, and filter by the dashboard's variables: `$job`, `$agent`, `$model`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

AGENTS: Final = 'job=~"$job",agent_name=~"$agent",model=~"$model"'
EVALUATED: Final = 'job=~"$job",agent_name=~"$agent"'
JOBS: Final = 'job=~"$job"'
MODELS: Final = 'job=~"$job",gen_ai_request_model=~"$model"'


@dataclass(frozen=True)
class Query:
    """One PromQL expression, and what its series are called."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel: what it answers, and how.

    Attributes:
        title: A few words; the tests know a panel by them.
        question: What a person reads when pointing at the title.
        queries: What is drawn.
        kind: `stat`, `lines`, `stacked` or `heatmap`.
        unit: Grafana's name of the unit.
        width: Of 24 columns.
        steps: Values from which the colour is orange, and red.
        decimals: Digits after the point; None lets Grafana choose.
    """

    title: str
    question: str
    queries: tuple[Query, ...]
    kind: str = "lines"
    unit: str = "short"
    width: int = 8
    steps: tuple[float, float] | None = None
    decimals: float | None = None


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...] = field(default_factory=tuple)


def _over_range(metric: str, matching: str) -> str:
    return f"sum(increase({metric}{{{matching}}}[$__range]))"


def _by(labels: str, metric: str, matching: str) -> str:
    return f"sum by ({labels}) (rate({metric}{{{matching}}}[$__rate_interval]))"


def _quantile(quantile: str, labels: str, metric: str, matching: str) -> str:
    inside = f"sum by ({labels}) (rate({metric}_bucket{{{matching}}}[$__rate_interval]))"
    return f"histogram_quantile({quantile}, {inside})"


def _errors(window: str, by: str = "") -> str:
    """Errors among what ended as success or error; cancelled executions are neither."""
    metric = f"kaizen_agent_executions_total{{{AGENTS},status"
    failed = f'sum{by} (increase({metric}="error"}}[{window}]))'
    ended = f'sum{by} (increase({metric}=~"success|error"}}[{window}]))'
    # A series of errors exists from the first error on: until then there are none, not no answer.
    return f"({failed} or 0 * {ended}) / ({ended} > 0)"


NOW: Final = Row(
    "Now",
    (
        Panel(
            "Executions",
            "Runs of agents in the time shown, whatever became of them.",
            (Query(_over_range("kaizen_agent_executions_total", AGENTS)),),
            kind="stat",
            width=3,
            decimals=0,
        ),
        Panel(
            "Error rate",
            "Failed executions among those that succeeded or failed. Cancelled ones count as neither.",
            (Query(_errors("$__range")),),
            kind="stat",
            unit="percentunit",
            width=3,
            steps=(0.01, 0.05),
        ),
        Panel(
            "95th percentile",
            "Nineteen of twenty executions took less. Exact to the edges of its bucket.",
            (
                Query(
                    "histogram_quantile(0.95, sum by (le)"
                    f" (increase(kaizen_execution_duration_seconds_bucket{{{AGENTS}}}[$__range])))"
                ),
            ),
            kind="stat",
            unit="s",
            width=3,
            steps=(5, 10),
        ),
        Panel(
            "Daily cost",
            "US dollars of the last 24 hours. Calls of unknown cost are not in it: see Calls of unknown cost.",
            (Query(f"sum(rate(kaizen_cost_usd_total{{{AGENTS}}}[24h])) * 24 * 3600"),),
            kind="stat",
            unit="currencyUSD",
            width=3,
        ),
        Panel(
            "Of the daily budget",
            "The cost of the last 24 hours as a part of the budget that is typed in above.",
            (Query(f"sum(increase(kaizen_cost_usd_total{{{AGENTS}}}[24h])) / $budget"),),
            kind="stat",
            unit="percentunit",
            width=3,
            steps=(0.8, 1.0),
        ),
        Panel(
            "Tokens",
            "Input and output tokens in the time shown.",
            (Query(_over_range("kaizen_tokens_consumed_total", AGENTS)),),
            kind="stat",
            width=3,
        ),
        Panel(
            "Active agents",
            "Agents that run, or ended within five minutes. A name counts once for each process.",
            (Query(f"sum(kaizen_active_agents{{{JOBS}}})"),),
            kind="stat",
            width=3,
            decimals=0,
        ),
        Panel(
            "Quality",
            "The average of all evaluations in the time shown, 0 to 1.",
            (
                Query(
                    f"{_over_range('kaizen_quality_score_sum', EVALUATED)}"
                    f" / ({_over_range('kaizen_quality_score_count', EVALUATED)} > 0)"
                ),
            ),
            kind="stat",
            width=3,
            decimals=2,
        ),
    ),
)

EXECUTIONS: Final = Row(
    "Executions",
    (
        Panel(
            "Agent execution rate",
            "Executions a second.",
            (Query(_by("agent_name, model", "kaizen_agent_executions_total", AGENTS), "{{agent_name}} - {{model}}"),),
            unit="ops",
        ),
        Panel(
            "Errors by agent",
            "The part of each agent's executions that failed.",
            (Query(_errors("$__rate_interval", " by (agent_name)"), "{{agent_name}}"),),
            unit="percentunit",
        ),
        Panel(
            "Execution time",
            "Half, 95 % and 99 % of the executions took less.",
            tuple(
                Query(_quantile(quantile, "le", "kaizen_execution_duration_seconds", AGENTS), legend)
                for quantile, legend in (
                    ("0.5", "50th percentile"),
                    ("0.95", "95th percentile"),
                    ("0.99", "99th percentile"),
                )
            ),
            unit="s",
        ),
        Panel(
            "Execution time by agent",
            "95 % of each agent's executions took less.",
            (
                Query(
                    _quantile("0.95", "le, agent_name", "kaizen_execution_duration_seconds", AGENTS), "{{agent_name}}"
                ),
            ),
            unit="s",
            width=12,
        ),
        Panel(
            "Where the time lies",
            "How many executions took how long.",
            (
                Query(
                    f"sum by (le) (increase(kaizen_execution_duration_seconds_bucket{{{AGENTS}}}[$__rate_interval]))",
                    "{{le}}",
                ),
            ),
            kind="heatmap",
            unit="s",
            width=12,
        ),
    ),
)

SPENDING: Final = Row(
    "Tokens and cost",
    (
        Panel(
            "Token consumption",
            "Tokens a second.",
            (
                Query(
                    _by("agent_name, token_type", "kaizen_tokens_consumed_total", AGENTS),
                    "{{agent_name}} - {{token_type}}",
                ),
            ),
            kind="stacked",
        ),
        Panel(
            "Cost an hour, by agent",
            "US dollars an hour at the present rate.",
            (Query(f"{_by('agent_name', 'kaizen_cost_usd_total', AGENTS)} * 3600", "{{agent_name}}"),),
            kind="stacked",
            unit="currencyUSD",
        ),
        Panel(
            "Cost an hour, by model",
            "US dollars an hour at the present rate.",
            (Query(f"{_by('model', 'kaizen_cost_usd_total', AGENTS)} * 3600", "{{model}}"),),
            kind="stacked",
            unit="currencyUSD",
        ),
        Panel(
            "Cost of an execution",
            "US dollars, on average. An agent's own model calls; those of agents below it are theirs.",
            (
                Query(
                    f"{_by('agent_name', 'kaizen_cost_usd_total', AGENTS)}"
                    f" / ({_by('agent_name', 'kaizen_agent_executions_total', AGENTS)} > 0)",
                    "{{agent_name}}",
                ),
            ),
            unit="currencyUSD",
            width=12,
        ),
        Panel(
            "Calls of unknown cost",
            "Model calls without usage or price: their cost is in no figure above.",
            (
                Query(
                    f'sum by (model, reason) (increase(kaizen_usage_missing_total{{{JOBS},model=~"$model"}}'
                    "[$__rate_interval]))",
                    "{{model}} - {{reason}}",
                ),
            ),
            width=12,
        ),
    ),
)

CALLS: Final = Row(
    "Model calls and quality",
    (
        Panel(
            "Model calls",
            "Calls a second, as the client saw them.",
            (
                Query(
                    _by("gen_ai_request_model", "gen_ai_client_operation_duration_seconds_count", MODELS),
                    "{{gen_ai_request_model}}",
                ),
            ),
            unit="reqps",
        ),
        Panel(
            "Time of a model call",
            "95 % of the calls took less.",
            (
                Query(
                    _quantile("0.95", "le, gen_ai_request_model", "gen_ai_client_operation_duration_seconds", MODELS),
                    "{{gen_ai_request_model}}",
                ),
            ),
            unit="s",
        ),
        Panel(
            "Errors of model calls",
            "Calls that failed, a second, by what went wrong.",
            (
                Query(
                    _by(
                        "gen_ai_request_model, error_type",
                        "gen_ai_client_operation_duration_seconds_count",
                        f'{MODELS},error_type!=""',
                    ),
                    "{{gen_ai_request_model}} - {{error_type}}",
                ),
            ),
            unit="reqps",
        ),
        Panel(
            "Quality by agent",
            "The average of each evaluation, 0 to 1.",
            (
                Query(
                    f"{_by('agent_name, evaluation', 'kaizen_quality_score_sum', EVALUATED)}"
                    f" / ({_by('agent_name, evaluation', 'kaizen_quality_score_count', EVALUATED)} > 0)",
                    "{{agent_name}} - {{evaluation}}",
                ),
            ),
            width=24,
        ),
    ),
)

DELIVERY: Final = Row(
    "Delivery of telemetry",
    (
        Panel(
            "Telemetry lost",
            "Spans and events that were given up, by reason: what is missing above. See docs/delivery.md.",
            (
                Query(
                    "sum by (signal, error_type)"
                    f" (increase(kaizen_telemetry_dropped_total{{{JOBS}}}[$__rate_interval]))",
                    "{{signal}} - {{error_type}}",
                ),
            ),
        ),
        Panel(
            "Waiting for delivery",
            "How full the fullest queue is, compressed bytes of those that it may hold. At 100 % the newest are lost.",
            (
                Query(
                    f"max by (signal) (kaizen_telemetry_queue_usage_bytes{{{JOBS}}}"
                    f" / kaizen_telemetry_queue_limit_bytes{{{JOBS}}})",
                    "{{signal}}",
                ),
            ),
            unit="percentunit",
        ),
        Panel(
            "Requests sent again",
            "Tries after the first, a second: the backend is away, or wants to be left alone.",
            (Query(_by("signal", "kaizen_telemetry_retries_total", JOBS), "{{signal}}"),),
            unit="reqps",
        ),
    ),
)

ROWS: Final = (NOW, EXECUTIONS, SPENDING, CALLS, DELIVERY)
