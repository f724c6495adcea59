"""The verdict: what a run was worth, the exit code that says so to a machine, and every reason in words.

The first that applies decides: bad configuration (104), the project's own fault (107), stopped from outside (105), a
set-up step failed (100), an audit failed or a part is missing (99), the generator could not keep up (110), a threshold
failed or had no data (99), nothing (0). What the target lost outranks a slow generator, since no slowness of ours makes
it lose anything; a threshold does not, since a slow generator makes any of them fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pika_locust.errors import ExitCode
from pika_locust.judge.expressions import parse
from pika_locust.judge.generator import assess
from pika_locust.judge.grades import at_least
from pika_locust.judge.report import (
    AuditResult,
    GeneratorReport,
    Grade,
    LoadReport,
    Outcome,
    Reason,
    ReasonCode,
    ThresholdResult,
    WorkerReport,
)
from pika_locust.judge.wording import clock, number, plain, with_unit
from pika_locust.measure.metric import Kind

EXIT_CODES: dict[ReasonCode, ExitCode] = {
    "config": ExitCode.CONFIG,
    "internal": ExitCode.INTERNAL,
    "stopped": ExitCode.STOPPED,
    "setup": ExitCode.SETUP,
    "audit": ExitCode.FAILED,
    "incomplete": ExitCode.FAILED,
    "generator": ExitCode.GENERATOR,
    "threshold": ExitCode.FAILED,
    "no_data": ExitCode.FAILED,
}
"""What each reason ends the process with, the most decisive first."""

INVALID = frozenset({ExitCode.CONFIG, ExitCode.INTERNAL, ExitCode.GENERATOR})
"""Endings that say nothing about the target: neither a pass nor a failure of it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict with its exit code and all reasons, most decisive first; `notes` decide nothing."""

    verdict: Outcome
    exit_code: ExitCode
    reasons: tuple[Reason, ...]
    notes: tuple[str, ...] = ()


def decide(
    *,
    thresholds: Sequence[ThresholdResult] = (),
    audits: Sequence[AuditResult] = (),
    load: LoadReport | None = None,
    workers: Sequence[WorkerReport] = (),
    generator: GeneratorReport | None = None,
    run_reasons: Iterable[Reason] = (),
    strict: bool = False,
    fail_on: Grade | None = None,
    paced: bool = True,
) -> Decision:
    """Weigh everything a run found.

    `run_reasons` are the reasons that no figure shows: configuration, set-up, a signal, a fault of our own. `strict` also
    fails what is not conclusive and what was not observed; `fail_on` also fails a threshold whose grade is that bad or
    worse. `paced` says that users think or that the model is open (see `generator.assess`).
    """
    reasons = list(run_reasons)
    for audit in audits:
        reasons += _of_audit(audit, strict)
    reasons += _of_missing(load if load is not None else LoadReport(), workers)
    lagging, notes = assess(generator if generator is not None else GeneratorReport(), workers, thresholds, paced=paced)
    reasons += lagging
    for result in thresholds:
        reasons += _of_threshold(result, strict, fail_on)
    if not reasons and not thresholds and not audits:
        notes.append("nothing was judged: there were neither thresholds nor audits")
    order = list(EXIT_CODES)
    reasons.sort(key=lambda reason: order.index(reason.code))
    exit_code = EXIT_CODES[reasons[0].code] if reasons else ExitCode.PASS
    verdict: Outcome = "pass" if exit_code is ExitCode.PASS else "invalid" if exit_code in INVALID else "fail"
    return Decision(verdict, exit_code, tuple(reasons), tuple(notes))


def describe(result: ThresholdResult) -> str:
    """A judged threshold in one sentence: the value, the limit, and what both rest on."""
    expression = parse(result.expression)
    subject = f"{result.metric} {expression.aggregation}"
    unit = "per second" if result.kind == Kind.COUNTER and expression.aggregation == "rate" else result.unit
    limit = with_unit(f"{expression.operator}{plain(expression.limit)}", unit)
    if result.status == "not_observed":
        return f"{subject} was not observed (limit {limit}): nothing in this run could show it"
    overflowed = f"{result.overflowed:,} {{}}may belong to it: there were too many series to keep their tags"
    if result.value is None:
        part = " with these tags" if "{" in result.metric else ""
        others = f", but {overflowed.format('samples ')}" if result.overflowed else ""
        return f"{subject} had no samples (limit {limit}): nothing was measured{part}{others}"
    value = with_unit(number(result.value, expression.limit), unit)
    worst = result.worst_window
    basis = [f"{result.samples:,} samples"] if result.kind not in (Kind.COUNTER, Kind.GAUGE) else []
    basis += [overflowed.format("more ")] if result.overflowed else []
    if worst is not None and result.window_s is not None:
        when = f" in the worst {number(worst.seconds)} s, from {clock(worst.from_s)},"
        return f"{subject} was {value}{when} limit {limit}" + _in_brackets(basis)
    if worst is not None:
        basis.append(
            f"worst {number(worst.seconds)} s from {clock(worst.from_s)} was "
            f"{with_unit(number(worst.value, expression.limit), unit)}"
        )
    return f"{subject} was {value}, limit {limit}" + _in_brackets(basis)


def _of_threshold(result: ThresholdResult, strict: bool, fail_on: Grade | None) -> list[Reason]:
    subject, text = result.metric, describe(result)
    reasons = []
    if result.status == "no_data":
        reasons.append(Reason("no_data", subject, text))
    elif result.status == "not_observed":
        if strict:
            reasons.append(Reason("no_data", subject, f"{text}; a strict run fails on it"))
    elif result.status == "fail":
        doubt = "" if result.conclusive else f"; not conclusive: {_interval(result)}"
        reasons.append(Reason("threshold", subject, text + doubt))
    elif strict and not result.conclusive:
        reasons.append(Reason("threshold", subject, f"{text}: holds, but is not conclusive: {_interval(result)}"))
    if fail_on is not None and result.status == "pass" and at_least(result.grade, fail_on):
        reasons.append(Reason("threshold", subject, f"{text}: holds, but its grade is {result.grade}"))
    return reasons


def _of_audit(audit: AuditResult, strict: bool) -> list[Reason]:
    because = f": {audit.detail}" if audit.detail else ""
    if audit.status == "not_observed":
        text = f"audit '{audit.name}' could not be made{because}; a strict run fails on it"
        return [Reason("no_data", audit.name, text)] if strict else []
    if audit.status == "pass":
        return []
    figures = ""
    if audit.expected is not None and audit.actual is not None:
        upper = f" to {number(audit.expected + audit.unanswered)}" if audit.unanswered else ""
        figures = f": {number(audit.expected)}{upper} expected, {number(audit.actual, audit.expected)} found"
    return [Reason("audit", audit.name, f"audit '{audit.name}' failed{figures}{because}")]


def _of_missing(load: LoadReport, workers: Sequence[WorkerReport]) -> list[Reason]:
    reasons = []
    for worker in workers:
        if not worker.final:
            lost = "" if worker.lost_at_s is None else f" (lost at {clock(worker.lost_at_s)})"
            text = f"worker {worker.index} on {worker.host} never delivered its final figures{lost}"
            reasons.append(Reason("incomplete", f"worker {worker.index}", text))
    if not reasons and load.workers_lost:
        text = f"{load.workers_lost:,} of {load.workers:,} workers were lost, with the load they should have applied"
        reasons.append(Reason("incomplete", "workers", text))
    if not reasons and not load.complete:
        reasons.append(Reason("incomplete", "load", "a part of the run's figures is missing"))
    return reasons


def _interval(result: ThresholdResult) -> str:
    if result.interval is None:
        return "the limit lies within its 95 % interval"
    low, high = (number(end, parse(result.expression).limit) for end in result.interval)
    extent = with_unit(f"{low} to {high}", result.unit)
    return f"its 95 % interval, {extent} on {result.samples:,} samples, holds the limit"


def _in_brackets(parts: list[str]) -> str:
    return f" ({'; '.join(parts)})" if parts else ""
