"""The two tables that decide: thresholds and audits."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pika_locust.judge.report import AuditResult, Report, ThresholdResult
from pika_locust.outputs.humanise import amount, clock, number, span
from pika_locust.outputs.layout import Column, Line, Medium, Span, Tone, heading, prose, table
from pika_locust.outputs.redact import one_line

_STATUSES: dict[str, tuple[str, str, Tone]] = {
    "pass": ("✓", "pass", "good"),
    "fail": ("✗", "FAIL", "bad"),
    "no_data": ("✗", "NO DATA", "bad"),
    "not_observed": ("○", "not observed", "dim"),
}
_GRADES: dict[str, Tone] = {"healthy": "good", "warning": "doubt", "critical": "bad"}
_AUDIT_COLUMNS = (
    Column("status"),
    Column("audit"),
    Column("acknowledged", right=True),
    Column("held", right=True),
    Column("unanswered", right=True),
    Column("", folds=1),
)


def thresholds(report: Report, medium: Medium) -> list[Line]:
    """Every threshold on a row, and below them what the marks mean."""
    results = report.thresholds
    if not results:
        return [heading("Thresholds", "none declared")] if report.duration_s else []
    lengths = {result.worst_window.seconds for result in results if result.worst_window}
    length = lengths.pop() if len(lengths) == 1 else None
    columns = (
        Column("status"),
        Column("metric"),
        Column("threshold"),
        Column("value", right=True),
        Column("95 % interval", right=True, folds=4),
        Column("worst window" if length is None else f"worst {number(length)} s", right=True, folds=3),
        Column("samples", right=True, folds=1),
        Column("grade", folds=2),
    )
    rows = [_threshold(result, unit_of(result, report), length is None, medium) for result in results]
    lines = [heading("Thresholds", _tally(result.status for result in results)), *table(columns, rows, medium)]
    for result in results:
        if result.about and result.status != "pass":
            lines += prose(f"{one_line(result.metric)}: {one_line(result.about)}", medium, "dim")
    if not all(result.conclusive for result in results):
        meaning = "not conclusive: the limit lies inside the 95 % interval, more samples could turn the result"
        lines += prose(f"? {meaning} (fails with --strict)", medium, "doubt")
    if any(result.status == "not_observed" for result in results):
        lines += prose("not observed: nothing in this run could show it (fails with --strict)", medium, "dim")
    return lines


def audits(report: Report, medium: Medium) -> list[Line]:
    """Every audit on a row, with its detail."""
    if not report.audits:
        return []
    rows = [_audit(result, medium) for result in report.audits]
    tally = _tally(result.status for result in report.audits)
    return [heading("Audits", tally), *table(_AUDIT_COLUMNS, rows, medium)]


def unit_of(result: ThresholdResult, report: Report) -> str:
    """What a threshold's value counts, `%` for a ratio. Where neither the result nor the report knows its metric, a
    trend's aggregation stands for a time."""
    metrics = report.metrics
    metric = metrics.get(result.metric) or metrics.get(result.metric.partition("{")[0]) or {}
    kind, unit = result.kind or metric.get("kind"), result.unit or str(metric.get("unit") or "")
    aggregation = re.split(r"[<>=!\s]", result.expression.strip(), maxsplit=1)[0]
    if kind == "rate":
        return "%"
    if kind == "counter" and aggregation == "rate":
        return f"{unit}/s"
    if kind is None and re.match(r"p\(|avg|min|max|med", aggregation):
        return "ms"
    return unit


def _threshold(result: ThresholdResult, unit: str, with_seconds: bool, medium: Medium) -> list[Span]:
    limit = _limit(result.expression)
    worst, interval = result.worst_window, result.interval
    judged_by = "" if result.window_s is None else f" in worst {number(result.window_s)} s"
    seconds = f" in {number(worst.seconds)} s" if worst and with_seconds else ""
    return [
        _status(result.status, result.conclusive, medium),
        Span(one_line(result.metric)),
        Span(one_line(result.expression) + judged_by),
        Span(amount(result.value, unit, limit), "bad" if result.status in ("fail", "no_data") else ""),
        Span(span(*interval, unit, medium.choose("–", " .. "), limit) if interval else "", "dim"),
        Span(f"{amount(worst.value, unit, limit)}{seconds} at {clock(worst.from_s)}" if worst else "", "dim"),
        Span(number(result.samples)),
        Span(result.grade or "", _GRADES.get(result.grade or "", "")),
    ]


def _audit(result: AuditResult, medium: Medium) -> list[Span]:
    return [
        _status(result.status, True, medium),
        Span(one_line(result.name)),
        Span(number(result.expected)),
        Span(number(result.actual, result.expected), "bad" if result.status == "fail" else ""),
        Span(number(result.unanswered)),
        Span(one_line(result.detail), "dim"),
    ]


def _status(status: str, conclusive: bool, medium: Medium) -> Span:
    mark, word, tone = _STATUSES[status]
    words = f"{medium.choose(f'{mark} ', '')}{word}"
    return Span(words, tone) if conclusive else Span(f"{words} ?", "doubt" if status == "pass" else tone)


def _tally(statuses: Iterable[str]) -> str:
    found = list(statuses)
    words = {"fail": "failed", "no_data": "without data", "not_observed": "not observed"}
    others = [f"{found.count(status)} {word}" for status, word in words.items() if status in found]
    return ", ".join([f"{found.count('pass')} of {len(found)} hold", *others])


def _limit(expression: str) -> float | None:
    found = re.search(r"\d+(?:\.\d*)?$|\.\d+$", expression.strip())
    return float(found[0]) if found else None
