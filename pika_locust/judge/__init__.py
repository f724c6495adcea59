"""Thresholds, audits, confidence intervals and the verdict of a run.

Standard library only; no clock, no I/O, nothing global.
"""

from __future__ import annotations

from pika_locust.judge.audit import allowing_for_lost_workers, at_least, balance, exactly_once, not_observed, unreadable
from pika_locust.judge.evaluate import (
    DEFAULT_WINDOW_S,
    ThresholdEvaluator,
    WindowTracker,
    certainty,
    evaluate,
    statistic,
)
from pika_locust.judge.expressions import Expression, ExpressionError, parse
from pika_locust.judge.grades import Band, check_bands
from pika_locust.judge.intervals import mean_interval, percentile_interval, wilson
from pika_locust.judge.ledger import ExpectedState, Ledger, checksum, hash_id
from pika_locust.judge.ledger import fold as fold_ledgers
from pika_locust.judge.report import (
    AuditResult,
    CheckResult,
    ErrorCount,
    GeneratorReport,
    Grade,
    LoadReport,
    Observed,
    Outcome,
    Reason,
    Report,
    ThresholdResult,
    TracedRequest,
    WorkerReport,
    WorstWindow,
)
from pika_locust.judge.thresholds import Threshold, ThresholdSpecs, check, parse_option, read_thresholds, replace_or_add
from pika_locust.judge.verdict import Decision, decide, describe, lag_limit_ms, resolving_power

__all__ = [
    "DEFAULT_WINDOW_S",
    "AuditResult",
    "Band",
    "CheckResult",
    "Decision",
    "ErrorCount",
    "ExpectedState",
    "Expression",
    "ExpressionError",
    "GeneratorReport",
    "Grade",
    "Ledger",
    "LoadReport",
    "Observed",
    "Outcome",
    "Reason",
    "Report",
    "Threshold",
    "ThresholdEvaluator",
    "ThresholdResult",
    "ThresholdSpecs",
    "TracedRequest",
    "WindowTracker",
    "WorkerReport",
    "WorstWindow",
    "allowing_for_lost_workers",
    "at_least",
    "balance",
    "certainty",
    "check",
    "check_bands",
    "checksum",
    "decide",
    "describe",
    "evaluate",
    "exactly_once",
    "fold_ledgers",
    "hash_id",
    "lag_limit_ms",
    "mean_interval",
    "not_observed",
    "parse",
    "parse_option",
    "percentile_interval",
    "read_thresholds",
    "replace_or_add",
    "resolving_power",
    "statistic",
    "unreadable",
    "wilson",
]
