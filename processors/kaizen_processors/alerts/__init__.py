"""Rules over rolling numbers, alerts, budgets: works on any source of numbers, with no Kaizen installed."""

from __future__ import annotations

from kaizen_processors.alerts.alert import Alert, ExecutionLink
from kaizen_processors.alerts.budget import Budget
from kaizen_processors.alerts.budgets import BudgetBook
from kaizen_processors.alerts.channels import channels_from
from kaizen_processors.alerts.channels.alertmanager import AlertmanagerChannel
from kaizen_processors.alerts.channels.callback import CallbackChannel
from kaizen_processors.alerts.channels.channel import Channel, DeliveryError
from kaizen_processors.alerts.channels.dispatch import RetryPolicy
from kaizen_processors.alerts.channels.otel_event import EventChannel
from kaizen_processors.alerts.channels.webhook import WebhookChannel
from kaizen_processors.alerts.conditions import Condition, ConditionError
from kaizen_processors.alerts.evaluator import Evaluator
from kaizen_processors.alerts.evaluator_options import EvaluatorOptions
from kaizen_processors.alerts.rule_file import RuleSet, read_rules, rules_from
from kaizen_processors.alerts.rules import DEFAULT_RULES, Rule, RuleError, production_rules
from kaizen_processors.alerts.silences import Matcher, Silence, SilenceError
from kaizen_processors.alerts.state_file import ForeignStateError, StateFile, StateInUseError
from kaizen_processors.alerts.values import EVERYTHING, ExecutionRanking, Group, Values, WorstExecution

__all__ = [
    "DEFAULT_RULES",
    "EVERYTHING",
    "Alert",
    "AlertmanagerChannel",
    "Budget",
    "BudgetBook",
    "CallbackChannel",
    "Channel",
    "Condition",
    "ConditionError",
    "DeliveryError",
    "Evaluator",
    "EvaluatorOptions",
    "EventChannel",
    "ExecutionLink",
    "ExecutionRanking",
    "ForeignStateError",
    "Group",
    "Matcher",
    "RetryPolicy",
    "Rule",
    "RuleError",
    "RuleSet",
    "Silence",
    "SilenceError",
    "StateFile",
    "StateInUseError",
    "Values",
    "WebhookChannel",
    "WorstExecution",
    "channels_from",
    "production_rules",
    "read_rules",
    "rules_from",
]
