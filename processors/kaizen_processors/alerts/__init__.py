"""Rules over rolling numbers, alerts, budgets: works on any source of numbers, with no Kaizen installed."""
