"""Thresholds, audits, confidence intervals and the verdict of a run.

Standard library only; no clock, no I/O, nothing global.
"""

from __future__ import annotations

from pika_locust.judge.audit import allowing_for_lost_workers, at_least, balance, exactly_once, not_observed, unreadable
from pika_locust.judge.evaluate import ThresholdEvaluator
from pika_locust.judge.grades import Band, check_bands
from pika_locust.judge.ledger import Ledger
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
from pika_locust.judge.verdict import Decision, decide, describe, resolving_power

__all__ = [
    "AuditResult",
    "Band",
    "CheckResult",
    "Decision",
    "ErrorCount",
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
    "WorkerReport",
    "WorstWindow",
    "allowing_for_lost_workers",
    "at_least",
    "balance",
    "check",
    "check_bands",
    "decide",
    "describe",
    "exactly_once",
    "not_observed",
    "parse_option",
    "read_thresholds",
    "replace_or_add",
    "resolving_power",
    "unreadable",
]
