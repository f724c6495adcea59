"""What the live page shows of a test, as plain values: the verdict so far, thresholds, audits, errors, load generators.

A test that runs and one that has ended are shown alike (`LiveTest`); a page draws itself from `to_json`, and `to_html`
is the same as a text table, for whoever runs no scripts. Nothing here holds a secret, or markup of somebody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

from pika_locust.format import amount, clock, number, span
from pika_locust.judge import AuditResult, ErrorCount, Outcome, Report, ThresholdResult
from pika_locust.judge.expressions import parse
from pika_locust.judge.timeline import Timeline
from pika_locust.judge.verdict import CPU_PERCENT, is_pending, lag_limit_ms
from pika_locust.outputs import redact

Phase = Literal["starting", "running", "ending", "ended"]

MOST_REASONS = 8
MOST_ERRORS = 30
"""Kinds of errors in the table, the most frequent first."""
_CHARTED = ("avg", "min", "med", "max")
"""Aggregations of a trend whose limit is a line in its chart, beside the percentiles."""
_NOT_YET = "not_yet"
_ORDER = ("fail", "no_data", "pass", _NOT_YET, "not_observed")
_WORDS = {"pass": "pass", "fail": "FAIL", "no_data": "no data", "not_observed": "not observed", _NOT_YET: "not yet"}


@dataclass(frozen=True, slots=True)
class LiveAudit:
    """What a ledger has of one kind of acknowledged items so far, or the audit of it at the end."""

    name: str
    acknowledged: float | None
    held: float | None = None
    unanswered: int = 0
    status: str = "open"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """One load generator process. `cpu_percent` is that of the last 10 s, of one that has ended its highest."""

    index: int
    host: str
    state: Literal["reporting", "lost", "left", "faulty"] = "reporting"
    users: int | None = None
    lag_p95_ms: float | None = None
    cpu_percent: float | None = None
    rss_mb: float | None = None


@dataclass(frozen=True, slots=True)
class LiveTest:
    """A test of this process, the `number`-th, counted from 1.

    outcome: that of the report; while the test runs, what it would be if it ended now and all audits held.
    reasons: why it is no pass.
    """

    number: int
    run_id: str
    scenario: str
    target: str
    started_at: str
    phase: Phase
    elapsed_s: float
    planned_s: float | None
    stage: str
    outcome: Outcome
    exit_code: int
    reasons: Sequence[str] = ()
    thresholds: Sequence[ThresholdResult] = ()
    audits: Sequence[LiveAudit] = ()
    errors: Sequence[ErrorCount] = ()
    workers: Sequence[LiveWorker] = ()
    dropped_iterations: int = 0
    users_peak: int = 0
    timeline: Timeline = field(default_factory=Timeline)
    thinned: int = 0
    """How often the timeline's points have become fewer."""

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        if self.phase == "starting":
            return "STARTING"
        if self.phase == "ended":
            return self.outcome.upper()
        words: dict[Outcome, str] = {"pass": "HOLDING SO FAR", "fail": "FAILING", "invalid": "INVALID SO FAR"}
        return words[self.outcome]

    @property
    def left_s(self) -> float | None:
        """Seconds until the plan is over; None where it is over, or has no end."""
        if self.planned_s is None or self.phase != "running":
            return None
        return max(0.0, self.planned_s - self.elapsed_s)

    @property
    def exit_code_words(self) -> str:
        """The exit code; of a test that runs, on which condition."""
        if self.phase == "starting":
            return ""
        if self.phase == "ended":
            return f"exit code {self.exit_code}"
        return f"exit code {self.exit_code} if it ended now" + (" and the audits hold" if self.audits else "")


def ended(number: int, report: Report) -> LiveTest:
    """A test that has ended, from its report."""
    return LiveTest(
        number=number,
        run_id=report.run_id,
        scenario=report.scenario,
        target=report.target,
        started_at=report.started_at,
        phase="ended",
        elapsed_s=report.duration_s,
        planned_s=report.load.planned_s,
        stage=report.load.profile,
        outcome=report.verdict,
        exit_code=report.exit_code,
        reasons=[reason.text for reason in report.reasons],
        thresholds=report.thresholds,
        audits=[_audit(audit) for audit in report.audits],
        errors=report.errors,
        workers=[
            LiveWorker(
                worker.index,
                worker.host,
                "faulty" if worker.problem else "lost" if worker.lost_at_s is not None else "left",
                lag_p95_ms=worker.lag_ms.get("p(95)"),
                cpu_percent=worker.cpu_percent_max,
                rss_mb=worker.rss_mb_max,
            )
            for worker in report.workers
        ],
        dropped_iterations=report.load.dropped_iterations,
        users_peak=report.load.users_peak,
        timeline=report.timeline,
    )


def _audit(audit: AuditResult) -> LiveAudit:
    return LiveAudit(audit.name, audit.expected, audit.actual, audit.unanswered, audit.status, audit.detail)


def to_json(test: LiveTest, finished: Sequence[Report] = ()) -> dict[str, Any]:
    """What a page needs to draw the test beside the points of its timeline; and all `finished` tests of the process.
    All numbers are finite, all texts redacted."""
    return {
        "number": test.number,
        "run_id": test.run_id,
        "scenario": redact.text(test.scenario),
        "target": redact.text(test.target.partition("?")[0]),
        "started_at": test.started_at,
        "phase": test.phase,
        "word": test.word,
        "outcome": test.outcome,
        "exit_code": test.exit_code,
        "exit_code_words": test.exit_code_words,
        "elapsed_s": round(test.elapsed_s, 3),
        "planned_s": test.planned_s,
        "left_s": test.left_s,
        "stage": test.stage,
        "reasons": [redact.text(reason) for reason in test.reasons[:MOST_REASONS]],
        "reasons_left_out": max(0, len(test.reasons) - MOST_REASONS),
        "thresholds": threshold_rows(test),
        "audits": [
            {
                "name": redact.text(audit.name),
                "status": audit.status,
                "acknowledged": number(audit.acknowledged),
                "held": "" if audit.status == "open" else number(audit.held, audit.acknowledged),
                "unanswered": number(audit.unanswered),
                "detail": redact.text(audit.detail),
            }
            for audit in test.audits
        ],
        "errors": [
            {"name": redact.name(one.name), "error": redact.name(one.error), "count": one.count}
            for one in test.errors[:MOST_ERRORS]
        ],
        "errors_left_out": max(0, len(test.errors) - MOST_ERRORS),
        "workers": [
            {
                "index": worker.index,
                "host": redact.name(worker.host),
                "state": worker.state,
                "users": worker.users,
                "lag_p95": amount(worker.lag_p95_ms, "ms"),
                "cpu": "-" if worker.cpu_percent is None else f"{number(worker.cpu_percent)} %",
                "memory": amount(worker.rss_mb, "MB"),
            }
            for worker in test.workers
        ],
        "dropped_iterations": test.dropped_iterations,
        "users_peak": test.users_peak,
        "limits": {"lag_ms": lag_limit_ms(test.thresholds), "cpu_percent": CPU_PERCENT},
        "finished": [
            {
                "number": place,
                "verdict": report.verdict,
                "exit_code": report.exit_code,
                "started_at": report.started_at,
                "duration": clock(report.duration_s),
                "users_peak": report.load.users_peak,
                "reason": redact.text(report.reasons[0].text) if report.reasons else "",
            }
            for place, report in enumerate(finished, 1)
        ],
    }


def points(test: LiveTest, since: int = 0) -> dict[str, Any]:
    """The points of a test's timeline, from one on, counted from 0."""
    found = test.timeline.since(since)
    return {
        **found,
        "metrics": {redact.name(series): columns for series, columns in found["metrics"].items()},
        "errors": {redact.name(kind): column for kind, column in found["errors"].items()},
        "thresholds": {redact.name(text): column for text, column in found["thresholds"].items()},
        "marks": [{**mark, "text": redact.text(mark["text"])} for mark in found["marks"]],
    }


def threshold_rows(test: LiveTest) -> list[dict[str, Any]]:
    """A row for each threshold, those that fail first; what stands in its cells is text as people read it."""
    rows = [_threshold(result, is_running=test.phase != "ended") for result in test.thresholds]
    return sorted(rows, key=lambda row: _ORDER.index(row["status"]))


def _threshold(result: ThresholdResult, *, is_running: bool) -> dict[str, Any]:
    expression = parse(result.expression)
    unit = "%" if result.kind == "rate" and not expression.is_slope else result.unit
    if result.kind == "counter" and expression.aggregation == "rate":
        unit = f"{unit}/s"
    is_early = result.status in ("pass", "no_data") and result.value is None
    status = _NOT_YET if is_running and (is_early or is_pending(result)) else result.status
    worst = result.worst_window
    limit = expression.limit
    is_percentile = expression.quantile is not None or expression.aggregation in _CHARTED
    has_line = not expression.is_slope and (result.kind == "gauge" or (result.kind == "trend" and is_percentile))
    judged_by = "" if result.window_s is None else f" in the worst {number(result.window_s)} s"
    return {
        "key": redact.name(f"{result.metric}:{result.expression}"),
        "metric": redact.name(result.metric),
        "expression": result.expression + judged_by,
        "kind": result.kind,
        "unit": "" if expression.is_slope else result.unit,
        "status": status,
        "word": _WORDS[status] + ("" if result.conclusive else " ?"),
        "conclusive": result.conclusive,
        "value": amount(result.value, unit, limit),
        "limit": f"{expression.operator} {amount(limit, unit)}",
        "limit_line": limit if has_line else None,
        "interval": span(*result.interval, unit, " – ", limit, "≥", "≤") if result.interval else "",
        "samples": number(result.samples),
        "grade": result.grade or "",
        "worst": ""
        if worst is None
        else f"{amount(worst.value, unit, limit)} in the {number(round(worst.seconds))} s from {clock(worst.from_s)}",
        "about": redact.name(result.why or result.about),
        "failures": [f"{count:,} × {redact.name(what)}" for what, count in list(result.failures.items())[:5]],
    }


TABLE = (
    ("word", "Status"),
    ("metric", "Metric"),
    ("expression", "Threshold"),
    ("value", "Now"),
    ("interval", "95 % interval"),
    ("samples", "Samples"),
    ("worst", "Worst window"),
)
"""The columns of the text table, and what they are called."""


def to_html(test: LiveTest | None) -> str:
    """The verdict and the thresholds as markup that needs no script, to stand in a page; None: no test has begun."""
    if test is None:
        return "<h1>READY</h1><p>No test has been started yet.</p>"
    shown = to_json(test)
    times = clock(test.elapsed_s) + (f" of {clock(test.planned_s)}" if test.planned_s is not None else "")
    about = [test.scenario, test.stage, times, test.exit_code_words]
    reasons = "".join(f"<li>{_text(reason)}</li>" for reason in shown["reasons"])
    head = "".join(f'<th scope="col">{_text(title)}</th>' for _, title in TABLE)
    rows = "".join(
        f"<tr class='{row['status']}'>{''.join(f'<td>{_text(row[name])}</td>' for name, _ in TABLE)}</tr>"
        for row in shown["thresholds"]
    )
    audits = "".join(
        f"<tr><td>{_text(audit['status'])}</td><td>{_text(audit['name'])}</td>"
        f"<td>{_text(audit['acknowledged'])}</td><td>{_text(audit['held'])}</td></tr>"
        for audit in shown["audits"]
    )
    return (
        f"<h1>{_text(test.word)}</h1><p>{_text(' · '.join(filter(None, about)))}</p>"
        + (f"<ul>{reasons}</ul>" if reasons else "")
        + f"<table><caption>Thresholds</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        + (
            "<table><caption>Data-integrity checks</caption><thead><tr><th scope='col'>Status</th>"
            "<th scope='col'>Check</th><th scope='col'>Acknowledged</th><th scope='col'>Held</th></tr></thead>"
            f"<tbody>{audits}</tbody></table>"
            if audits
            else ""
        )
    )


def _text(words: str) -> str:
    return escape(redact.text(words))
